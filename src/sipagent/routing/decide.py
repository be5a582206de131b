"""The decision on an incoming call. Pure: the same call and table give the same decision."""

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
from sipagent.sip import Dialed, Invite, pick_dialed

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
    route = _route(call.invite, dialed, directory)
    listed = route is not None
    if route is not None:
        trace.append(TraceStep("numbers", route.key, held=True, because="covers the number"))
    elif directory.default is not None:
        route = directory.default
        trace.append(TraceStep("numbers", "default", held=True, because="no number is listed"))
    else:
        trace.append(TraceStep("numbers", "default", held=False, because="there is none"))
    return Decision(
        verdict=_verdict(route, call, table),
        trace=tuple(trace),
        dialed=None if dialed is None else dialed.e164 or dialed.key,
        dialed_source=None if dialed is None else dialed.source,
        listed=listed,
    )


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


def _route(invite: Invite, dialed: Dialed | None, directory: NumberDirectory) -> Route | None:
    if dialed is None:
        return None
    if dialed.listed:
        return directory.listed(dialed.key)
    for candidate in invite.candidates:
        if candidate.e164 is not None and not candidate.listed_only:
            route = directory.covering(candidate.e164)
            if route is not None:
                return route
    return None


def _verdict(route: Route | None, call: IncomingCall, table: RoutingTable) -> Verdict:
    if route is None:
        return Reject(NOT_FOUND, Reason.UNKNOWN_NUMBER, _NOBODY)
    match route.action:
        case RejectWith(code):
            return Reject(code, Reason.RULE, route.tenant)
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
