"""From the action of a rule to the verdict on the call. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from sipagent.errors import TemplateError
from sipagent.model import (
    Accept,
    Advice,
    AgentName,
    Consult,
    Consulted,
    DestinationName,
    Forward,
    Reason,
    Reject,
    Verdict,
)
from sipagent.model.attestation import DECLINE
from sipagent.model.limit import UNAVAILABLE
from sipagent.routing.admission import admitted, judge
from sipagent.routing.advising import heeded, known_of
from sipagent.routing.circumstances import Circumstances
from sipagent.routing.controls import Controls, Order
from sipagent.routing.directory import Route
from sipagent.routing.planning import forward_plan, plan_of
from sipagent.routing.rules import (
    AnswerWith,
    ConsultWith,
    ForwardTo,
    RejectWith,
    Rule,
    Settled,
    first_that_holds,
)
from sipagent.routing.trace import Trace

NOT_FOUND: Final = 404
"""RFC 3261 21.4.5: the user does not exist here."""

_NO_VARS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict. `ordered` says that an order of the operator's led to it; `consult` is who is to
    be asked before it is followed."""

    verdict: Verdict
    ordered: bool = False
    consult: Consult | None = None


@dataclass(frozen=True, slots=True)
class Judging:
    """Finds the verdict on one call. `consulted` is what came of asking the tenant's own endpoint,
    None as long as nobody was asked."""

    around: Circumstances
    controls: Controls
    trace: Trace
    consulted: Consulted | None = None

    def judged(self, default: Route | None) -> Judged:
        """The verdict by the rules of the call's route, else by those of `default`.

        An order of the operator's precedes every rule, and who gets through all of them but the
        orders; a rejection needs nobody to get through.
        """
        around = self.around
        rule, route = self._rule(around.route), around.route
        if rule is None and default is not None and default is not route:
            rule, route = self._rule(default), default
        action = None if rule is None else rule.action
        usual = action.otherwise if isinstance(action, ConsultWith) else action
        agent = usual.chosen(around.call.call_id) if isinstance(usual, AnswerWith) else None
        if (order := self._order(None if agent is None else (route, agent))) is not None:
            return Judged(self._ordered(order), ordered=True)
        if action is None or isinstance(action, RejectWith):
            return Judged(self._refused(action))
        entry = admitted(around, self.trace)
        if isinstance(entry, Reject):
            return Judged(entry)
        if entry.agent is not None:
            return self._by(around, entry.agent, _NO_VARS)
        if isinstance(action, ConsultWith):
            return self._consulting(action, around.under(route))
        return self._settled(action, around.under(route))

    def _rule(self, route: Route) -> Rule | None:
        rules = route.rules
        if len(rules) == 1 and not rules[0].conditions:
            return rules[0]

        def told(number: int, held: bool, because: str) -> None:
            self.trace.add(f"numbers.{route.key}", f"rule {number}", held=held, because=because)

        return first_that_holds(rules, self.around.call, self.around.moment, told)

    def _order(self, who: tuple[Route, AgentName] | None) -> Order | None:
        """The order of the operator's that concerns the call."""
        if not self.controls.orders:
            return None
        route, moment = self.around.route, self.around.moment
        answering = None if who is None else (who[0].tenant, who[1])
        return self.controls.order_for(route.tenant, route.key, answering, moment.at)

    def _ordered(self, order: Order) -> Verdict:
        what = "paused" if order.paused else "an order of the operator's"
        named = f"{order.scope} {order.name}".strip()
        self.trace.add("controls", named, held=True, because=what)
        if order.to is not None:
            return self._forward(self.around, order.to, ordered=True)
        return Reject(order.code or UNAVAILABLE, Reason.RULE, self.around.route.tenant)

    def _refused(self, action: RejectWith | None) -> Reject:
        tenant = self.around.route.tenant
        if action is None:
            return Reject(NOT_FOUND, Reason.RULE, tenant)
        unknown = self.around.route.key == "default"
        return Reject(action.code, Reason.UNKNOWN_NUMBER if unknown else Reason.RULE, tenant)

    def _settled(self, action: Settled, around: Circumstances) -> Judged:
        """What follows from an action that asks nobody."""
        match action:
            case RejectWith():
                return Judged(self._refused(action))
            case ForwardTo(destination):
                return Judged(self._forward(around, destination))
            case AnswerWith():
                agent = action.chosen(around.call.call_id)
                return self._by(around, agent, dict(action.vars) or _NO_VARS)

    def _consulting(self, action: ConsultWith, around: Circumstances) -> Judged:
        """What follows with the answer of the tenant's own endpoint, or without it so far."""
        host = urlsplit(action.url).hostname or ""
        if self.consulted is None:
            told = f"is asked first, and has {action.timeout:g} s"
            self.trace.add("consult", host, held=False, because=told)
            usual = self._settled(action.otherwise, around)
            tenant = around.answering_tenant.name
            known = known_of(around)
            consult = Consult(tenant, action.url, action.secret, action.timeout, known)
            # An order about the agent that would answer is nobody's to change.
            return usual if usual.ordered else Judged(usual.verdict, consult=consult)
        advice, because = self.consulted.advice, self.consulted.because
        if advice is not None:
            heard = self._advised(action, around, advice, host)
            if heard is not None:
                return heard
        else:
            self.trace.add("consult", host, held=False, because=because)
        return self._settled(action.otherwise, around)

    def _advised(
        self, action: ConsultWith, around: Circumstances, advice: Advice, host: str
    ) -> Judged | None:
        """What follows from the advice; None, which is told, where nothing can."""
        if advice.reject is not None:
            self.trace.add("consult", host, held=True, because=f"reject {advice.reject}")
            return Judged(Reject(advice.reject, Reason.RULE, around.route.tenant))
        usual = action.otherwise
        own: Mapping[str, str] = _NO_VARS
        if advice.agent is not None:
            agent = advice.agent
        elif isinstance(usual, AnswerWith):
            agent, own = usual.chosen(around.call.call_id), dict(usual.vars)
        else:
            self.trace.add("consult", host, held=False, because="it names no agent")
            return None
        if agent not in action.answering:
            because = "it names an agent that the number does not offer"
            self.trace.add("consult", host, held=False, because=because)
            return None
        taken, left = heeded(advice.vars, around.profile(agent))
        around = replace(around, advised=taken)
        told = f"agent {agent}" + "".join(f", {name}" for name in sorted(taken))
        told += f"; not usable: {', '.join(left)}" if left else ""
        self.trace.add("consult", host, held=True, because=told)
        judged = self._by(around, agent, own)
        if not judged.ordered and _broken(judged.verdict):
            self.trace.add("consult", host, held=False, because="the call cannot be made by it")
            return None
        return judged

    def _by(self, around: Circumstances, agent: AgentName, values: Mapping[str, str]) -> Judged:
        """The agent answers, or whoever its own rule names for a caller that is not attested.

        An order of the operator's about any of these holds as well: none of them is chosen by a
        caller to get around it.
        """
        asked: set[AgentName] = set()
        while True:
            if (order := self._order((around.rules or around.route, agent))) is not None:
                return Judged(self._ordered(order), ordered=True)
            rule = around.profile(agent).attestation
            tenant = around.answering_tenant.name
            judged = None if rule is None else judge(rule, around, f"{tenant}/{agent}", self.trace)
            if isinstance(judged, Reject):
                return Judged(judged)
            if judged is None:
                return Judged(self._answer(around, agent, values))
            asked.add(agent)
            if judged in asked:
                told = "the agents name each other"
                self.trace.add("callers", f"{tenant}/{judged}", held=True, because=told)
                return Judged(Reject(DECLINE, Reason.RULE, around.route.tenant))
            agent, values, around = judged, _NO_VARS, replace(around, advised=_NO_VARS)

    def _answer(
        self, around: Circumstances, agent: AgentName, values: Mapping[str, str]
    ) -> Verdict:
        try:
            return Accept(plan_of(around, agent, values))
        except TemplateError as error:
            self.trace.add("agents", agent, held=False, because=str(error))
            return Reject(UNAVAILABLE, Reason.INTERNAL_ERROR, around.route.tenant)

    def _forward(
        self, around: Circumstances, destination: DestinationName, *, ordered: bool = False
    ) -> Verdict:
        try:
            plan = forward_plan(around, destination, ordered=ordered)
        except (TemplateError, LookupError) as error:
            self.trace.add("destinations", destination, held=False, because=str(error))
            return Reject(UNAVAILABLE, Reason.INTERNAL_ERROR, around.route.tenant)
        self.trace.add("destinations", destination, held=True, because="the call is sent there")
        return Forward(plan, destination)


def _broken(verdict: Verdict) -> bool:
    """Whether the call is refused only because something could not be made for it."""
    return isinstance(verdict, Reject) and verdict.reason is Reason.INTERNAL_ERROR
