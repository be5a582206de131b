"""What happens to one call and why: the decision on a call that nobody placed.

The call is built and decided as the service does it; nothing is claimed, counted or answered.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sipagent.config.wording import routes_of, rule_text, rules_text
from sipagent.model import (
    Accept,
    AccountName,
    CallId,
    Decision,
    Forward,
    IncomingCall,
    Reject,
    Schedule,
    TraceStep,
    TrunkName,
    WebhookId,
)
from sipagent.routing import (
    Arrival,
    Controls,
    DuringHours,
    Route,
    RoutingTable,
    Rule,
    arrival,
    decide,
)
from sipagent.routing.moment import Moment, from_iso
from sipagent.sip import Headers, Invite, read_invite

CALL_ID: Final = CallId("rtc_explained")
_HOST: Final = "sip.api.openai.com"
_PUNCTUATION: Final = re.compile(r"(?<=[0-9+)])[ ().-]+|^\(")
_RULE: Final = re.compile(r"rule ([0-9]+)")
_WEEK: Final = timedelta(days=7)
_NOT_REACHED: Final = "not reached"


@dataclass(frozen=True, slots=True)
class Question:
    """A call to ask about. `headers` are as a webhook has them; `trunk` counts as proven.

    `at` is ISO 8601, in the number's zone if it has no offset; without it `now` (unix seconds) is
    the time. Without an account it is the one that has the number.
    """

    headers: tuple[tuple[str, str], ...]
    now: float
    at: str | None = None
    account: AccountName | None = None
    trunk: TrunkName | None = None
    call_id: CallId = CALL_ID


@dataclass(frozen=True, slots=True)
class Explanation:
    """The decision, with every rule of the number in words. `timezone` is the number's."""

    decision: Decision
    account: AccountName
    at: float
    timezone: str | None
    arrival: Arrival = field(repr=False)
    route: Route | None = field(repr=False)
    steps: tuple[TraceStep, ...] = field(repr=False)

    @property
    def local(self) -> datetime:
        """The time of the call on the clocks where the number is."""
        return Moment(self.at, self.timezone).local


def headers_of(
    number: str | None, caller: str | None, more: Sequence[tuple[str, str]] = ()
) -> tuple[tuple[str, str], ...]:
    """The headers of a call to a number; `more` are added, and replace those of their name."""
    headers = []
    named = {name.lower() for name, _ in more}
    for name, value in (("To", number), ("From", caller)):
        if value is not None and name.lower() not in named:
            headers.append((name, f"<sip:{_PUNCTUATION.sub('', value)}@{_HOST}>"))
    return (*headers, *more)


def explain(
    question: Question,
    table: RoutingTable,
    controls: Controls,
    secrets: Mapping[TrunkName, Sequence[bytes]],
) -> Explanation:
    """The decision on the call in question. Raises ValueError for a time that is none, and
    LookupError for a trunk or an account that is not there."""
    raw = [{"name": name, "value": value} for name, value in question.headers]
    arrived = _arrived(Headers.from_json(raw), table, question.trunk, secrets)
    call = IncomingCall(
        call_id=question.call_id,
        webhook_id=WebhookId("wh_explained"),
        account=question.account or AccountName(""),
        invite=invite_of(arrived, table),
        headers=arrived.headers,
        trunk=None if arrived.trunk is None else arrived.trunk.name,
        verified=arrived.verified,
    )
    call = replace(call, account=_account(call, question, table))
    # Which number it is decides in which zone the time is meant.
    route = _route(decide(call, table, question.now, controls), call, table)
    timezone = _timezone(route, table)
    at = question.now if question.at is None else from_iso(question.at, timezone)
    decision = decide(call, table, at, controls)
    steps = tuple(_told(decision, call, table, Moment(at, timezone)))
    return Explanation(decision, call.account, at, timezone, arrived, route, steps)


def invite_of(arrived: Arrival, table: RoutingTable) -> Invite:
    """What the headers say, read as this trunk writes them."""
    trunk = arrived.trunk
    return read_invite(
        arrived.headers,
        region=table.region,
        dialed_header=None if trunk is None else trunk.dialed_header,
        attestation_header=None if trunk is None else trunk.attestation_header or "",
    )


def verdict_text(decision: Decision) -> str:
    """What happens to the call, in a line."""
    match decision.verdict:
        case Accept(plan):
            language = f" in {plan.language}" if plan.language else ""
            return f"accept: the agent {plan.tenant}/{plan.agent} answers{language}"
        case Forward(plan, destination):
            return f"forward: to {plan.tenant}/{destination}, {plan.refer_to}"
        case Reject(code, reason, tenant):
            return f"reject: {code}, {reason} (tenant {tenant})"


def as_json(told: Explanation, *, show: bool) -> dict[str, Any]:
    """The explanation as data; `show` adds what the agent is told and says."""
    decision, verdict = told.decision, told.decision.verdict
    data: dict[str, Any] = {
        "verdict": type(verdict).__name__.lower(),
        "tenant": verdict.tenant if isinstance(verdict, Reject) else verdict.plan.tenant,
    }
    match verdict:
        case Accept(plan):
            data |= {"agent": plan.agent, "language": plan.language}
        case Forward(plan, destination):
            data |= {"destination": destination, "refer_to": plan.refer_to}
        case Reject(code, reason):
            data |= {"code": code, "reason": reason.value}
    data |= {
        "dialed": decision.dialed,
        "dialed_source": decision.dialed_source,
        "listed": decision.listed,
        "account": told.account,
        "at": told.local.isoformat(timespec="seconds"),
        "trunk": None if told.arrival.trunk is None else told.arrival.trunk.name,
        "trunk_proven": told.arrival.verified,
        "caps": [
            {"which": cap.which, "rate": f"{cap.rate.count}/{cap.rate.seconds:g}s"}
            for cap in decision.caps
        ],
        "trace": [
            {
                "source": step.source,
                "considered": step.considered,
                "held": step.held,
                "because": step.because,
            }
            for step in told.steps
        ],
    }
    if show and isinstance(verdict, Accept):
        greeting = verdict.plan.greeting
        data["greeting"] = None if greeting is None else greeting.say
        data["session"] = json.loads(json.dumps(verdict.plan.session, default=dict))
    return data


def _arrived(
    headers: Headers,
    table: RoutingTable,
    pretended: TrunkName | None,
    secrets: Mapping[TrunkName, Sequence[bytes]],
) -> Arrival:
    found = arrival(headers, table.trunks, secrets)
    if pretended is None:
        return found
    if pretended not in table.trunks:
        raise LookupError(f"there is no trunk {pretended}")
    return Arrival(found.headers, table.trunks[pretended], verified=True)


def _account(call: IncomingCall, question: Question, table: RoutingTable) -> AccountName:
    """The account that is asked for, else the first that has one of the numbers."""
    if question.account is not None:
        if question.account not in table.directories:
            raise LookupError(f"there is no account {question.account}")
        return question.account
    lookups = [key for candidate in call.invite.candidates for key in candidate.lookups]
    numbers = [one.e164 for one in call.invite.candidates if one.e164 is not None]
    for name, directory in table.directories.items():
        if any(directory.listed(key) is not None for key in lookups):
            return name
    for name, directory in table.directories.items():
        if any(directory.covering(number) is not None for number in numbers):
            return name
    return next(iter(table.directories))


def _route(decision: Decision, call: IncomingCall, table: RoutingTable) -> Route | None:
    directory = table.directory(call.account)
    for step in decision.trace:
        if step.source == "numbers" and step.held:
            return routes_of(table).get(step.considered, directory.default)
    return None


def _timezone(route: Route | None, table: RoutingTable) -> str | None:
    if route is None:
        return None
    return route.timezone or table.tenants[route.tenant].timezone


def _told(
    decision: Decision, call: IncomingCall, table: RoutingTable, moment: Moment
) -> Iterator[TraceStep]:
    """The trace with each rule in words, and those that were not reached."""
    routes = routes_of(table)
    for step in decision.trace:
        number = _RULE.fullmatch(step.considered)
        route = routes.get(step.source.removeprefix("numbers."))
        if step.source == "numbers" and step.held:
            yield step
            listed = routes.get(step.considered)
            if listed is not None and _is_plain(listed):
                yield TraceStep(_place(listed), rules_text(listed.rules), True, "no condition")
        elif number is None or route is None:
            yield step
        else:
            at = int(number[1])
            yield _rule_step(step, at, route, call, moment)
            if step.held:
                for later, rule in enumerate(route.rules[at:], at + 1):
                    told = f"rule {later}: {rule_text(rule)}"
                    yield TraceStep(step.source, told, False, _NOT_REACHED)


def _rule_step(
    step: TraceStep, at: int, route: Route, call: IncomingCall, moment: Moment
) -> TraceStep:
    rule = route.rules[at - 1]
    because = _because(rule, call, moment) or step.because
    return TraceStep(step.source, f"rule {at}: {rule_text(rule)}", step.held, because)


def _because(rule: Rule, call: IncomingCall, moment: Moment) -> str:
    """Each condition with its reason, up to the first that does not hold."""
    told = []
    for condition in rule.conditions:
        held = condition.holds(call, moment)
        if isinstance(condition, DuringHours):
            told.append(hours_text(condition.name, condition.schedule, moment.local))
        else:
            told.append(condition.told(held=held))
        if not held:
            return told[-1]
    return ", ".join(told)


def hours_text(name: str, schedule: Schedule, at: datetime) -> str:
    """`office is closed until Mon 09:00`."""
    is_open = schedule.is_open(at)
    until = schedule.next_closing(at) if is_open else schedule.next_opening(at)
    state = f"{name} is {'open' if is_open else 'closed'}"
    if until is None:
        return state
    form = "%a %H:%M" if until - at < _WEEK else "%Y-%m-%d %H:%M"
    return f"{state} until {until.strftime(form)}"


def _is_plain(route: Route) -> bool:
    return len(route.rules) == 1 and not route.rules[0].conditions


def _place(route: Route) -> str:
    return f"numbers.{route.key}"
