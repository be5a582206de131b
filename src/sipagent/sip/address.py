"""Header values that name somebody: To, From, Diversion, P-Asserted-Identity and their like.

The scanner reads each value once from left to right; every pattern is possessive, so that time
grows with the length alone, and no value longer than `MAX_VALUE_LENGTH` is read at all.

A value that breaks the grammar in a way that leaves no doubt about user and host is taken and
flagged; one that could mean two things is a `SipSyntaxError`:

    missing-bracket        `<` without `>` (Microsoft prints such a From)
    missing-host           `sip:+14155550100` (Telnyx's P-Asserted-Identity)
    missing-scheme         `<+14155550100>`
    blank-in-uri           blanks next to a bracket (badaspec of RFC 4475)
    illegal-character      the URI holds a character that it should have escaped
    illegal-display-name   an unquoted name that is not a list of tokens (baddn of RFC 4475)
    stripped-display-name  the name held controls, bidi or zero-width characters
    duplicate-parameter    of two parameters with one name the first counts
    empty-parameter        `;;` or `;=x` or `x=`
    number-parameters      parameters after a number that has neither scheme nor brackets
"""

import re
from dataclasses import dataclass, field

from sipagent.errors import SipSyntaxError
from sipagent.sip.untrusted import visible
from sipagent.sip.uri import Parameters, Scheme, Uri, add_parameter, bare_number, parse_uri

MAX_VALUE_LENGTH = 4096
MAX_LIST_LENGTH = 64

_NO_FLAGS: frozenset[str] = frozenset()
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_SCHEME = re.compile(r"\b(?:sips?|tel):", re.IGNORECASE | re.ASCII)
_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)" *+', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_BRACKETED = re.compile("<([^<>]*+)(>?)")
_ADDR_SPEC = re.compile(r'(?:sips?|tel):[^ ;,?<>"]*+', re.IGNORECASE | re.ASCII)
_ALONE = re.compile('[^;,<>"]++')
_UNQUOTED_NAME = re.compile('[^<>"]++')
_TOKENS = re.compile(r"[A-Za-z0-9\-.!%*_+`'~ ]++")
# Names and values are not held to the token grammar (carriers send `@` and `=` in them), only to
# ending where they seem to: no blank, control, comma, bracket or quote.
_PARAMETER = re.compile(
    r" *+; *+([^\x00-\x20\x7f-\x9f\ud800-\udfff;,=\"<>]*+) *+"
    r"(?:= *+(\"[^\"\\]*+(?:\\.[^\"\\]*+)*+\"|[^\x00-\x20\x7f-\x9f\ud800-\udfff;,\"<>]*+) *+)?+",
    re.DOTALL,
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Address:
    """One name-addr or addr-spec (RFC 3261 section 25.1), or a number that stands alone.

    `scheme` is None for a number alone. `user` is unescaped and without parameters; those of a
    telephone number in it, or of a tel URI, are `user_params`. The printed form shows only the
    scheme and the flags.
    """

    display_name: str | None = field(default=None, repr=False)
    scheme: Scheme | None = None
    user: str | None = field(default=None, repr=False)
    user_params: Parameters = field(default=(), repr=False)
    host: str | None = field(default=None, repr=False)
    port: int | None = field(default=None, repr=False)
    uri_params: Parameters = field(default=(), repr=False)
    header_params: Parameters = field(default=(), repr=False)
    uri_headers: str | None = field(default=None, repr=False)
    flags: frozenset[str] = _NO_FLAGS

    def parameter(self, name: str) -> str | None:
        """The value of the parameter, wherever in the address it stands; "" if it has none."""
        for params in (self.user_params, self.uri_params, self.header_params):
            for key, value in params:
                if key == name:
                    return value or ""
        return None


def parse_address(value: str) -> Address:
    """The one address of a header that holds one; a second one after a comma is refused."""
    text = _prepared(value)
    address, position = _scan(text, 0)
    if position < len(text):
        raise SipSyntaxError("more than one address")
    return address


def parse_address_list(value: str) -> tuple[Address, ...]:
    """The addresses of a comma-separated header, in order (RFC 3261 section 7.3.1).

    Nothing between two commas is passed over; one entry that cannot be read refuses the whole.
    """
    text = _prepared(value)
    addresses: list[Address] = []
    position = 0
    while position < len(text):
        if text[position] in ", ":
            position += 1
            continue
        if len(addresses) == MAX_LIST_LENGTH:
            raise SipSyntaxError(f"more than {MAX_LIST_LENGTH} addresses")
        address, position = _scan(text, position)
        addresses.append(address)
    if not addresses:
        raise SipSyntaxError("no address")
    return tuple(addresses)


def _prepared(value: str) -> str:
    """The value on one line (RFC 3261 section 7.3.1), with blanks for tabs and none around it."""
    if len(value) > MAX_VALUE_LENGTH:
        raise SipSyntaxError(f"longer than {MAX_VALUE_LENGTH} characters")
    if "\n" in value or "\r" in value:
        value = _FOLD.sub("", value)
        if "\n" in value or "\r" in value:
            raise SipSyntaxError("a line break that is not a fold")
    text = value.replace("\t", " ").strip(" ")
    if not text:
        raise SipSyntaxError("empty")
    return text


def _scan(text: str, start: int) -> tuple[Address, int]:
    """The address that begins at `start`, and where it ends: at a comma or the text's end."""
    flags: set[str] = set()
    name: str | None = None
    position = start
    first = text[start]
    if first == "<":
        uri, position = _bracketed(text, start, flags)
    elif first == '"':
        name, position = _quoted_name(text, start, flags)
        uri, position = _bracketed(text, position, flags)
    elif spec := _ADDR_SPEC.match(text, start):
        uri, position = _addr_spec(spec, flags)
    elif (alone := _number_alone(text, start)) is not None:
        uri, position = alone
        if text.startswith(";", position):
            flags.add("number-parameters")
    else:
        name, position = _unquoted_name(text, start, flags)
        uri, position = _bracketed(text, position, flags)
    header_params, position = _header_params(text, position, flags)
    scheme, user, user_params, host, port, uri_params, uri_headers = uri
    return Address(
        name,
        scheme,
        user,
        user_params,
        host,
        port,
        uri_params,
        header_params,
        uri_headers,
        frozenset(flags) if flags else _NO_FLAGS,
    ), position


def _quoted_name(text: str, start: int, flags: set[str]) -> tuple[str | None, int]:
    """RFC 3261 section 25.1, quoted-string: `%` means nothing in it, a backslash quotes."""
    match = _QUOTED.match(text, start)
    if match is None:
        raise SipSyntaxError("a quote that is not closed")
    name = match[1]
    if "\\" in name:
        name = _QUOTED_PAIR.sub(r"\1", name)
    return _display_name(name, flags), match.end()


def _unquoted_name(text: str, start: int, flags: set[str]) -> tuple[str | None, int]:
    """What stands before the bracket, unless a URI hides in it: then it could be the address."""
    match = _UNQUOTED_NAME.match(text, start)
    if match is None or not text.startswith("<", match.end()):
        raise SipSyntaxError("no sip, sips or tel URI")
    name = match[0]
    if _SCHEME.search(name):
        raise SipSyntaxError("a URI in place of a display name")
    if not _TOKENS.fullmatch(name):
        if not all(part.strip(" ") for part in name.split(",")):
            raise SipSyntaxError("a comma with nothing beside it")
        flags.add("illegal-display-name")
    return _display_name(name.rstrip(" "), flags), match.end()


def _display_name(name: str, flags: set[str]) -> str | None:
    shown = visible(name)
    if shown != name:
        flags.add("stripped-display-name")
    return shown if shown and not shown.isspace() else None


def _bracketed(text: str, start: int, flags: set[str]) -> tuple[Uri, int]:
    match = _BRACKETED.match(text, start)
    if match is None:
        raise SipSyntaxError("no < after the display name")
    inner, closing = match.groups()
    if not closing:
        if match.end() < len(text):
            raise SipSyntaxError("a bracket within brackets")
        flags.add("missing-bracket")
    trimmed = inner.strip(" ")
    if trimmed != inner:
        flags.add("blank-in-uri")
    return parse_uri(trimmed, flags), match.end()


def _addr_spec(spec: re.Match[str], flags: set[str]) -> tuple[Uri, int]:
    """RFC 3261 section 20.10: without brackets the URI ends at the first `;`, `,` or `?`.

    What follows `?` can then be nothing at all (regbadct of RFC 4475 section 3.1.2.13).
    """
    if spec.string.startswith("?", spec.end()):
        raise SipSyntaxError("URI headers without brackets")
    return parse_uri(spec[0], flags), spec.end()


def _number_alone(text: str, start: int) -> tuple[Uri, int] | None:
    match = _ALONE.match(text, start)
    if match is None or text.startswith("<", match.end()):
        return None
    uri = bare_number(match[0].rstrip(" "))
    return None if uri is None else (uri, match.end())


def _header_params(text: str, start: int, flags: set[str]) -> tuple[Parameters, int]:
    """The parameters up to a comma or the end, quoted values unquoted, `%` left as it is.

    RFC 3261 section 25.1 knows no escapes in generic-param, unlike in a URI's parameters.
    """
    position = start
    found: dict[str, str | None] = {}
    while match := _PARAMETER.match(text, position):
        name, value = match.groups()
        position = match.end()
        if value is not None and value.startswith('"'):
            value = _unquoted_value(value)
        add_parameter(found, name, value, flags)
    while text.startswith(" ", position):
        position += 1
    if position < len(text) and text[position] != ",":
        raise SipSyntaxError("text that is neither a parameter nor a second address")
    return tuple(found.items()), position


def _unquoted_value(value: str) -> str:
    plain = _QUOTED_PAIR.sub(r"\1", value[1:-1])
    if _CONTROL.search(plain):
        raise SipSyntaxError("a control character in a parameter")
    return plain
