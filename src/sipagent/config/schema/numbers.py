"""Numbers, what happens to a call to each, and the places that a call may be sent to."""

from typing import Annotated, Any

from pydantic import Field, Tag

from sipagent.config.schema.base import (
    ABSENT,
    LIST,
    MAPPING,
    TEXT,
    Entry,
    LanguageTag,
    Name,
    Share,
    VariableName,
    Word,
    shape_of,
    shaped,
)
from sipagent.config.schema.limits import NumberLimits
from sipagent.config.schema.persona import Value

ACTIONS = ("agent", "forward", "reject", "rules")


class WhenHeader(Entry):
    name: Word = Field(description="The header's name.")
    equals: str = Field(default=ABSENT, description="The whole value.")
    prefix: Word = Field(default=ABSENT, description="How the value begins.")


Patterns = Annotated[
    Annotated[Word, Tag(TEXT)] | Annotated[list[Word], Field(min_length=1), Tag(LIST)],
    shaped("text or a list of texts"),
]


class When(Entry):
    """Conditions; all that are written must hold."""

    hours: Word = Field(
        default=ABSENT, description="Opening hours by name, or `not NAME` for when they are closed."
    )
    dates: Patterns = Field(
        default=ABSENT, description='Days such as "2026-12-24" or "2026-12-24..2026-12-26".'
    )
    caller: Patterns = Field(
        default=ABSENT, description='Numbers, prefixes such as "+1406*", or anonymous.'
    )
    header: WhenHeader = Field(default=ABSENT, description="A header of the call.")


class _Conditional(Entry):
    when: When = Field(default=ABSENT, description="When the rule holds; without it, always.")


class _Settings(_Conditional, NumberLimits):
    """What a number is, beside what happens to its calls."""

    tenant: Name = Field(default=ABSENT, description="Whose number it is.")
    trunk: Name = Field(default=ABSENT, description="The trunk that its calls come by, or any.")
    timezone: Word = Field(default=ABSENT, description="Its time zone, such as America/Chicago.")
    hours: Name = Field(default=ABSENT, description="Its opening hours, for templates.")
    language: LanguageTag = Field(default=ABSENT, description="The language of its first words.")


class RuleAnswer(_Conditional):
    agent: Word = Field(description="The agent that answers.")
    vars: dict[VariableName, Value] = Field(
        default=ABSENT, description="Values of variables for these calls."
    )
    split: dict[Word, Share] = Field(
        default=ABSENT, description="Agents that answer a share of these calls, such as {b: 5%}."
    )


class RuleRefusal(_Conditional):
    reject: int = Field(ge=300, le=699, description="The SIP status that refuses, 300 to 699.")


class RuleForward(_Conditional):
    forward: Word = Field(description="The destination that the call is sent to at once.")


def action_of(value: Any) -> str | None:
    if isinstance(value, dict):
        kinds = set(ACTIONS) & value.keys()
        return f"<{kinds.pop()}>" if len(kinds) == 1 else None
    return shape_of(value)


RuleEntry = Annotated[
    Annotated[Word, Tag(TEXT)]
    | Annotated[RuleAnswer, Tag("<agent>")]
    | Annotated[RuleRefusal, Tag("<reject>")]
    | Annotated[RuleForward, Tag("<forward>")],
    shaped("an agent's name, {agent: ...}, {forward: ...} or {reject: 404}", action_of),
]


class NumberAnswer(RuleAnswer, _Settings):
    """A number that one agent answers."""


class NumberRefusal(RuleRefusal, _Settings):
    """A number whose calls are refused."""


class NumberForward(RuleForward, _Settings):
    """A number whose calls are sent on."""


class NumberRules(_Settings):
    """A number with ordered rules."""

    rules: list[RuleEntry] = Field(min_length=1, description="Rules; the first that holds wins.")
    vars: dict[VariableName, Value] = Field(
        default=ABSENT, description="Values of variables for all of its calls."
    )


NumberEntry = Annotated[
    Annotated[Word, Tag(TEXT)]
    | Annotated[NumberAnswer, Tag("<agent>")]
    | Annotated[NumberRefusal, Tag("<reject>")]
    | Annotated[NumberForward, Tag("<forward>")]
    | Annotated[NumberRules, Tag("<rules>")]
    | Annotated[list[RuleEntry], Field(min_length=1), Tag(LIST)],
    shaped(
        "an agent's name, {agent: ...}, {forward: ...}, {reject: 404} or a list of rules",
        action_of,
    ),
]

FailureStep = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class DestinationEntry(Entry):
    to: Word = Field(description="A number with +, a tel: or sip: URI, or a template of one.")
    hours: Word = Field(default=ABSENT, description="When it can be reached: hours by name.")
    on_failure: Annotated[
        Annotated[FailureStep, Tag(TEXT)] | Annotated[list[FailureStep], Tag(LIST)],
        shaped("resume, take_message, hang_up, a destination, or a list of them"),
    ] = Field(default=ABSENT, description="What follows when nobody takes the call there.")
    allow_own_number: bool = Field(
        default=False, description="Whether it may be a number of this directory: mind loops."
    )


Destination = Annotated[
    Annotated[Word, Tag(TEXT)] | Annotated[DestinationEntry, Tag(MAPPING)],
    shaped("a number or {to: number}"),
]
