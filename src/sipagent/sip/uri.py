"""What stands between the angle brackets: a sip, sips or tel URI, or only a number.

Everything is split before it is unescaped (RFC 3986 section 2.4), and each character is looked
at a bounded number of times: no pattern here can back-track.
"""

import ipaddress
import re
from typing import Literal, NamedTuple

from sipagent.errors import SipSyntaxError

Scheme = Literal["sip", "sips", "tel"]
Parameters = tuple[tuple[str, str | None], ...]

# RFC 3966 section 5.1.1: visual separators stand between digits and mean nothing.
NUMBER = re.compile(r"\+?\(?[0-9]++(?:[().\- ]{1,3}+[0-9]++)*+")

_SCHEME = re.compile(r"(sips?|tel):", re.IGNORECASE | re.ASCII)
_HOST_PART = re.compile(
    r"(\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++)*+\.?+)"
    r"(?::([0-9]{1,5}+))?+(;[^?]*+)?+(?:\?(.*+))?+",
    re.DOTALL,
)
_NUMBER_PART = re.compile(r"(\+[0-9().-]++|[0-9]++)(;[^?]*+)?+(?:\?(.*+))?+", re.DOTALL)
_SUBSCRIBER = re.compile(r"(?=[^0-9]*+[0-9])\+?[0-9().*#-]++")
_TEL_NUMBER = re.compile(r"(?=[^0-9]*+[0-9])(?:\+[0-9().-]++|[0-9A-Fa-f().*#-]++)")

_FORBIDDEN = re.compile('[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff"<>]')
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_URI_CHARACTERS = re.compile(r"[A-Za-z0-9\-_.!~*'();/?:@&=+$,%\[\]]*+")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})++")
_LARGEST_PORT = 65535


class Uri(NamedTuple):
    """The parts of one URI, unescaped. A number without a scheme has only a user."""

    scheme: Scheme | None
    user: str | None
    user_params: Parameters = ()
    host: str | None = None
    port: int | None = None
    params: Parameters = ()
    headers: str | None = None


def parse_uri(text: str, flags: set[str]) -> Uri:
    """The URI's parts; oddities that leave no doubt about its meaning are added to `flags`."""
    if _FORBIDDEN.search(text):
        raise SipSyntaxError("a character that no URI may hold")
    match = _SCHEME.match(text)
    if match is None:
        return _bare_number(text, flags)
    rest = text[match.end() :]
    name = match[1].lower()
    if name == "tel":
        return _tel(rest, flags)
    if not _URI_CHARACTERS.fullmatch(rest):
        flags.add("illegal-character")
    return _sip("sips" if name == "sips" else "sip", rest, flags)


def bare_number(text: str) -> Uri | None:
    """A number that stands alone, as Wavix and xAI send it, its plus sign perhaps escaped."""
    number = f"+{text[3:]}" if text[:3] in {"%2B", "%2b"} else text
    return Uri(None, number) if NUMBER.fullmatch(number) else None


def _bare_number(text: str, flags: set[str]) -> Uri:
    uri = bare_number(text)
    if uri is None:
        raise SipSyntaxError("no sip, sips or tel URI")
    flags.add("missing-scheme")
    return uri


def _sip(scheme: Scheme, text: str, flags: set[str]) -> Uri:
    """RFC 3261 section 19.1.1: `[userinfo@]host[:port][;parameters][?headers]`."""
    user: str | None = None
    user_params: Parameters = ()
    userinfo, at, rest = text.partition("@")
    if not at:
        rest = text
        if match := _NUMBER_PART.fullmatch(text):
            flags.add("missing-host")
            params = _parameters(match[2], flags)
            return Uri(scheme, match[1], (), None, None, params, _opaque(match[3]))
    elif "@" in rest:
        raise SipSyntaxError("two @ in one URI")
    else:
        user, user_params = _userinfo(userinfo, flags)
    match = _HOST_PART.fullmatch(rest)
    if match is None:
        raise SipSyntaxError("neither a host nor a port that can be read")
    host, port, params_text, headers = match.groups()
    params = _parameters(params_text, flags)
    return Uri(scheme, user, user_params, _host(host), _port(port), params, _opaque(headers))


def _userinfo(text: str, flags: set[str]) -> tuple[str, Parameters]:
    """The user and, where it is a telephone-subscriber, its parameters.

    RFC 3261 section 19.1.1 lets any user hold `;`, so only a number's are taken off (semiuri of
    RFC 4475 section 3.1.1.9). The password is checked and forgotten.
    """
    raw, _, password = text.partition(":")
    if not raw:
        raise SipSyntaxError("an empty user before @")
    unescape(password)
    head, semicolon, tail = raw.partition(";")
    if semicolon:
        number = unescape(head)
        if _SUBSCRIBER.fullmatch(number):
            return number, _parameters(f";{tail}", flags)
    return unescape(raw), ()


def _tel(text: str, flags: set[str]) -> Uri:
    """RFC 3966 section 3: a global or local number and its parameters, and at least one digit."""
    rest, question_mark, headers = text.partition("?")
    number, semicolon, tail = rest.partition(";")
    user = unescape(number)
    if not _TEL_NUMBER.fullmatch(user):
        raise SipSyntaxError("a tel URI without a number")
    params = _parameters(f";{tail}", flags) if semicolon else ()
    if question_mark or not _URI_CHARACTERS.fullmatch(tail):
        flags.add("illegal-character")
    return Uri("tel", user, params, headers=_opaque(headers) if question_mark else None)


def _parameters(text: str | None, flags: set[str]) -> Parameters:
    """Names in lower case with their values, in order; of a repeated name the first counts."""
    if not text:
        return ()
    found: dict[str, str | None] = {}
    for part in text[1:].split(";"):
        name, equals, value = part.partition("=")
        add_parameter(found, unescape(name), unescape(value) if equals else None, flags)
    return tuple(found.items())


def add_parameter(
    found: dict[str, str | None], name: str, value: str | None, flags: set[str]
) -> None:
    """`found` has the parameter unless it has no name or is there; both of these are flagged."""
    key = name.lower()
    if not key:
        flags.add("empty-parameter")
    elif key in found:
        flags.add("duplicate-parameter")
    else:
        if value == "":
            flags.add("empty-parameter")
        found[key] = value


def _host(text: str) -> str:
    if text[0] == "[":
        try:
            ipaddress.IPv6Address(text[1:-1])
        except ValueError:
            raise SipSyntaxError("not an IPv6 address between [ and ]") from None
    return text


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    port = int(text)
    if not 0 < port <= _LARGEST_PORT:
        raise SipSyntaxError("a port out of range")
    return port


def _opaque(headers: str | None) -> str | None:
    """URI headers stay text: they are never merged into the call's own (RFC 3261 19.1.5)."""
    if headers is not None:
        unescape(headers)
    return headers


def unescape(text: str) -> str:
    """The text with its `%xx` decoded as UTF-8 (RFC 3261 section 19.1.2), free of controls.

    RFC 3261 allows an escaped NUL or CR LF; here it is refused, as it has no place in a routing
    key or a log (RFC 4475 section 3.1.1.4).
    """
    if "%" not in text:
        return text
    pieces: list[str] = []
    position = 0
    for match in _ESCAPES.finditer(text):
        pieces.append(text[position : match.start()])
        try:
            pieces.append(bytes.fromhex(match[0].replace("%", "")).decode())
        except UnicodeDecodeError:
            raise SipSyntaxError("an escape that is not UTF-8") from None
        position = match.end()
    pieces.append(text[position:])
    if any("%" in piece for piece in pieces[::2]):
        raise SipSyntaxError("a % that is no escape")
    decoded = "".join(pieces)
    if _CONTROL.search(decoded):
        raise SipSyntaxError("an escaped control character")
    return decoded
