"""The decision on an incoming call. Pure: the same call, table, orders and time give the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from sipagent.errors import TemplateError
from sipagent.model import (
    DEFAULT_TENANT,
    Accept,
    AgentName,
    Decision,
    DestinationName,
    Forward,
    IncomingCall,
    Reason,
    Reject,
    TraceStep,
    Verdict,
)
from sipagent.routing.controls import Controls, Order
from sipagent.routing.directory import NumberDirectory, Route
from sipagent.routing.limits import caps_of, limited
from sipagent.routing.moment import Moment
from sipagent.routing.planning import Circumstances, forward_plan, plan_of
from sipagent.routing.rules import Action, AnswerWith, ForwardTo, RejectWith, Rule, first_that_holds
from sipagent.routing.table import RoutingTable
from sipagent.routing.trunks import Trunk
from sipagent.sip import Dialed, DialedCandidate, Invite, pick_dialed

NOT_FOUND: Final = 404
"""RFC 3261 21.4.5: the user does not exist here."""

SERVICE_UNAVAILABLE: Final = 503
DECLINE: Final = 603
"""RFC 3261 21.6.2: what the provider itself sends by default."""

_NO_ORDERS: Final = Controls()
_NO_VARS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(slots=True)
class _Trace:
    """The steps so far."""

    steps: list[TraceStep] = field(default_factory=list)

    def add(self, source: str, considered: str, *, held: bool, because: str) -> None:
        self.steps.append(TraceStep(source, considered, held, because))


@dataclass(frozen=True, slots=True)
class _Found:
    route: Route | None
    number: str | None = None
    source: str | None = None
    listed: bool = False


def decide(
    call: IncomingCall, table: RoutingTable, now: float, controls: Controls = _NO_ORDERS
) -> Decision:
    """What happens to the call at this time (unix seconds).

    Its number's route, else `default`, else reject 404; of a route the first rule that holds, else
    the rules of `default`, else reject 404. An order of the operator's precedes every rule.

    Candidates are tried in the carriers' order, first all of them against the listed numbers,
    then against the prefixes: a broad prefix must not take a call whose exact number stands in a
    later header.
    """
    trace = _Trace()
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
    around = Circumstances(
        call, table, route, trunk, Moment(now, _timezone(route, table)), found.number
    )
    verdict, ordered = _verdict(around, directory, controls, trace)
    caps = caps_of(verdict, around, ordered=ordered)
    decision = Decision(verdict, tuple(trace.steps), found.number, found.source, found.listed, caps)
    return limited(decision, around, ordered=ordered)


def _find(invite: Invite, directory: NumberDirectory, trace: _Trace) -> _Found:
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


def _consider(invite: Invite, dialed: Dialed | None, trace: _Trace) -> None:
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


def _timezone(route: Route, table: RoutingTable) -> str | None:
    if route.timezone is not None:
        return route.timezone
    tenant = table.tenants.get(route.tenant)
    return None if tenant is None else tenant.timezone


def _verdict(
    around: Circumstances, directory: NumberDirectory, controls: Controls, trace: _Trace
) -> tuple[Verdict, bool]:
    """The verdict, and whether an order of the operator's led to it."""
    rule = _rule(around, around.route, trace)
    route = around.route
    default = directory.default
    if rule is None and default is not None and default is not route:
        rule = _rule(around, default, trace)
        route = default
    action = None if rule is None else rule.action
    agent = action.chosen(around.call.call_id) if isinstance(action, AnswerWith) else None
    if controls.orders:
        who = None if agent is None else (route.tenant, agent)
        order = controls.order_for(around.route.tenant, around.route.key, who, around.moment.at)
        if order is not None:
            return _ordered(order, around, trace), True
    return _followed(action, agent, around, route, trace), False


def _followed(
    action: Action | None,
    agent: AgentName | None,
    around: Circumstances,
    route: Route,
    trace: _Trace,
) -> Verdict:
    """What follows from the action of a route's rule."""
    match action:
        case None:
            return Reject(NOT_FOUND, Reason.RULE, around.route.tenant)
        case RejectWith(code):
            unknown = around.route.key == "default"
            reason = Reason.UNKNOWN_NUMBER if unknown else Reason.RULE
            return Reject(code, reason, around.route.tenant)
        case ForwardTo(destination):
            return _forward(around.under(route), destination, trace)
        case AnswerWith():
            assert agent is not None
            return _answer(around.under(route), agent, dict(action.vars) or _NO_VARS, trace)


def _rule(around: Circumstances, route: Route, trace: _Trace) -> Rule | None:
    rules = route.rules
    if len(rules) == 1 and not rules[0].conditions:
        return rules[0]

    def told(number: int, held: bool, because: str) -> None:
        trace.add(f"numbers.{route.key}", f"rule {number}", held=held, because=because)

    return first_that_holds(rules, around.call, around.moment, told)


def _ordered(order: Order, around: Circumstances, trace: _Trace) -> Verdict:
    what = "paused" if order.paused else "an order of the operator's"
    trace.add("controls", f"{order.scope} {order.name}".strip(), held=True, because=what)
    if order.to is not None:
        return _forward(around, order.to, trace, ordered=True)
    return Reject(order.code or SERVICE_UNAVAILABLE, Reason.RULE, around.route.tenant)


def _answer(
    around: Circumstances, agent: AgentName, rule_vars: Mapping[str, str], trace: _Trace
) -> Verdict:
    try:
        return Accept(plan_of(around, agent, rule_vars))
    except TemplateError as error:
        trace.add("agents", agent, held=False, because=str(error))
        return Reject(SERVICE_UNAVAILABLE, Reason.INTERNAL_ERROR, around.route.tenant)


def _forward(
    around: Circumstances, destination: DestinationName, trace: _Trace, *, ordered: bool = False
) -> Verdict:
    try:
        plan = forward_plan(around, destination, ordered=ordered)
    except (TemplateError, LookupError) as error:
        trace.add("destinations", destination, held=False, because=str(error))
        return Reject(SERVICE_UNAVAILABLE, Reason.INTERNAL_ERROR, around.route.tenant)
    trace.add("destinations", destination, held=True, because="the call is sent there")
    return Forward(plan, destination)
