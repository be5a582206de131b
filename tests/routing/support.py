"""Calls, tables and schedules for tests of decisions."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sipagent.errors import TemplateError
from sipagent.model import (
    DEFAULT_TENANT,
    AccountName,
    AgentName,
    CallFacts,
    CallId,
    DestinationName,
    IncomingCall,
    TrunkName,
    WebhookId,
)
from sipagent.routing import (
    Action,
    AnswerWith,
    Condition,
    ForwardTo,
    RejectWith,
    Route,
    Rule,
)
from sipagent.sip import Headers, read_invite

NUMBER = "+17134810111"
ACCOUNT = AccountName("default")
# Tuesday, 22 September 2026, 08:53:20 in Chicago.
NOW = 1_790_085_200.0


def a_call(
    *headers: tuple[str, str],
    to: str = NUMBER,
    call_id: str = "rtc_1",
    trunk: str | None = None,
    verified: bool = False,
    attestation_header: str | None = None,
) -> IncomingCall:
    """A call to `to`, with these headers as well."""
    raw = [{"name": "To", "value": f"<sip:{to}@x>"}]
    raw += [{"name": name, "value": value} for name, value in headers]
    read = Headers.from_json(raw)
    return IncomingCall(
        CallId(call_id),
        WebhookId("wh_1"),
        ACCOUNT,
        read_invite(read, attestation_header=attestation_header),
        headers=read,
        trunk=None if trunk is None else TrunkName(trunk),
        verified=verified,
    )


def caller(number: str) -> tuple[str, str]:
    return ("From", f"<sip:{number}@x>")


def rule(action: str | int | Action, *conditions: Condition) -> Rule:
    """A rule: an agent's name, a SIP code, or `>` and a destination's name."""
    match action:
        case int():
            return Rule(RejectWith(action), conditions)
        case str() if action.startswith(">"):
            return Rule(ForwardTo(DestinationName(action[1:])), conditions)
        case str():
            return Rule(AnswerWith(AgentName(action)), conditions)
        case _:
            return Rule(action, conditions)


def route(*rules: Rule, key: str = NUMBER, **more: object) -> Route:
    more.setdefault("tenant", DEFAULT_TENANT)
    return Route(key, rules=rules, **more)  # type: ignore[arg-type]  # a test's shorthand


@dataclass
class FakeSchedule:
    """Open from nine to five on the clocks where the number is; `asked` keeps the times."""

    opens: int = 9
    closes: int = 17
    asked: list[datetime] = field(default_factory=list)

    def is_open(self, at: datetime) -> bool:
        self.asked.append(at)
        return self.opens <= at.hour < self.closes

    def next_opening(self, at: datetime) -> datetime | None:
        if self.is_open(at):
            return at
        opening = at.replace(hour=self.opens, minute=0, second=0)
        return opening if opening > at else opening + timedelta(days=1)

    def next_closing(self, at: datetime) -> datetime | None:
        return at.replace(hour=self.closes, minute=0, second=0) if self.is_open(at) else at


@dataclass
class Rendered:
    """A template that is a function of the facts."""

    text: Callable[[CallFacts], str]

    def render(self, facts: CallFacts) -> str:
        return self.text(facts)


class Broken:
    """A template that fails."""

    def render(self, facts: CallFacts) -> str:
        raise TemplateError("vars.store is undefined")


def told(steps: Iterable[object]) -> list[tuple[str, bool, str]]:
    return [(step.source, step.held, step.because) for step in steps]  # type: ignore[attr-defined]
