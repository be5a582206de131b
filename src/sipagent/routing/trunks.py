"""Which carrier's line a call came by, and whether that is proven.

The SIP door of a project is open: whoever knows its id can send an INVITE with any header, and the
provider signs the webhook all the same. Only a trunk's secret header proves where a call is from.
"""

import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sipagent.model import Rate, TrunkName
from sipagent.sip import Headers, Invite, read_invite

NUMBER_FORM = "tel:{e164}"


@dataclass(frozen=True, slots=True)
class Trunk:
    """One carrier's line. Without `secret_header` it cannot sign, and `per_caller` is set.

    `refer` is the form of a transfer's target, with `{e164}` for the number. `expose` are the
    headers that templates see. Header names are in lower case.
    """

    name: TrunkName
    secret_header: str | None = None
    dialed_header: str | None = None
    attestation_header: str | None = None
    expose: tuple[str, ...] = ()
    refer: str = NUMBER_FORM
    per_caller: Rate | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """`headers` are without every trunk's secret header."""

    headers: Headers
    trunk: Trunk | None
    verified: bool


def arrival(
    headers: Headers,
    trunks: Mapping[TrunkName, Trunk],
    secrets: Mapping[TrunkName, Sequence[bytes]],
) -> Arrival:
    """The trunk whose secret is among the headers; else, unproven, the one without a secret whose
    `dialed_header` is there; else the only one without a secret.

    Every secret is compared, each in constant time, so that the time tells nothing of them.
    """
    if not trunks:
        return Arrival(headers, None, verified=False)
    hiding = {trunk.secret_header for trunk in trunks.values() if trunk.secret_header}
    proven = [trunk for trunk in trunks.values() if _proves(headers, trunk, secrets)]
    open_headers = headers.without(*hiding) if hiding else headers
    if len(proven) == 1:
        return Arrival(open_headers, proven[0], verified=True)
    unsigned = [trunk for trunk in trunks.values() if trunk.secret_header is None]
    marked = [
        trunk
        for trunk in unsigned
        if trunk.dialed_header is not None and headers.all(trunk.dialed_header)
    ]
    for found in (marked, unsigned):
        if len(found) == 1:
            return Arrival(open_headers, found[0], verified=False)
    return Arrival(open_headers, None, verified=False)


def invite_of(arrived: Arrival, trunks: Mapping[TrunkName, Trunk], region: str | None) -> Invite:
    """What the headers say, read as the trunk of the arrival writes them."""
    trunk = arrived.trunk
    return read_invite(
        arrived.headers,
        region=region,
        dialed_header=None if trunk is None else trunk.dialed_header,
        attestation_header=attestation_header(arrived, trunks),
    )


def attestation_header(arrived: Arrival, trunks: Mapping[TrunkName, Trunk]) -> str | None:
    """The header in which an attestation is believed: None is any, "" is none. Where trunks are
    configured, a call by none of them could bring an attestation of its own."""
    if arrived.trunk is None:
        return "" if trunks else None
    return arrived.trunk.attestation_header or ""


def alike(
    trunks: Mapping[TrunkName, Trunk], secrets: Mapping[TrunkName, Sequence[bytes]]
) -> Iterator[tuple[TrunkName, TrunkName]]:
    """Trunks with an earlier one that has the same secret in the same header: neither of the two
    proves anything."""
    first: dict[tuple[str | None, bytes], TrunkName] = {}
    for name, values in secrets.items():
        header = trunks[name].secret_header
        pairs = {(name, first.setdefault((header, value), name)) for value in values}
        yield from sorted(pair for pair in pairs if pair[0] != pair[1])


def _proves(headers: Headers, trunk: Trunk, secrets: Mapping[TrunkName, Sequence[bytes]]) -> bool:
    """Whether the trunk's header stands there once with one of its secrets."""
    if trunk.secret_header is None:
        return False
    values = headers.all(trunk.secret_header)
    if len(values) != 1:
        return False
    given = values[0].strip().encode("utf-8", "surrogatepass")
    matches = [
        hmac.compare_digest(given, secret) for secret in secrets.get(trunk.name, ()) if secret
    ]
    return any(matches)
