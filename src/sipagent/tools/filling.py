"""From an HTTP tool and its arguments to the request that is made: pure.

An argument never becomes part of a host, never ends the part of the URL that it stands in, and
never changes which endpoint of the API is asked.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, unquote

from sipagent.model import HttpRequest, Json, ToolName
from sipagent.tools.targets import LONGEST_URL

BODILESS: Final = frozenset({"GET", "HEAD", "DELETE"})
"""Methods whose requests have no body unless one is written."""

_PLACE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]{0,63})\}")
_SEPARATORS: Final = re.compile(r"[/\\;]")
_DECODINGS: Final = 5


class ArgumentError(ValueError):
    """An argument that cannot be used where it is to stand. The text names it, not its value."""


class DigitsMissingError(ArgumentError):
    """A tool has not collected its digits yet."""

    def __init__(self, tool: ToolName) -> None:
        super().__init__(f"the digits of {tool} have not been collected")
        self.tool = tool


@dataclass(frozen=True, slots=True)
class Filled:
    """A request as it is made. Without a body it has none."""

    method: str
    url: str = field(repr=False)
    body: bytes | None = field(repr=False)


def values_of(does: HttpRequest, arguments: Json, digits: Mapping[ToolName, str]) -> dict[str, Any]:
    """All arguments: the model's, and over them those that we fill in. Raises
    DigitsMissingError."""
    collected: dict[str, str] = {}
    for name, tool in does.digits.items():
        if tool not in digits:
            raise DigitsMissingError(tool)
        collected[name] = digits[tool]
    return {**arguments, **does.bind, **collected}


def fill(does: HttpRequest, values: Mapping[str, Any]) -> Filled:
    """The request for these arguments. Raises ArgumentError."""
    base, mark, query = does.url.partition("?")
    scheme, _, rest = base.partition("://")
    authority, slash, path = rest.partition("/")
    place = f"{scheme}://{authority}{slash}{_path(path, values)}"
    pairs = list(_query(query, values)) if mark else []
    used = set(_PLACE.findall(f"{path}?{query}"))
    left = {name: value for name, value in values.items() if name not in used}
    body: bytes | None = None
    if does.body is not None:
        body = _json(_templated(does.body, values))
    elif does.method in BODILESS:
        pairs += _pairs(left)
    else:
        body = _json(left)
    url = place + ("?" + "&".join(pairs) if pairs else "")
    if len(url) > LONGEST_URL:
        raise ArgumentError("the arguments are too long")
    return Filled(does.method, url, body)


def _path(path: str, values: Mapping[str, Any]) -> str:
    """The path, each argument within its segment."""

    def put(found: re.Match[str]) -> str:
        text = as_text(values.get(found[1]))
        if not text:
            raise ArgumentError(f"{found[1]} must not be empty")
        return _quoted(found[1], text)

    filled = _PLACE.sub(put, path)
    if filled != path and _climbs(filled):
        raise ArgumentError("the arguments must not make '.' or '..' a part of the path")
    return filled


def _climbs(text: str) -> bool:
    """Whether a server that decodes and tidies a path could leave it for another one: many decode
    before they do, and some twice."""
    for _ in range(_DECODINGS):
        if any(part in (".", "..") for part in _SEPARATORS.split(text)):
            return True
        decoded = unquote(text)
        if decoded == text:
            return False
        text = decoded
    return True


def _query(query: str, values: Mapping[str, Any]) -> Iterator[str]:
    """The query's pairs. One that is nothing but an argument is left out with it."""
    for pair in query.split("&"):
        name, equals, value = pair.partition("=")
        alone = _PLACE.fullmatch(value)
        if alone is not None and values.get(alone[1]) is None:
            continue
        yield (
            name
            + equals
            + _PLACE.sub(lambda found: _quoted(found[1], as_text(values.get(found[1]))), value)
        )


def _pairs(values: Mapping[str, Any]) -> list[str]:
    """The arguments as a query: a list's members one by one, nothing for null."""
    pairs: list[str] = []
    for name, value in values.items():
        members = value if isinstance(value, list | tuple) else [value]
        pairs += [
            f"{_quoted(name, name)}={_quoted(name, as_text(member))}"
            for member in members
            if member is not None
        ]
    return pairs


def _quoted(name: str, text: str) -> str:
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:  # half a surrogate pair, as JSON can write it
        raise ArgumentError(f"{name} has a character that cannot be sent") from None


def as_text(value: Any) -> str:
    """An argument within a text: itself if it is one, nothing for null, else as JSON has it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else _compact(value)


_LEFT_OUT: Final = object()


def _templated(template: Any, values: Mapping[str, Any]) -> Any:
    """A body with its places filled. `"{name}"` alone is the argument as it is, and left out where
    there is none; within a longer text it is text."""
    if isinstance(template, str):
        alone = _PLACE.fullmatch(template)
        if alone is not None:
            return values.get(alone[1], _LEFT_OUT)
        return _PLACE.sub(lambda found: as_text(values.get(found[1])), template)
    if isinstance(template, Mapping):
        members = {name: _templated(member, values) for name, member in template.items()}
        return {name: value for name, value in members.items() if value is not _LEFT_OUT}
    if isinstance(template, list | tuple):
        filled = [_templated(member, values) for member in template]
        return [value for value in filled if value is not _LEFT_OUT]
    return template


def _compact(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        raise ArgumentError("an argument is no JSON") from None


def _json(value: Any) -> bytes:
    try:
        return _compact(value).encode("utf-8")
    except UnicodeEncodeError:
        raise ArgumentError("an argument has a character that cannot be sent") from None
