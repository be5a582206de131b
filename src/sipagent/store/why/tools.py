"""What agents did beside talking, told in sentences."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from sipagent.model import ToolStatus
from sipagent.store.facts import StoredToolCall, ToolCount
from sipagent.store.why.wording import count, plain, seconds, share

_MOST_TOLD: Final = 5
_GOOD: Final = frozenset({ToolStatus.DONE.value, ToolStatus.CANCELLED.value})
"""What is no trouble: a caller who hangs up is nobody's fault."""

_COUNTED: Final[Mapping[str, tuple[str, str]]] = {
    ToolStatus.FAILED: ("failed", "failed"),
    ToolStatus.TIMED_OUT: ("had no answer in time", "had no answer in time"),
    ToolStatus.REFUSED: ("was refused", "were refused"),
    ToolStatus.UNKNOWN: ("came to an unknown end", "came to an unknown end"),
}
"""What is said of one use, and of several."""


def tell_use(use: StoredToolCall, *, numbers: bool) -> str:
    """`used order_status: done in 0.4 s`."""
    name = plain(use.name, numbers=True)
    took = seconds(use.seconds)
    match use.status:
        case ToolStatus.DONE:
            what = f"done in {took}"
        case ToolStatus.FAILED:
            what = f"it failed after {took}"
        case ToolStatus.TIMED_OUT:
            what = f"it had no answer within {took}"
        case ToolStatus.REFUSED:
            what = "it was refused, and nothing was done"
        case ToolStatus.CANCELLED:
            what = f"it was given up after {took}, as the call had ended"
        case ToolStatus.UNKNOWN:
            what = "what came of it is not known, as the process that ran it had ended"
        case other:
            what = plain(other, numbers=numbers)
    detail = f" ({plain(use.detail, numbers=numbers)})" if use.detail else ""
    return f"used {name}: {what}{detail}"


def troubled(uses: Sequence[StoredToolCall]) -> Iterator[str]:
    """What to do about tools that did not do what they were asked."""
    names = dict.fromkeys(plain(use.name, numbers=True) for use in uses if use.status not in _GOOD)
    if names:
        yield (
            f"Look at {', '.join(names)}: what each tool that is flagged above was given and gave,"
            " `sipagent calls show --transcript` shows."
        )


def tell_tools(found: Sequence[ToolCount], messages: int) -> Iterator[str]:
    """How often tools were used in a time and how often in vain, tool by tool, and how many
    messages were taken."""
    used = sum(one.count for one in found)
    bad = sum(one.count for one in found if one.status not in _GOOD)
    if used:
        vain = f"; {bad:,} of these came to nothing ({share(bad, used)})" if bad else ""
        yield f"Tools were used {count(used, 'time')}{vain}."
    for (tenant, name), statuses in _worst(found):
        every = sum(statuses.values())
        kinds = (
            f"{many:,} {words[many > 1]}"
            for one, words in _COUNTED.items()
            if (many := statuses[one])
        )
        tool = f"{plain(name, numbers=True)} of tenant {tenant}"
        yield f"{tool}: of {count(every, 'use')} {', '.join(kinds)}."
    if messages:
        yield f"{count(messages, 'message')} {'was' if messages == 1 else 'were'} taken."


def _worst(found: Sequence[ToolCount]) -> list[tuple[tuple[str, str], Counter[str]]]:
    """The tools that came to nothing most often, by tenant and name."""
    by: dict[tuple[str, str], Counter[str]] = {}
    for one in found:
        by.setdefault((one.tenant, one.name), Counter())[one.status] += one.count

    def bad(statuses: Counter[str]) -> int:
        return sum(statuses[one] for one in _COUNTED)

    worst = sorted(by.items(), key=lambda pair: (-bad(pair[1]), pair[0]))
    return [pair for pair in worst if bad(pair[1])][:_MOST_TOLD]
