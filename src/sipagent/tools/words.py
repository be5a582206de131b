"""What a model is told when a tool gives no answer, so that it does the right thing next."""

from sipagent.model import Effects, Tool, ToolResult, ToolStatus
from sipagent.tools.output import error_of


def in_doubt() -> str:
    """Of something that must happen once, and has perhaps."""
    return (
        "the connection was lost: it is not known whether it was done. "
        "Do not try again; tell the caller that it will be checked"
    )


def timed_out(tool: Tool, detail: str = "no answer in time") -> ToolResult:
    """Of a tool that has not answered in its time."""
    if tool.effects is Effects.ONCE:
        words = (
            "no answer in time: it is not known whether it was done. "
            "Do not try again; tell the caller that it will be checked"
        )
    else:
        words = "no answer in time"
    return ToolResult(ToolStatus.TIMED_OUT, error_of(words), detail)
