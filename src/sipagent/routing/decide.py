"""The decision on an incoming call. Pure: the same call, table, orders and time give the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sipagent.model import (
    DEFAULT_TENANT,
    Consulted,
    Decision,
    IncomingCall,
    Reason,
    Reject,
    Returned,
    TenantName,
    Verdict,
)
from sipagent.model.attestation import DECLINE
from sipagent.routing.circumstances import Circumstances
from sipagent.routing.controls import Controls
from sipagent.routing.directory import NumberDirectory, Route
from sipagent.routing.limits import caps_of, limited
from sipagent.routing.moment import Moment
from sipagent.routing.table import RoutingTable
from sipagent.routing.trace import Trace
from sipagent.routing.trunks import Trunk
from sipagent.routing.verdicts import NOT_FOUND, Judging
from sipagent.sip import Dialed, DialedCandidate, Invite, pick_dialed

_NO_ORDERS: Final = Controls()
_NOBODY_BACK: Final[Mapping[TenantName, Returned]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Found:
    route: Route | None
    number: str | None = None
    source: str | None = None
    listed: bool = False


def decide(
    call: IncomingCall,
    table: RoutingTable,
    now: float,
    controls: Controls = _NO_ORDERS,
    *,
    returned: Mapping[TenantName, Returned] = _NOBODY_BACK,
    consulted: Consulted | None = None,
) -> Decision:
    """What happens to the call at this time (unix seconds).

    Its number's route, else `default`, else reject 404; of a route the first rule that holds, else
    the rules of `default`, else reject 404. An order of the operator's precedes every rule, and
    whether the caller gets through comes before what a rule leads to. `returned` has the tenants
    that the caller has called just before. A decision with a `consult` is made again with what
    came of it, `consulted`, from the same table at the same time.

    Candidates are tried in the carriers' order, first all of them against the listed numbers,
    then against the prefixes: a broad prefix must not take a call whose exact number stands in a
    later header.
    """
    trace = Trace()
    directory = table.directory(call.account)
    found = _find(call.invite, directory, trace)
    route = found.route
    if route is None:
        trace.add("numbers", "default", held=False, because="there is none")
        verdict: Verdict = Reject(NOT_FOUND, Reason.UNKNOWN_NUMBER, DEFAULT_TENANT)
        return Decision(verdict, tuple(trace.steps), found.number, found.source)
    trunk = _trunk_of(route, call, table)
    if trunk is not None and trunk.secret_header is not None and not _proven(trunk, call):
        trace.add("trunks", trunk.name, held=False, because="no secret of the trunk proves it")
        verdict = Reject(DECLINE, Reason.UNTRUSTED_TRUNK, route.tenant)
        return Decision(verdict, tuple(trace.steps), found.number, found.source, found.listed)
    moment = Moment(now, timezone_of(route, table))
    around = Circumstances(call, table, route, trunk, moment, found.number, returned=returned)
    judged = Judging(around, controls, trace, consulted).judged(directory.default)
    decision = Decision(
        judged.verdict,
        tuple(trace.steps),
        found.number,
        found.source,
        found.listed,
        caps_of(judged, around),
        consult=judged.consult,
    )
    return limited(decision, around, ordered=judged.ordered)


def _find(invite: Invite, directory: NumberDirectory, trace: Trace) -> _Found:
    dialed = pick_dialed(invite, lambda key: directory.listed(key) is not None)
    _consider(invite, dialed, trace)
    source, number = (None, None) if dialed is None else (dialed.source, dialed.e164 or dialed.key)
    route = directory.listed(dialed.key) if dialed is not None and dialed.listed else None
    if route is None and dialed is not None:
        for candidate, covering in _covered(invite, directory):
            source, number, route = candidate.source, candidate.e164, covering
            break
    if route is not None:
        trace.add("numbers", route.key, held=True, because=f"covers {number}")
        return _Found(route, number, source, listed=True)
    if directory.default is not None:
        trace.add("numbers", "default", held=True, because="no number is listed")
    return _Found(directory.default, number, source)


def _consider(invite: Invite, dialed: Dialed | None, trace: Trace) -> None:
    """One step for each candidate, up to the one that was taken."""
    for candidate in invite.candidates:
        taken = dialed is not None and dialed.listed and candidate.source == dialed.source
        number = candidate.e164 or candidate.text.printable()
        trace.add(candidate.source, number, held=taken, because="listed" if taken else "not listed")
        if taken:
            return


def _covered(invite: Invite, directory: NumberDirectory) -> Iterator[tuple[DialedCandidate, Route]]:
    """The candidates that a prefix covers. A number that nobody vouches for is not one."""
    for candidate in invite.candidates:
        if candidate.e164 is not None and not candidate.listed_only:
            route = directory.covering(candidate.e164)
            if route is not None:
                yield candidate, route


def _trunk_of(route: Route, call: IncomingCall, table: RoutingTable) -> Trunk | None:
    name = route.trunk or call.trunk
    return None if name is None else table.trunks.get(name)


def _proven(trunk: Trunk, call: IncomingCall) -> bool:
    return call.verified and call.trunk == trunk.name


def timezone_of(route: Route, table: RoutingTable) -> str | None:
    """The zone of a number: its own, or its tenant's; None where neither has one."""
    if route.timezone is not None:
        return route.timezone
    tenant = table.tenants.get(route.tenant)
    return None if tenant is None else tenant.timezone
