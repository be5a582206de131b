"""Who would answer a call, and why, as a page tells it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from sipagent.api.console.refusals import Refused
from sipagent.api.console.shell import Visitor
from sipagent.api.v1.explaining import before_default, has_default
from sipagent.api.v1.ports import Answered, Asked, Backend
from sipagent.errors import QuestionError
from sipagent.model.access import Principal

NOT_YOURS: Final = "No number of yours is dialed by that."


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was considered on the way to the decision."""

    source: str
    considered: str = field(repr=False)
    held: bool
    because: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Explained:
    """What would happen, in a line, with facts and the steps that led there."""

    verdict: str
    good: bool
    facts: Mapping[str, str] = field(repr=False)
    steps: Sequence[Step] = field(repr=False)


def question_of(fields: Mapping[str, str], trunks: Collection[str]) -> Asked:
    """The question of a form, which may name one of these trunks. Raises Refused."""
    if fields["trunk"] and fields["trunk"] not in trunks:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "There is no such trunk.")
    if not fields["dialed"]:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Write the number that is called.")
    return Asked(
        fields["dialed"],
        caller=fields["caller"] or None,
        at=fields["at"] or None,
        trunk=fields["trunk"] or None,
    )


def explained(backend: Backend, visitor: Visitor, asked: Asked) -> Explained:
    """What would happen to the call. Raises Refused for what cannot be asked.

    A tenant's people hear of their own numbers only: a number of somebody else's and one that leads
    nowhere are the same to them.
    """
    try:
        answered = backend.config.explain(asked)
    except QuestionError as error:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
    by, told = visitor.principal, _told(answered)
    if by.tenant is not None and answered.tenant != by.tenant:
        return Explained(NOT_YOURS, False, {}, ())
    return Explained(
        _verdict(answered, by),
        told.get("verdict") != "reject",
        dict(_facts(told)),
        _steps(backend, answered, by),
    )


def _told(answered: Answered) -> Mapping[str, Any]:
    return answered.told


def _verdict(answered: Answered, by: Principal) -> str:
    told = _told(answered)
    if by.tenant is not None and told.get("tenant") != by.tenant:
        return "No rule of the number holds: the operator says where such calls go."
    usual = _settled(told)
    consult = told.get("consult")
    if isinstance(consult, Mapping):
        return f"The tenant's endpoint is asked; without an answer: {usual}"
    return usual


def _settled(told: Mapping[str, Any]) -> str:
    match told.get("verdict"):
        case "accept":
            language = f" in {told['language']}" if told.get("language") else ""
            return f"The agent {told['tenant']}/{told['agent']} answers{language}."
        case "forward":
            return f"The call is sent on to {told['tenant']}/{told['destination']}."
        case _:
            reason = str(told.get("reason")).replace("_", " ")
            return f"The call is refused with {told.get('code')}: {reason}."


def _facts(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if told.get("dialed"):
        listed = "listed" if told.get("listed") else "not listed"
        yield "Dialed", f"{told['dialed']} ({told.get('dialed_source')}, {listed})"
    yield "Time", str(told.get("at"))
    yield "Account", str(told.get("account"))
    if told.get("trunk"):
        yield "Trunk", f"{told['trunk']} ({'proven' if told.get('trunk_proven') else 'not proven'})"
    for cap in told.get("caps") or ():
        yield "Limit", f"{cap['which']}, {cap['count']} in {cap['seconds']:g} s"


def _steps(backend: Backend, answered: Answered, by: Principal) -> Sequence[Step]:
    """The trace. What `default` says, and what follows from it, is told only to whoever has it."""
    steps: Sequence[Mapping[str, Any]] = _told(answered).get("trace") or ()
    if by.tenant is not None and not has_default(backend.config.table, by.tenant):
        steps = before_default(steps)
    return [
        Step(step["source"], step["considered"], bool(step["held"]), step["because"])
        for step in steps
    ]
