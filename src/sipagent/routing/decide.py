"""The decision on an incoming call. Pure: the same call and table give the same decision."""

from collections.abc import Iterator
from typing import Final

from sipagent.model import (
    Accept,
    CallPlan,
    Decision,
    IncomingCall,
    Reason,
    Reject,
    TenantName,
    TraceStep,
    Verdict,
)
from sipagent.routing.directory import AnswerWith, NumberDirectory, RejectWith, Route
from sipagent.routing.table import RoutingTable
from sipagent.sip import Dialed, DialedCandidate, Invite, pick_dialed

NOT_FOUND: Final = 404
"""RFC 3261 21.4.5: the user does not exist here."""

_NOBODY: Final = TenantName("default")


def decide(call: IncomingCall, table: RoutingTable) -> Decision:
    """What happens to the call: the route of its dialed number, else `default`, else reject 404.

    Candidates are tried in the carriers' order, first all of them against the listed numbers,
    then against the prefixes: a broad prefix must not take a call whose exact number stands in a
    later header.
    """
    directory = table.directory
    dialed = pick_dialed(call.invite, lambda key: directory.listed(key) is not None)
    trace = _considered(call.invite, dialed)
    source, number = (None, None) if dialed is None else (dialed.source, dialed.e164 or dialed.key)
    route = directory.listed(dialed.key) if dialed is not None and dialed.listed else None
    if route is None and dialed is not None:
        for candidate, covering in _covered(call.invite, directory):
            source, number, route = candidate.source, candidate.e164, covering
            break
    listed = route is not None
    if route is None:
        route = directory.default
    trace.append(_last_step(route, number, listed=listed))
    return Decision(_verdict(route, call, table), tuple(trace), number, source, listed)


def _considered(invite: Invite, dialed: Dialed | None) -> list[TraceStep]:
    """One step for each candidate, up to the one that was taken."""
    steps = []
    for candidate in invite.candidates:
        taken = dialed is not None and dialed.listed and candidate.source == dialed.source
        because = "listed" if taken else "not listed"
        steps.append(
            TraceStep(
                candidate.source, candidate.e164 or candidate.text.printable(), taken, because
            )
        )
        if taken:
            break
    return steps


def _covered(invite: Invite, directory: NumberDirectory) -> Iterator[tuple[DialedCandidate, Route]]:
    """The candidates that a prefix covers. A number that nobody vouches for is not one."""
    for candidate in invite.candidates:
        if candidate.e164 is not None and not candidate.listed_only:
            route = directory.covering(candidate.e164)
            if route is not None:
                yield candidate, route


def _last_step(route: Route | None, number: str | None, *, listed: bool) -> TraceStep:
    if route is None:
        return TraceStep("numbers", "default", held=False, because="there is none")
    if listed:
        return TraceStep("numbers", route.key, held=True, because=f"covers {number}")
    return TraceStep("numbers", route.key, held=True, because="no number is listed")


def _verdict(route: Route | None, call: IncomingCall, table: RoutingTable) -> Verdict:
    if route is None:
        return Reject(NOT_FOUND, Reason.UNKNOWN_NUMBER, _NOBODY)
    match route.action:
        case RejectWith(code):
            unknown = route.key == "default"
            reason = Reason.UNKNOWN_NUMBER if unknown else Reason.RULE
            return Reject(code, reason, route.tenant)
        case AnswerWith(agent):
            profile = table.agents[agent]
            return Accept(
                CallPlan(
                    call_id=call.call_id,
                    account=call.account,
                    tenant=profile.tenant,
                    agent=profile.name,
                    session=profile.session,
                    greeting=profile.greeting,
                    config_hash=table.config_hash,
                )
            )
