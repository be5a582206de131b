"""What a model gets to read of a tool's answer: JSON or plain text, without invisible characters,
and no more of it than it can use."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sipagent.sip.untrusted import visible

MOST_BYTES: Final = 16 * 1024
"""Bytes of an output. A model that reads more takes longer to speak."""

_ENOUGH: Final = MOST_BYTES + 1
"""Characters of which it is known that they are too many."""

_DEEPEST: Final = 64
_SPACES: Final = str.maketrans("\t\n\r\v\f\u0085\u2028\u2029", "        ")


class UnfitError(ValueError):
    """A value that is no JSON."""


def cleaned(text: str, limit: int | None = None) -> str:
    """The text without controls, bidi and zero-width characters, cut to `limit` characters; line
    breaks become spaces."""
    if text.isascii() and text.isprintable():
        return text if limit is None else text[:limit]
    return visible(text.translate(_SPACES), limit)


def output_of(value: object) -> str:
    """A value as compact JSON of at most `MOST_BYTES`; what is longer says that it was cut. Raises
    UnfitError for what is no JSON, as far as it is shown."""
    written = _dumped(_Cleaning().clean(value, 0))
    if _size(written) <= MOST_BYTES:
        return written
    return _cut(written)


def text_of(text: str) -> str:
    """Plain text as a tool has given it, of at most `MOST_BYTES`."""
    clean = cleaned(text, _ENOUGH)
    return clean if _size(clean) <= MOST_BYTES else _cut(clean)


def error_of(words: str, **more: object) -> str:
    """What tells a model that a tool has failed, in words that it can act on."""
    return output_of({"error": words, **more})


def _cut(written: str) -> str:
    """The beginning of what is too long, within JSON that says so."""
    shown = _prefix(written, MOST_BYTES - 256)
    while True:
        cut = _dumped({"cut": f"only the first {len(shown)} characters of it", "begins": shown})
        over = _size(cut) - MOST_BYTES
        if over <= 0:
            return cut
        shown = shown[: max(0, len(shown) - max(over // 2, 1))]


def _prefix(text: str, size: int) -> str:
    return text.encode("utf-8")[:size].decode("utf-8", "ignore")


def _dumped(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError):
        raise UnfitError("no JSON") from None


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8"))


class _Cleaning:
    """Cleans the texts of a value. What comes after what a model can be shown is left out: the work
    is bounded by that, and not by what a server has sent."""

    def __init__(self) -> None:
        self._left = _ENOUGH

    def clean(self, value: object, depth: int) -> object:
        self._left -= 1
        if isinstance(value, str):
            return self._text(value)
        if depth >= _DEEPEST and isinstance(value, Mapping | list | tuple):
            raise UnfitError("too deep")
        if isinstance(value, Mapping):
            return {self._key(key): self.clean(value[key], depth + 1) for key in self._some(value)}
        if isinstance(value, list | tuple):
            return [self.clean(member, depth + 1) for member in self._some(value)]
        return value

    def _some(self, members: Iterable[Any]) -> Iterator[Any]:
        """The members until there is enough."""
        for member in members:
            if self._left <= 0:
                return
            yield member

    def _key(self, key: object) -> str:
        if not isinstance(key, str):
            raise UnfitError("a name that is no text")
        return self._text(key)

    def _text(self, text: str) -> str:
        clean = cleaned(text, _ENOUGH)
        self._left -= len(clean)
        return clean


def pointed(value: Any, pointer: str) -> Any:
    """What an RFC 6901 pointer points at, None where there is nothing. `#/...` is one too."""
    if pointer in ("", "#"):
        return value
    for token in pointer.removeprefix("#").split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            value = _member(value, name)
        else:
            return None
    return value


def _member(values: Sequence[Any], name: str) -> Any:
    usual = name.isascii() and name.isdigit() and (name == "0" or not name.startswith("0"))
    if not usual or len(name) > len(str(len(values))):
        return None
    at = int(name)
    return values[at] if at < len(values) else None
