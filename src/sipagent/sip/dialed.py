"""Where the dialed number may stand, in the order in which carriers are to be believed.

(a) the trunk's configured header; (b) the headers that PBXs use for it; (c) To; (c2) any other
extension header, for the directory only; (d) Diversion, newest first; (e) History-Info, the last
target before the project first. Never a header of the caller, and never a display name or a
parameter.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sipagent.errors import SipSyntaxError
from sipagent.sip.address import Address, parse_address, parse_address_list
from sipagent.sip.caller import Caller
from sipagent.sip.headers import Headers
from sipagent.sip.names import (
    CALLER_HEADERS,
    DIALED_HEADERS,
    canonical_name,
    may_hold_dialed_number,
)
from sipagent.sip.numbers import E164, digits_of, is_e164, number_in, number_in_context
from sipagent.sip.untrusted import Untrusted

MAX_ENTRIES = 32
MAX_EXTENSIONS = 32

_EXTENSIONS = "extension headers"
_ORDER = (*DIALED_HEADERS, "to", _EXTENSIONS, "diversion", "history-info")

_NEVER = frozenset({*CALLER_HEADERS, "contact", "via", "call-id", "identity", "user-to-user"})
_BEFORE_NUMBER = frozenset(" \t\r\n+0123456789(%")
_FEWEST_DIGITS_OF_AN_EXTENSION_HEADER = 7
_PROJECT = "proj_"
_NANP_INTERNATIONAL = "011"
# DIDWW's `{DID}{CALL_CPC}` appends two digits of the calling party's category to the DID.
_CPC_DIGITS = 2
_FEWEST_DIGITS_WITH_CPC = 12


@dataclass(frozen=True, slots=True)
class DialedCandidate:
    """One number that may have been dialed, and the header that says so.

    `listed_only` ones may be taken if the directory has them, and never reported otherwise;
    `conflicting` ones are those of an extension header that holds two different numbers.
    `spellings` are readings that only the directory can confirm.
    """

    source: str
    text: Untrusted
    e164: E164 | None = field(repr=False)
    spellings: tuple[str, ...] = field(default=(), repr=False)
    listed_only: bool = False
    conflicting: bool = False

    @property
    def lookups(self) -> tuple[str, ...]:
        """What to look up in the directory, best first."""
        return self.spellings if self.e164 is None else (self.e164, *self.spellings)


@dataclass(frozen=True, slots=True)
class DialedReading:
    """All candidates in order, and the numbers of those who diverted the call."""

    candidates: tuple[DialedCandidate, ...] = field(repr=False)
    forwarded: tuple[str, ...] = field(repr=False)
    flags: frozenset[str]


@dataclass(slots=True)
class _Reader:
    """Reads single headers and remembers what was odd about them."""

    headers: Headers
    region: str | None
    flags: set[str] = field(default_factory=set)
    ambiguous: bool = False

    def single(self, name: str) -> DialedCandidate | None:
        """The header's number; none if it stands twice and does not say the same twice."""
        values = self.headers.all(name)
        if len(values) == 1:
            address = self.address(values[0])
            if address is not None or "," not in values[0]:
                return self.candidate(name, address)
            values = self.listed(values[0])
        found = self.repeated(name, values)
        if len(found) > 1:
            self.ambiguous = True
        return found[0] if len(found) == 1 else None

    def listed(self, value: str) -> tuple[str, ...]:
        """The users of a header that may not be a list and is one: it stands more than once."""
        try:
            return tuple(entry.user or "" for entry in parse_address_list(value))
        except SipSyntaxError:
            return ()

    def repeated(self, name: str, values: tuple[str, ...]) -> tuple[DialedCandidate, ...]:
        """One candidate for each different number; none if some say a number and some do not."""
        readings = [self.candidate(name, self.address(value)) for value in dict.fromkeys(values)]
        found = {reading.lookups[0]: reading for reading in readings if reading is not None}
        if len(found) > 1:
            return tuple(found.values())
        if None in readings:
            self.flags.add("repeated-header")
            return ()
        return tuple(found.values())

    def address(self, value: str) -> Address | None:
        try:
            return parse_address(value)
        except SipSyntaxError:
            self.flags.add("unreadable-header")
            return None

    def entries(self, name: str) -> tuple[Address, ...]:
        """The entries of a list header over all its lines; an unreadable line has none."""
        found: list[Address] = []
        for value in self.headers.all(name)[:MAX_ENTRIES]:
            try:
                found.extend(parse_address_list(value))
            except SipSyntaxError:
                self.flags.add("unreadable-header")
            if len(found) >= MAX_ENTRIES:
                break
        return tuple(found[:MAX_ENTRIES])

    def candidate(self, source: str, address: Address | None) -> DialedCandidate | None:
        """The address as a candidate if its user is written as a number."""
        if address is None or address.user is None:
            return None
        digits = digits_of(address.user)
        if digits is None:
            return None
        e164 = number_in(address, self.region)
        keys = _directory_keys(address, digits, e164, with_cpc=source == "to")
        if e164 is None and not keys:
            return None
        return DialedCandidate(source, Untrusted(address.user), e164, keys, e164 is None)


def read_dialed(
    headers: Headers, region: str | None, dialed_header: str | None, caller: Caller
) -> DialedReading:
    """Every candidate in order; none at all if a header that may stand once contradicts itself."""
    reader = _Reader(headers, region)
    diversions = reader.entries("diversion")
    history = reader.entries("history-info")
    lists = {
        "diversion": [*enumerate(diversions)],
        "history-info": _targets_before_project(history),
    }
    configured = canonical_name(dialed_header) if dialed_header else None
    present = {*headers.names(), _EXTENSIONS}
    candidates: list[DialedCandidate] = []
    for name in _order(configured):
        if name not in present:
            continue
        if name == _EXTENSIONS:
            candidates.extend(_extensions(reader, configured, caller.numbers))
        elif name in lists:
            readings = (reader.candidate(f"{name}[{at}]", entry) for at, entry in lists[name])
            candidates.extend(reading for reading in readings if reading)
        elif reading := reader.single(name):
            candidates.append(reading)
    if reader.ambiguous or caller.conflicting:
        reader.flags.add("ambiguous_dialed")
        candidates.clear()
    forwarded = _forwarders(diversions, history, caller.privacy, region)
    return DialedReading(tuple(candidates), forwarded, frozenset(reader.flags))


def _order(configured: str | None) -> tuple[str, ...]:
    if configured is None or configured in _NEVER:
        return _ORDER
    return (configured, *(name for name in _ORDER if name != configured))


def _extensions(
    reader: _Reader, configured: str | None, callers: frozenset[str]
) -> Iterator[DialedCandidate]:
    """Vendors' own headers (`x-roistat-phone`), good for a number that the directory has."""
    names: dict[str, None] = {}
    for name, value in reader.headers.items():
        if may_hold_dialed_number(name) and (":" in value or value[:1] in _BEFORE_NUMBER):
            names[name] = None
    # Its findings are forgotten: that an unknown header is no address is none.
    prober = _Reader(reader.headers, reader.region)
    names.pop(configured or "", None)
    for name in list(names)[:MAX_EXTENSIONS]:
        found = prober.repeated(name, reader.headers.all(name))
        if len(found) > 1:
            reader.flags.add("ambiguous_extension")
        for candidate in found:
            if callers.isdisjoint(candidate.lookups) and _is_long_enough(candidate):
                yield replace(candidate, listed_only=True, conflicting=len(found) > 1)


def _is_long_enough(candidate: DialedCandidate) -> bool:
    return len(candidate.lookups[0]) >= _FEWEST_DIGITS_OF_AN_EXTENSION_HEADER


def _directory_keys(
    address: Address, digits: str, e164: E164 | None, *, with_cpc: bool
) -> tuple[str, ...]:
    """Readings too daring to report: digits as they came, 011, phone-context, DIDWW's category."""
    if digits[0] == "+":
        return ()
    keys: list[str] = []
    joined = number_in_context(address)
    if joined is not None:
        keys.append(joined)
    if e164 != f"+{digits}":
        keys.append(digits)
    if digits.startswith(_NANP_INTERNATIONAL) and is_e164(f"+{digits[3:]}"):
        keys.append(f"+{digits[3:]}")
    if with_cpc and len(digits) >= _FEWEST_DIGITS_WITH_CPC:
        shorter = f"+{digits[:-_CPC_DIGITS]}"
        if is_e164(shorter):
            keys.append(shorter)
    return tuple(key for key in keys if key != e164)


def _targets_before_project(history: tuple[Address, ...]) -> list[tuple[int, Address]]:
    """RFC 7044 section 5: oldest first; the last one is where the call stands now."""
    end = len(history)
    for index, address in enumerate(history):
        if address.user is not None and address.user.startswith(_PROJECT):
            end = index
            break
    return [*enumerate(history[:end])][::-1]


def _forwarders(
    diversions: tuple[Address, ...],
    history: tuple[Address, ...],
    privacy: frozenset[str],
    region: str | None,
) -> tuple[str, ...]:
    """The numbers of the list headers, each once, but for those that ask for privacy.

    Diversion has `privacy=` for it (RFC 5806, diversion-privacy), History-Info the call's
    Privacy header or one within the entry's URI (RFC 7044 section 10.1).
    """
    open_entries = [
        address
        for address in diversions
        if (address.parameter("privacy") or "off").lower() in {"off", "name"}
    ]
    if "history" not in privacy:
        open_entries.extend(
            address for address in history if "privacy=" not in (address.uri_headers or "").lower()
        )
    numbers = (number_in(address, region) for address in open_entries)
    return tuple(dict.fromkeys(number for number in numbers if number))
