"""What one INVITE says: which numbers may have been dialed, by whom, and who passed it on."""

from collections.abc import Callable
from dataclasses import dataclass, field

from sipagent.sip.caller import Attestation, read_caller
from sipagent.sip.dialed import DialedCandidate, read_dialed
from sipagent.sip.headers import Headers
from sipagent.sip.numbers import E164, is_e164
from sipagent.sip.untrusted import Untrusted


@dataclass(frozen=True, slots=True)
class Invite:
    """The headers' meaning. Without a directory nobody can say which candidate was dialed.

    Flags: `ambiguous_dialed` (a header that may stand once stands twice with different numbers:
    no candidates), `ambiguous_extension` (the same in an extension header, which then chooses
    nothing), `ambiguous_caller`, `caller_withheld`,
    `repeated-header`, `unreadable-header` and `dropped-headers`.
    """

    candidates: tuple[DialedCandidate, ...] = ()
    caller_e164: Untrusted | None = None
    display_name: Untrusted | None = None
    forwarded_from: tuple[Untrusted, ...] = ()
    attestation: Attestation | None = None
    privacy: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Dialed:
    """The dialed number and the header it stands in.

    `listed` says that `key` is in the directory; otherwise the number is only what a carrier, or
    anybody else, has written, and routes to nothing but the default.
    """

    source: str
    e164: E164 | None = field(repr=False)
    key: str = field(repr=False)
    listed: bool
    forwarded_from: tuple[Untrusted, ...] = ()


def read_invite(
    headers: Headers,
    *,
    region: str | None = None,
    dialed_header: str | None = None,
    attestation_header: str | None = None,
) -> Invite:
    """The INVITE's meaning, whatever the headers hold; nothing in them raises.

    Args:
        region: the ISO 3166 region whose national numbers the carrier sends, if it does.
        dialed_header: the header in which this trunk puts the dialed number, if it is known.
        attestation_header: the only header in which this trunk says what STIR/SHAKEN said; empty
            for a trunk that says nothing. Without it every header is read that may say it.
    """
    caller = read_caller(headers, region, attestation_header)
    dialed = read_dialed(headers, region, dialed_header, caller)
    flags = caller.flags | dialed.flags
    if headers.dropped:
        flags |= {"dropped-headers"}
    return Invite(
        dialed.candidates,
        Untrusted(caller.e164) if caller.e164 else None,
        Untrusted(caller.display_name) if caller.display_name else None,
        tuple([Untrusted(number) for number in dialed.forwarded]),
        caller.attestation,
        caller.privacy,
        flags,
    )


def pick_dialed(invite: Invite, is_listed: Callable[[str], bool]) -> Dialed | None:
    """The first candidate in the directory, else the first that may be reported, else None.

    None, too, if the first listed one stands in an extension header that holds two different
    numbers: whoever added the second one must not choose.
    """
    for candidate in invite.candidates:
        for key in candidate.lookups:
            if is_listed(key):
                return None if candidate.conflicting else _dialed(invite, candidate, key, True)
    for candidate in invite.candidates:
        if candidate.e164 is not None and not candidate.listed_only:
            return _dialed(invite, candidate, candidate.e164, False)
    return None


def _dialed(invite: Invite, candidate: DialedCandidate, key: str, listed: bool) -> Dialed:
    e164 = E164(key) if is_e164(key) else candidate.e164
    others = tuple(number for number in invite.forwarded_from if number.value != e164)
    return Dialed(candidate.source, e164, key, listed, others)
