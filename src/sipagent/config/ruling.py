"""From written rules to the rules by which calls are routed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from sipagent.config.consulting import verify_consult
from sipagent.config.lines import NumberLine, RuleLine
from sipagent.config.numbers import directory_key
from sipagent.config.places import Places
from sipagent.config.schema.base import given, seconds
from sipagent.config.schema.numbers import (
    Consult,
    NumberAnswer,
    RuleConsult,
    SettledAnswer,
    SettledForward,
    SettledRefusal,
    When,
    WhenHeader,
)
from sipagent.config.spaces import Space
from sipagent.model import AgentName, DestinationName, Rate, SecretName
from sipagent.routing import (
    Action,
    AnswerWith,
    Condition,
    ConsultWith,
    DuringHours,
    ForwardTo,
    FromCaller,
    OnDates,
    RejectWith,
    Rule,
    WithHeader,
)
from sipagent.routing.rules import ANONYMOUS, Settled
from sipagent.sip.names import canonical_name

_NOT: Final = "not "
_MOST_NAMES: Final = 8
_MONTH_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rulings:
    """Compiles the rules of one space; what cannot be compiled is told where it stands. `secrets`
    are the headers in which trunks send theirs."""

    space: Space
    places: Places
    region: str | None
    secrets: frozenset[str]
    known: set[str] = field(default_factory=set)

    def rules(self, line: NumberLine) -> tuple[Rule, ...]:
        """The line's rules, without those that are wrong."""
        compiled = []
        ended: RuleLine | None = None
        for rule in line.rules:
            if ended is not None:
                rule.origin.warn(
                    rule.steps, "this rule is never reached", "the one above always holds"
                )
            made = self._rule(rule)
            if made is not None:
                compiled.append(made)
                if not made.conditions:
                    ended = rule
        return tuple(compiled)

    def _rule(self, rule: RuleLine) -> Rule | None:
        action = self._action(rule)
        when: When | None = getattr(rule.value, "when", None)
        conditions = tuple(self._conditions(rule, when)) if when is not None else ()
        if action is None or None in conditions:
            return None
        return Rule(action, tuple(found for found in conditions if found is not None))

    def _action(self, rule: RuleLine) -> Action | None:
        if isinstance(rule.value, RuleConsult):
            return self._consult(rule, rule.value.consult)
        return self._settled(rule)

    def _settled(self, rule: RuleLine) -> Settled | None:
        match rule.value:
            case str() as name:
                return AnswerWith(AgentName(name)) if self._agent(rule, name) else None
            case SettledRefusal(reject=code):
                return RejectWith(code)
            case SettledForward(forward=name):
                return self._forward(rule, name)
            case SettledAnswer():
                return self._answer(rule, rule.value)
            case _:
                return None

    def _consult(self, rule: RuleLine, consult: Consult) -> Action | None:
        usable = verify_consult(self.space, rule, consult)
        named = given(consult.agents) or []
        for at, name in enumerate(named):
            usable &= self._agent(rule, name, "consult", "agents", at)
        below = (*rule.steps, "consult", "otherwise")
        otherwise = self._settled(RuleLine(consult.otherwise, rule.origin, below))
        if otherwise is None or not usable:
            return None
        return ConsultWith(
            consult.url,
            SecretName(consult.secret.secret),
            seconds(consult.timeout),
            otherwise,
            tuple(map(AgentName, named)),
        )

    def _answer(self, rule: RuleLine, value: SettledAnswer) -> AnswerWith | None:
        usable = self._agent(rule, value.agent, "agent")
        total, split = 0.0, []
        for name, share in (value.split or {}).items():
            usable &= self._agent(rule, name, "split", name)
            usable &= self._share(rule, value, name)
            split.append((AgentName(name), float(share[:-1]) / 100))
            total += float(share[:-1])
        if total > 100:
            rule.origin.complain((*rule.steps, "split"), f"the shares add up to {total:g}%")
            return None
        if not usable:
            return None
        # What a number writes beside its only action are the number's own variables.
        own = {} if isinstance(value, NumberAnswer) else value.vars or {}
        return AnswerWith(AgentName(value.agent), tuple(split), tuple(sorted(own.items())))

    def _share(self, rule: RuleLine, value: SettledAnswer, name: str) -> bool:
        """Whether a share means something."""
        steps = (*rule.steps, "split", name)
        if name == value.agent:
            rule.origin.complain(steps, "this agent answers the rest anyway", at_key=True)
        elif float(value.split[name][:-1]) == 0:
            rule.origin.complain(steps, "no call would go there", "leave it out")
        else:
            return True
        return False

    def _agent(self, rule: RuleLine, name: str, *steps: str | int) -> bool:
        if name in self.known or self.space.find("agents", name) is not None:
            self.known.add(name)
            return True
        if not self.space.broken("agents", name):
            names = self.space.names("agents")
            usable = frozenset(known for known in names if self.space.find("agents", known))
            meant = self.space.own.findings.did_you_mean(name, usable)
            at_key = steps[:1] == ("split",)
            where = (*rule.steps, *steps)
            hint = meant or self._known(usable)
            rule.origin.complain(where, self.space.unknown("agent", name), hint, at_key=at_key)
        return False

    def _known(self, names: frozenset[str]) -> str | None:
        own = (
            "agents"
            if self.space.own is self.space.gathered.main
            else f"{self.space.tenant}'s agents"
        )
        return f"{own}: {', '.join(sorted(names))}" if 0 < len(names) <= _MOST_NAMES else None

    def _forward(self, rule: RuleLine, name: str) -> ForwardTo | None:
        if self.space.find("destinations", name) is not None:
            return ForwardTo(DestinationName(name))
        if not self.space.broken("destinations", name):
            names = self.space.names("destinations")
            hint = self.space.own.findings.did_you_mean(name, names)
            message = self.space.unknown("destination", name)
            rule.origin.complain((*rule.steps, "forward"), message, hint)
        return None

    def _conditions(self, rule: RuleLine, when: When) -> Iterator[Condition | None]:
        steps = (*rule.steps, "when")
        written = when.model_fields_set
        if not written:
            rule.origin.complain(steps, "there is no condition", "hours, dates, caller or header")
            yield None
        if "hours" in written:
            yield self._hours(rule, when.hours)
        if "dates" in written:
            yield self._dates(rule, when.dates)
        if "caller" in written:
            yield self._caller(rule, when.caller)
        if "header" in written:
            yield self._header(rule, when.header)

    def _header(self, rule: RuleLine, header: WhenHeader) -> Condition | None:
        steps = (*rule.steps, "when", "header")
        name = canonical_name(header.name)
        if name is None:
            rule.origin.complain((*steps, "name"), "this is no header's name", "as in x-store-id")
        elif name in self.secrets:
            message = "this header holds a trunk's secret, which no rule sees"
            rule.origin.complain((*steps, "name"), message, "use the number's `trunk`")
        elif (header.equals is None) == (header.prefix is None):
            rule.origin.complain(steps, "needs one of equals and prefix")
        else:
            return WithHeader(name, header.equals, header.prefix)
        return None

    def _hours(self, rule: RuleLine, text: str) -> Condition | None:
        negated = text.startswith(_NOT)
        name = text.removeprefix(_NOT).strip()
        steps = (*rule.steps, "when", "hours")
        schedule = self.places.hours(self.space, name, rule.origin, steps)
        return None if schedule is None else DuringHours(name, schedule, negated)

    def _dates(self, rule: RuleLine, written: str | list[str]) -> Condition | None:
        spans, usable = [], True
        for steps, text in _each(written, (*rule.steps, "when", "dates")):
            first, dots, last = (part.strip() for part in text.partition(".."))
            begin, end = _date(first), _date(last if dots else first)
            if begin is None or end is None or end < begin:
                hint = 'as in "2026-12-24" or "2026-12-24..2026-12-26"'
                rule.origin.complain(steps, "these are no dates", hint)
                usable = False
            else:
                spans.append((begin, end))
        return OnDates(tuple(spans)) if usable else None

    def _caller(self, rule: RuleLine, written: str | list[str]) -> Condition | None:
        patterns, usable = [], True
        for steps, text in _each(written, (*rule.steps, "when", "caller")):
            key = text if text == ANONYMOUS else directory_key(text, self.region)
            if isinstance(key, str) and (key == ANONYMOUS or key.startswith("+")):
                patterns.append(key)
            else:
                hint = f'as in "+1 713 481 0111", "+1406*" or {ANONYMOUS}'
                rule.origin.complain(steps, "this is no caller's number", hint)
                usable = False
        return FromCaller(tuple(patterns)) if usable else None


def rate_of(text: str) -> Rate:
    """The rate that `3/10m` writes."""
    count, _, duration = text.partition("/")
    return Rate(int(count), seconds(duration))


def _each(
    written: str | list[str], steps: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(written, str):
        yield steps, written
    else:
        for at, text in enumerate(written):
            yield (*steps, at), text


def _date(text: str) -> date | None:
    if _MONTH_DAY.fullmatch(text) is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
