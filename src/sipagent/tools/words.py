"""What a model is told when a tool gives no answer, so that it does the right thing next."""

from sipagent.model import Effects, Tool, ToolResult, ToolStatus
from sipagent.tools.output import error_of


def in_doubt(what: str) -> str:
    """Of something that must happen once, and has perhaps; `what` has come between."""
    return (
        f"{what}: it is not known whether it was done. "
        "Do not try again; tell the caller that it will be checked"
    )


def in_doubt_if_once(tool: Tool, what: str) -> str:
    """What has gone wrong once the tool had begun."""
    return in_doubt(what) if tool.effects is Effects.ONCE else what


def timed_out(tool: Tool, detail: str = "no answer in time") -> ToolResult:
    """Of a tool that has not answered in its time."""
    words = in_doubt_if_once(tool, "no answer in time")
    return ToolResult(ToolStatus.TIMED_OUT, error_of(words), detail)
