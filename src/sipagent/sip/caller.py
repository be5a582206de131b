"""Who calls, as far as the headers say and the caller allows."""

import re
from dataclasses import dataclass, field
from typing import Literal

from sipagent.errors import SipSyntaxError
from sipagent.sip.address import Address, parse_address, parse_address_list
from sipagent.sip.headers import Headers
from sipagent.sip.names import CALLER_HEADERS
from sipagent.sip.numbers import E164, number_in

Level = Literal["A", "B", "C"]
Verdict = Literal["passed", "failed", "none"]

_KNOWN_PRIVACY = frozenset({"id", "user", "header", "critical", "history", "session", "none"})
_WITHHOLDING = frozenset({"id", "user", "header", "critical"})
_WITHHELD_USERS = frozenset({"anonymous", "restricted", "private", "withheld", "unavailable"})
# CNAM services send "Unavailable" beside a number that is not withheld, so it is not here.
_WITHHELD_NAMES = frozenset({"anonymous", "restricted", "private", "withheld"})
_RPID_OPEN = frozenset({"off", "none", "no", "name", ""})

_PRIVACY_BREAK = re.compile("[;, \t]")
_VERSTAT = re.compile(
    r"(?:tn-validation-(passed|failed)|no-tn-validation)(?:-([abc]))?+", re.IGNORECASE | re.ASCII
)
_VERDICTS: dict[str | None, Verdict] = {"passed": "passed", "failed": "failed", None: "none"}
_LEVELS: dict[str, Level] = {"a": "A", "b": "B", "c": "C"}
_RANK = ("failed", "none", "passed", "passed-C", "passed-B", "passed-A")
_LETTERS: tuple[Level | None, ...] = (None, "C", "B", "A")
# plivo.com/docs/sip-trunking/concepts/stir-shaken: the three values of X-Plivo-Stir-Verification.
_WORDS: dict[str, Verdict] = {
    "verified": "passed",
    "not verified": "failed",
    "not applicable": "none",
}


@dataclass(frozen=True, slots=True)
class Attestation:
    """What the carrier says that STIR/SHAKEN said; unverified, as every header is."""

    level: Level | None
    verdict: Verdict
    source: str


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller's number and name, or None where there is none or the caller withholds them.

    `numbers` are all that name the calling side, withheld ones too: none of them can be the
    dialed number of an unknown header. `conflicting` means two From with different numbers.
    """

    e164: E164 | None = field(repr=False)
    display_name: str | None = field(repr=False)
    numbers: frozenset[str] = field(repr=False)
    privacy: frozenset[str]
    attestation: Attestation | None
    flags: frozenset[str]
    conflicting: bool


def read_caller(
    headers: Headers, region: str | None, attestation_header: str | None = None
) -> Caller:
    """From if there is one and it is a number; else P-Asserted-Identity and its older kin.

    A Privacy header (RFC 3323 section 4.2) or an anonymous From hides them all. With an
    `attestation_header` attestation is read in that header only.
    """
    by_header = {
        name: _addresses(name, values) for name in CALLER_HEADERS if (values := headers.all(name))
    }
    numbers = {
        name: tuple(number_in(address, region) for address in addresses)
        for name, addresses in by_header.items()
    }
    flags: set[str] = set()
    in_from = frozenset(number for number in numbers.get("from", ()) if number)
    privacy = privacy_of(headers.all("privacy"))
    e164, name = _first_number(headers, by_header, numbers, flags)
    if privacy & _WITHHOLDING or _is_withheld(by_header):
        flags.add("caller_withheld")
        e164 = name = None
    return Caller(
        e164,
        name,
        frozenset(number for found in numbers.values() for number in found if number),
        privacy,
        _attestation(headers, by_header)
        if attestation_header is None
        else _attestation_in(attestation_header, headers, by_header),
        frozenset(flags),
        len(in_from) > 1,
    )


def privacy_of(values: tuple[str, ...]) -> frozenset[str]:
    """The known tokens of the Privacy headers, which any case and order may write (RFC 3323)."""
    if not values:
        return frozenset()
    found = {token.lower() for value in values for token in _PRIVACY_BREAK.split(value)}
    return _KNOWN_PRIVACY & found


def _addresses(name: str, values: tuple[str, ...]) -> tuple[Address, ...]:
    found: list[Address] = []
    for value in values:
        try:
            if name == "from":
                found.append(parse_address(value))
            else:
                found.extend(parse_address_list(value))
        except SipSyntaxError:
            continue
    if name == "remote-party-id":
        return tuple(address for address in found if _is_calling_party(address))
    return tuple(found)


def _is_calling_party(address: Address) -> bool:
    party = address.parameter("party")
    return party is None or party.lower() == "calling"


def _first_number(
    headers: Headers,
    by_header: dict[str, tuple[Address, ...]],
    numbers: dict[str, tuple[E164 | None, ...]],
    flags: set[str],
) -> tuple[E164 | None, str | None]:
    """The number of the first header that has one, with the name that stands beside it.

    A From without a number (a PBX's extension) still gives the name if the other header has none.
    """
    from_name: str | None = None
    usable = CALLER_HEADERS
    if _is_ambiguous(headers.all("from"), numbers.get("from", ())):
        flags.add("ambiguous_caller")
        usable = CALLER_HEADERS[1:]
    for header in usable:
        for address, number in zip(by_header.get(header, ()), numbers.get(header, ()), strict=True):
            if number:
                return number, address.display_name or from_name
            if header == "from":
                from_name = address.display_name
    return None, from_name


def _is_ambiguous(values: tuple[str, ...], numbers: tuple[E164 | None, ...]) -> bool:
    """From stands once (RFC 3261 section 7.3.1): a second one may only say the same again."""
    if len(set(values)) < 2:
        return False
    return None in numbers or len(set(numbers)) != 1 or len(numbers) != len(values)


def _is_withheld(by_header: dict[str, tuple[Address, ...]]) -> bool:
    """True if any From is anonymous or a Remote-Party-ID says `privacy=full`."""
    for address in by_header.get("remote-party-id", ()):
        if (address.parameter("privacy") or "").lower() not in _RPID_OPEN:
            return True
    return any(_is_anonymous(address) for address in by_header.get("from", ()))


def _is_anonymous(address: Address) -> bool:
    """RFC 3323 section 4.1, and the words that switches put in the place of a number."""
    if address.host is not None and address.host.lower().rstrip(".").endswith(".invalid"):
        return True
    user, name = address.user, address.display_name
    if user is not None and user.lower() in _WITHHELD_USERS:
        return True
    return name is not None and name.lower() in _WITHHELD_NAMES


def _attestation(headers: Headers, by_header: dict[str, tuple[Address, ...]]) -> Attestation | None:
    """The least of what the headers claim, so that adding a header never improves it."""
    claims = [
        claim
        for value in headers.all("x-twilio-verstat")
        if (claim := _claim(value, "x-twilio-verstat"))
    ]
    for header in ("p-asserted-identity", "from"):
        claims += _verstats(header, by_header)
    lowest = min(claims, key=_rank, default=None)
    levels = {value.strip().lower() for value in headers.all("p-attestation-indicator")}
    indicated = _LEVELS.get(max(levels)) if levels else None
    if indicated is None or (lowest is not None and lowest.level is not None):
        return lowest
    source = "p-attestation-indicator" if lowest is None else lowest.source
    return Attestation(indicated, "none" if lowest is None else lowest.verdict, source)


def _attestation_in(
    header: str, headers: Headers, by_header: dict[str, tuple[Address, ...]]
) -> Attestation | None:
    """The least of what this header claims: as the parameter `verstat` if it holds addresses, else
    as its whole value."""
    if header in CALLER_HEADERS:
        claims = _verstats(header, by_header)
    else:
        claims = [claim for value in headers.all(header) if (claim := _plain_claim(value, header))]
    return min(claims, key=lambda one: (_rank(one), _LETTERS.index(one.level)), default=None)


def _verstats(header: str, by_header: dict[str, tuple[Address, ...]]) -> list[Attestation]:
    return [
        claim
        for address in by_header.get(header, ())
        if (verstat := address.parameter("verstat"))
        and (claim := _claim(verstat, header, plain=_plain_level(address)))
    ]


def _plain_claim(text: str, source: str) -> Attestation | None:
    """A verstat, Plivo's words, or only the level."""
    word = " ".join(text.lower().split())
    if word in _WORDS:
        return Attestation(None, _WORDS[word], source)
    if word in _LEVELS:
        return Attestation(_LEVELS[word], "none", source)
    return _claim(text, source)


def _claim(text: str, source: str, plain: Level | None = None) -> Attestation | None:
    match = _VERSTAT.fullmatch(text.strip())
    if match is None:
        return None
    verdict = _VERDICTS[match[1].lower() if match[1] else None]
    # A letter beside "no validation" is what somebody has signed and nobody has checked.
    level = _LEVELS[match[2].lower()] if match[2] and verdict != "none" else None
    return Attestation(level or (plain if verdict == "passed" else None), verdict, source)


def _plain_level(address: Address) -> Level | None:
    """Telnyx writes full attestation without a letter; elsewhere no letter means no level."""
    if address.scheme == "tel":
        return None
    host = (address.host or "telnyx.com").lower()
    return "A" if host == "telnyx.com" or host.endswith(".telnyx.com") else None


def _rank(claim: Attestation) -> int:
    suffix = f"-{claim.level}" if claim.level and claim.verdict == "passed" else ""
    return _RANK.index(claim.verdict + suffix)
