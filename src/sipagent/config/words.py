"""How paths and values of a file are shown in a sentence."""

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
LONGEST_SHOWN: Final = 60
_LONGEST_WORD: Final = 64

SECRET_MARKS: Final = ("sk-", "whsec_", "Bearer ")
_SECRET_WITHIN: Final = re.compile(
    r"(?<![A-Za-z0-9_-])(?:sk-[A-Za-z0-9_-]{16,}|whsec_[A-Za-z0-9+/=]{16,})", re.ASCII
)


def is_secret(text: str) -> bool:
    """Whether the text begins like a provider's key, webhook secret or token, or holds one."""
    return text.lstrip().startswith(SECRET_MARKS) or _SECRET_WITHIN.search(text) is not None


def quoted(text: str) -> str:
    """The text in double quotes, safe to print: short, without control characters or secrets."""
    if is_secret(text):
        return '"..."'
    if len(text) > LONGEST_SHOWN:
        text = text[: LONGEST_SHOWN - 3] + "..."
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text) + '"'


def dotted(steps: tuple[str | int, ...]) -> str:
    """A path as people write it: `agents.reception.speed`, `numbers."+1 713 481 0111"`."""
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
            continue
        name = step if _PLAIN.fullmatch(step) and len(step) <= LONGEST_SHOWN else quoted(step)
        name = name if not is_secret(step) else quoted(step)
        path += f".{name}" if path else name
    return path


def kind_of(value: Any) -> str:
    """What a value is, in the operator's words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {quoted(value)}"
        case int() | float():
            return f"the number {value}"
        case list():
            return "a list"
        case _:
            return "a mapping"


def closest(word: str, words: Iterable[str]) -> str | None:
    """The one of the words that is spelled most like this one, if any is alike at all."""
    if len(word) > _LONGEST_WORD:
        return None
    found = difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.6)
    return found[0] if found else None
