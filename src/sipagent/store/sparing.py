"""Words without what their tenant does not want to be kept. Pure."""

import re
from collections.abc import Callable, Collection
from typing import Any, Final

from sipagent.model import Redaction
from sipagent.model.redaction import redacted

_MOST_DIGITS: Final = 400
_DIGIT: Final = re.compile(r"\d")


def spared(text: str, kinds: Collection[Redaction]) -> str:
    """The text without numbers of these kinds. Where it is made of digits, to judge each number
    would take long: none of them is kept."""
    if not kinds:
        return text
    if len(_DIGIT.findall(text)) > _MOST_DIGITS:
        text = _DIGIT.sub("#", text)
    return redacted(text, kinds)


def in_each(value: Any, hidden: Callable[[str], str]) -> Any:
    """The JSON with all its texts and numbers hidden where they are to be."""
    match value:
        case str():
            return hidden(value)
        case bool() | None:
            return value
        case int() | float():
            written = str(value)
            shown = hidden(written)
            return value if shown == written else shown
        case list():
            return [in_each(one, hidden) for one in value]
        case _:
            return {hidden(key): in_each(one, hidden) for key, one in value.items()}
