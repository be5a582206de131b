"""Ordered rules: conditions on a call and what follows where all of them hold."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from sipagent.model import (
    AgentName,
    CallId,
    DestinationName,
    IncomingCall,
    Schedule,
    SecretName,
)
from sipagent.routing.moment import Moment


@dataclass(frozen=True, slots=True)
class AnswerWith:
    """Answer with an agent. `split` sends shares (0 to 1) of the calls to others instead, chosen
    by the call's id, so that every look at one call gives the same agent. `vars` are the rule's
    own."""

    agent: AgentName
    split: tuple[tuple[AgentName, float], ...] = ()
    vars: tuple[tuple[str, str], ...] = ()

    @property
    def answering(self) -> tuple[AgentName, ...]:
        """Every agent that may answer."""
        return tuple(dict.fromkeys((self.agent, *(name for name, _ in self.split))))

    def chosen(self, call_id: CallId) -> AgentName:
        """The agent for this call."""
        if not self.split:
            return self.agent
        draw = _draw(call_id)
        for agent, share in self.split:
            if draw < share:
                return agent
            draw -= share
        return self.agent


@dataclass(frozen=True, slots=True)
class ForwardTo:
    destination: DestinationName


@dataclass(frozen=True, slots=True)
class RejectWith:
    code: int


Settled = AnswerWith | ForwardTo | RejectWith
"""What happens to a call without asking anybody."""


@dataclass(frozen=True, slots=True)
class ConsultWith:
    """Ask the tenant's own endpoint, which has `timeout` seconds and may choose one of `agents`.
    `otherwise` is what happens where it gives no usable answer."""

    url: str = field(repr=False)
    secret: SecretName
    timeout: float
    otherwise: Settled
    agents: tuple[AgentName, ...] = ()

    @property
    def answering(self) -> tuple[AgentName, ...]:
        """Every agent that may answer."""
        usual = self.otherwise.answering if isinstance(self.otherwise, AnswerWith) else ()
        return tuple(dict.fromkeys((*self.agents, *usual)))


Action = Settled | ConsultWith


@dataclass(frozen=True, slots=True)
class DuringHours:
    """The call comes while these hours are open; `negated`, while they are closed."""

    name: str
    schedule: Schedule = field(repr=False, compare=False)
    negated: bool = False

    def holds(self, call: IncomingCall, moment: Moment) -> bool:
        return self.schedule.is_open(moment.local) is not self.negated

    def told(self, *, held: bool) -> str:
        return f"{self.name} is {'open' if held is not self.negated else 'closed'}"


@dataclass(frozen=True, slots=True)
class OnDates:
    """The call comes on one of these days, first and last included, in the number's zone."""

    spans: tuple[tuple[date, date], ...]

    def holds(self, call: IncomingCall, moment: Moment) -> bool:
        today = moment.local.date()
        return any(first <= today <= last for first, last in self.spans)

    def told(self, *, held: bool) -> str:
        return "the day is one of dates" if held else "the day is none of dates"


ANONYMOUS: Final = "anonymous"


@dataclass(frozen=True, slots=True)
class FromCaller:
    """The caller's number is one of these, begins like one that ends in `*`, or is withheld where
    `anonymous` is among them. Anybody can write any number: it chooses who answers, no more."""

    patterns: tuple[str, ...] = field(repr=False)

    def holds(self, call: IncomingCall, moment: Moment) -> bool:
        caller = call.invite.caller_e164
        if caller is None:
            return ANONYMOUS in self.patterns
        return any(_covers(pattern, caller.value) for pattern in self.patterns)

    def told(self, *, held: bool) -> str:
        return "the caller is listed" if held else "the caller is not listed"


@dataclass(frozen=True, slots=True)
class WithHeader:
    """A header has this value, or begins with it. A header that stands twice with different values
    holds for neither: whoever added the second one must not choose."""

    name: str
    equals: str | None = field(default=None, repr=False)
    prefix: str | None = field(default=None, repr=False)

    def holds(self, call: IncomingCall, moment: Moment) -> bool:
        values = set(call.headers.all(self.name))
        if len(values) != 1:
            return False
        value = values.pop().strip()
        if self.equals is not None:
            return value == self.equals
        return self.prefix is not None and value.startswith(self.prefix)

    def told(self, *, held: bool) -> str:
        if held:
            return f"the header {self.name} matches"
        return f"the header {self.name} does not match"


Condition = DuringHours | OnDates | FromCaller | WithHeader


@dataclass(frozen=True, slots=True)
class Rule:
    """`conditions` must all hold; a rule without any always does."""

    action: Action
    conditions: tuple[Condition, ...] = ()


def first_that_holds(
    rules: tuple[Rule, ...],
    call: IncomingCall,
    moment: Moment,
    told: Callable[[int, bool, str], None],
) -> Rule | None:
    """The first rule whose conditions all hold. `told` hears of each one tried: its number from 1,
    whether it held, and why."""
    for number, rule in enumerate(rules, 1):
        because = "no condition"
        for condition in rule.conditions:
            held = condition.holds(call, moment)
            because = condition.told(held=held)
            if not held:
                told(number, False, because)
                break
        else:
            told(number, True, because)
            return rule
    return None


def _covers(pattern: str, number: str) -> bool:
    if pattern.endswith("*"):
        return number.startswith(pattern[:-1])
    return number == pattern


def _draw(call_id: CallId) -> float:
    """A number from 0 to 1 that is the same whenever and wherever it is drawn for this call."""
    digest = hashlib.sha256(call_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
