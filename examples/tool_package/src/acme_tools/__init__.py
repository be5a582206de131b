"""Tools of a hardware shop: typed async functions, as an operator writes them for sipagent."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from sipagent.toolkit import ToolCall, ToolError, tool

ORDERS = {"A-1001": ("shipped", date(2026, 12, 1)), "A-1002": ("in the workshop", None)}
"""What would be a database."""

OrderNo = Annotated[str, Field(pattern=r"^A-\d{4}$", description="Such as A-1001.")]


@tool(effects="none", timeout=3)
async def order_status(call: ToolCall, order_no: OrderNo) -> dict[str, str]:
    """Tell the state of an order. Ask the caller for its number first."""
    if order_no not in ORDERS:
        raise ToolError("there is no such order: have the caller read the number again")
    state, arrives = ORDERS[order_no]
    return {"state": state} | ({"arrives": arrives.isoformat()} if arrives else {})


@tool(effects="once")
async def book_repair(
    call: ToolCall,
    day: date,
    item: Annotated[str, Field(max_length=80)],
    part_of_day: Literal["morning", "afternoon"] = "morning",
) -> str:
    """Book a repair. Say the day and the part of the day back to the caller before."""
    if day.weekday() == 6:
        raise ToolError("the workshop is closed on Sundays: offer another day")
    # `call.id` is the same if the tool call is ever repeated: keep it with the booking.
    return f"Booked for {day:%A} {part_of_day}, reference {call.id[-6:]}."
