"""What calls may take: how many at once, how many in a time, how much money."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from sipagent.config.schema.base import (
    ABSENT,
    NUMBER,
    TEXT,
    Entry,
    Money,
    RateText,
    Share,
    shaped,
)

SipCode = Annotated[int, Field(ge=300, le=699)]

WhenFull = Annotated[
    Annotated[SipCode, Tag(NUMBER)] | Annotated[Literal["fallback"], Tag(TEXT)],
    shaped("a SIP status such as 486, or fallback"),
]


class Spending(Entry):
    """How much money calls may cost."""

    month: Money = Field(default=ABSENT, description="The most money in a month, as in 4000 USD.")
    day: Money = Field(default=ABSENT, description="The most money in a day, as in 200 USD.")
    warn_at: list[Share] = Field(
        default=ABSENT, description="Shares at which the operator is told, such as [50%, 80%]."
    )


class Budget(Spending):
    """A tenant's, with what its callers get when it is spent."""

    when_spent: Literal["fallback", "reject"] = Field(
        default="reject", description="What happens to new calls then: fallback or reject."
    )
    spent_code: SipCode = Field(
        default=503, description="The SIP status that refuses them, 300 to 699."
    )


class Limited(Entry):
    """What numbers, tenants and accounts have alike."""

    max_concurrent_calls: int = Field(default=ABSENT, ge=1, description="The most calls at once.")
    call_rate: RateText = Field(
        default=ABSENT, description="The most new calls in a time, such as 30/1m."
    )


class NumberLimits(Limited):
    """A number's."""

    budget: Spending = Field(default=ABSENT, description="How much its calls may cost.")
