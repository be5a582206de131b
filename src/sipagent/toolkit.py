"""For an operator's own tools: typed async functions behind entry points of `sipagent.tools`.

    async def order_status(call: ToolCall, order_no: str) -> dict[str, str]:
        \"\"\"Tell the state of an order.\"\"\"

The model sees the function's name, its docstring and its parameters; docs/tools.md says the rest.
"""

from sipagent.tools.kit import ToolCall, ToolError, tool

__all__ = ["ToolCall", "ToolError", "tool"]
