"""What happens to one call and why: the decision on a call that nobody placed.

The call is built and decided as the service does it; nothing is claimed, counted or answered.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any, Final
from urllib.parse import urlsplit

from sipagent.config.report.skills import plan_skills
from sipagent.config.report.wording import rule_text
from sipagent.errors import QuestionError
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
    Verdict,
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
    invite_of,
)
from sipagent.routing.moment import Moment, from_iso
from sipagent.sip import Headers

CALL_ID: Final = CallId("rtc_explained")
LATEST: Final = 221_845_392_000.0
"""The beginning of the year 9000. Hours look ahead of a call, and calendars end with 9999."""

_HOST: Final = "sip.api.openai.com"
_PUNCTUATION: Final = re.compile(r"(?<=[0-9+)])[ ().-]+|^\(")
_RULES: Final = "numbers."
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
    dialed: str | None, caller: str | None, more: Sequence[tuple[str, str]] = ()
) -> tuple[tuple[str, str], ...]:
    """The headers of a call to a number, or to a whole To value; `more` replace their names'."""
    headers = []
    named = {name.lower() for name, _ in more}
    for name, value in (("To", dialed), ("From", caller)):
        if value is not None and name.lower() not in named:
            number_only = f"<sip:{_PUNCTUATION.sub('', value)}@{_HOST}>"
            headers.append((name, value if set(value) & set("<@:") else number_only))
    return (*headers, *more)


def explain(
    question: Question,
    table: RoutingTable,
    controls: Controls,
    secrets: Mapping[TrunkName, Sequence[bytes]],
) -> Explanation:
    """The decision on the call in question. Raises QuestionError for a time that is none, or a
    trunk or an account that is not there."""
    raw = [{"name": name, "value": value} for name, value in question.headers]
    arrived = _arrived(Headers.from_json(raw), table, question.trunk, secrets)
    call = IncomingCall(
        call_id=question.call_id,
        webhook_id=WebhookId("wh_explained"),
        account=question.account or AccountName(""),
        invite=invite_of(arrived, table.trunks, table.region),
        headers=arrived.headers,
        trunk=None if arrived.trunk is None else arrived.trunk.name,
        verified=arrived.verified,
    )
    call = replace(call, account=_account(call, question, table))
    # Which number it is decides in which zone the time is meant.
    route = _route(decide(call, table, question.now, controls), call, table)
    timezone = _timezone(route, table)
    at = question.now if question.at is None else _time(question.at, timezone)
    decision = decide(call, table, at, controls)
    steps = tuple(_told((decision, route), call, table, Moment(at, timezone)))
    return Explanation(decision, call.account, at, timezone, arrived, route, steps)


def verdict_text(decision: Decision) -> str:
    """What happens to the call, in a line. Nobody is asked about it here."""
    consult = decision.consult
    if consult is not None:
        host = urlsplit(consult.url).hostname
        usual = verdict_text(replace(decision, consult=None))
        return f"consult: {host} within {consult.timeout:g} s, otherwise {usual}"
    match decision.verdict:
        case Accept(plan):
            language = f" in {plan.language}" if plan.language else ""
            return f"accept: the agent {plan.tenant}/{plan.agent} answers{language}"
        case Forward(plan, destination):
            return f"forward: to {plan.tenant}/{destination}, {plan.refer_to}"
        case Reject(code, reason, tenant):
            return f"reject: {code}, {reason.kind}.{reason} (tenant {tenant})"


def as_json(told: Explanation, *, show: bool) -> dict[str, Any]:
    """The explanation as data; `show` adds what the agent is told and says."""
    decision, verdict, trunk = told.decision, told.decision.verdict, told.arrival.trunk
    data = {
        **_verdict_json(verdict),
        "dialed": decision.dialed,
        "dialed_source": decision.dialed_source,
        "listed": decision.listed,
        "account": told.account,
        "at": told.local.isoformat(timespec="seconds"),
        "trunk": None if trunk is None else trunk.name,
        "trunk_proven": told.arrival.verified,
        "caps": [{"which": cap.which, **asdict(cap.rate)} for cap in decision.caps],
        "trace": [asdict(step) for step in told.steps],
    }
    if decision.consult is not None:
        asked = decision.consult
        data["consult"] = {"url": asked.url, "timeout": asked.timeout, "known": asked.known}
    if show and isinstance(verdict, Accept):
        greeting = verdict.plan.greeting
        data["greeting"] = None if greeting is None else greeting.say
        data["skills"] = plan_skills(verdict.plan)
        data["session"] = json.loads(json.dumps(verdict.plan.session, default=dict))
    return data


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    data: dict[str, Any] = {
        "verdict": type(verdict).__name__.lower(),
        "tenant": verdict.tenant if isinstance(verdict, Reject) else verdict.plan.tenant,
    }
    match verdict:
        case Accept(plan):
            return data | {"agent": plan.agent, "language": plan.language}
        case Forward(plan, destination):
            return data | {"destination": destination, "refer_to": plan.refer_to}
        case Reject(code, reason):
            return data | {"code": code, "reason": reason.value}


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
        raise QuestionError(f"there is no trunk {pretended}")
    return Arrival(found.headers, table.trunks[pretended], verified=True)


def _account(call: IncomingCall, question: Question, table: RoutingTable) -> AccountName:
    """The account that is asked for, else the first that has one of the numbers."""
    if question.account is not None:
        if question.account not in table.directories:
            raise QuestionError(f"there is no account {question.account}")
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
            prefixes = (route for route in directory.prefixes if route.key == step.considered)
            return directory.exact.get(step.considered) or next(prefixes, directory.default)
    return None


def _time(text: str, timezone: str | None) -> float:
    try:
        at = from_iso(text, timezone)
    except OverflowError:
        at = LATEST
    except ValueError as error:
        raise QuestionError(str(error)) from None
    if not 0 <= at < LATEST:
        raise QuestionError("a call comes between the years 1970 and 9000")
    return at


def _timezone(route: Route | None, table: RoutingTable) -> str | None:
    if route is None:
        return None
    return route.timezone or table.tenants[route.tenant].timezone


def _told(
    explained: tuple[Decision, Route | None],
    call: IncomingCall,
    table: RoutingTable,
    moment: Moment,
) -> Iterator[TraceStep]:
    """The trace with each rule in words, and those that were not reached."""
    decision, route = explained
    trace = decision.trace
    begun = next((at for at, step in enumerate(trace, 1) if step.source == "numbers"), len(trace))
    yield from trace[:begun]
    later = [step for step in trace[begun:] if not step.source.startswith(_RULES)]
    if route is not None and not any(step.source == "trunks" for step in later):
        default = table.directory(call.account).default
        routes = [route] if default in (None, route) else [route, default]
        yield from _rules_told(routes, trace, call, moment)
    yield from later


def _rules_told(
    routes: Sequence[Route], trace: Sequence[TraceStep], call: IncomingCall, moment: Moment
) -> Iterator[TraceStep]:
    """The rules of the number, and those of `default` where none of these holds."""
    for route in routes:
        source = f"{_RULES}{route.key}"
        if not route.rules:
            yield TraceStep(source, "no rule", False, "nobody answers this number")
        if len(route.rules) == 1 and not route.rules[0].conditions:
            yield TraceStep(source, rule_text(route.rules[0]), True, "no condition")
            return
        steps = [step for step in trace if step.source == source]
        for at, (rule, step) in enumerate(zip_longest(route.rules, steps), 1):
            told = f"rule {at}: {rule_text(rule)}"
            if step is None:
                yield TraceStep(source, told, False, _NOT_REACHED)
            else:
                because = _because(rule, call, moment) or step.because
                yield TraceStep(source, told, step.held, because)
        if any(step.held for step in steps):
            return


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
