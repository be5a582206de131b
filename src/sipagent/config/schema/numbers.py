"""Numbers, what happens to a call to each, and the places that a call may be sent to."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints, Tag

from sipagent.config.schema.base import (
    ABSENT,
    LIST,
    MAPPING,
    TEXT,
    Duration,
    Entry,
    Hidden,
    LanguageTag,
    Name,
    Reference,
    Share,
    VariableName,
    Word,
    shape_of,
    shaped,
)
from sipagent.config.schema.callers import CallersEntry
from sipagent.config.schema.limits import NumberLimits
from sipagent.config.schema.persona import Value
from sipagent.config.schema.tools import GrantedSecret

ACTIONS = ("agent", "forward", "reject", "consult", "rules")


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
    callers: CallersEntry = Field(default=ABSENT, description="Who gets through to it.")


class SettledAnswer(Entry):
    agent: Word = Field(description="The agent that answers.")
    vars: dict[VariableName, Value] = Field(
        default=ABSENT, description="Values of variables for these calls."
    )
    split: dict[Word, Share] = Field(
        default=ABSENT, description="Agents that answer a share of these calls, such as {b: 5%}."
    )


class SettledRefusal(Entry):
    reject: int = Field(ge=300, le=699, description="The SIP status that refuses, 300 to 699.")


class SettledForward(Entry):
    forward: Word = Field(description="The destination that the call is sent to at once.")


class RuleAnswer(SettledAnswer, _Conditional):
    """An agent answers."""


class RuleRefusal(SettledRefusal, _Conditional):
    """The call is refused."""


class RuleForward(SettledForward, _Conditional):
    """The call is sent on."""


def action_of(value: Any) -> str | None:
    if isinstance(value, dict):
        kinds = set(ACTIONS) & value.keys()
        return f"<{kinds.pop()}>" if len(kinds) == 1 else None
    return shape_of(value)


Settled = Annotated[
    Annotated[Word, Tag(TEXT)]
    | Annotated[SettledAnswer, Tag("<agent>")]
    | Annotated[SettledRefusal, Tag("<reject>")]
    | Annotated[SettledForward, Tag("<forward>")],
    shaped("an agent's name, {agent: ...}, {forward: ...} or {reject: 404}", action_of),
]


class Consult(Entry):
    url: Word = Field(description="The tenant's own endpoint, which is asked by POST.")
    secret: Annotated[GrantedSecret, Hidden()] = Field(
        description="The granted secret that signs what it is asked: {secret: NAME}."
    )
    timeout: Duration = Field(
        default="800ms", description="How long it may take, 100ms to 3s; the caller hears ringing."
    )
    agents: list[Word] = Field(
        default=ABSENT, min_length=1, description="The agents that it may choose."
    )
    otherwise: Settled = Field(description="What happens where it gives no usable answer.")


class RuleConsult(_Conditional):
    """The tenant's own endpoint says what happens."""

    consult: Consult = Field(description="The tenant's own endpoint, which chooses.")


RuleEntry = Annotated[
    Annotated[Word, Tag(TEXT)]
    | Annotated[RuleAnswer, Tag("<agent>")]
    | Annotated[RuleRefusal, Tag("<reject>")]
    | Annotated[RuleForward, Tag("<forward>")]
    | Annotated[RuleConsult, Tag("<consult>")],
    shaped("an agent's name, {agent: ...}, {forward: ...} or {reject: 404}", action_of),
]


class NumberAnswer(RuleAnswer, _Settings):
    """A number that one agent answers."""


class NumberRefusal(RuleRefusal, _Settings):
    """A number whose calls are refused."""


class NumberForward(RuleForward, _Settings):
    """A number whose calls are sent on."""


class NumberConsult(RuleConsult, _Settings):
    """A number about whose calls the tenant's own endpoint is asked."""


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
    | Annotated[NumberConsult, Tag("<consult>")]
    | Annotated[NumberRules, Tag("<rules>")]
    | Annotated[list[RuleEntry], Field(min_length=1), Tag(LIST)],
    shaped(
        "an agent's name, {agent: ...}, {forward: ...}, {reject: 404} or a list of rules",
        action_of,
    ),
]


class DestinationEntry(Entry):
    to: Word = Field(description="A number with +, a tel: or sip: URI, or a template of one.")
    description: Annotated[Word, StringConstraints(max_length=500)] = Field(
        default=ABSENT, description="What it is for: the model chooses by it."
    )
    hours: Word = Field(default=ABSENT, description="When it can be reached: hours by name.")
    on_failure: Annotated[
        Annotated[Reference, Tag(TEXT)] | Annotated[list[Reference], Tag(LIST)],
        shaped("resume, take_message, hang_up, a destination, or a list of them"),
    ] = Field(default=ABSENT, description="What follows when nobody takes the call there.")
    allow_own_number: bool = Field(
        default=False, description="Whether it may be a number of this directory: mind loops."
    )
    allow_any_number: bool = Field(
        default=False,
        description="Whether it may be a premium, satellite or unknown number. Operator only.",
    )


Destination = Annotated[
    Annotated[Word, Tag(TEXT)] | Annotated[DestinationEntry, Tag(MAPPING)],
    shaped("a number or {to: number}"),
]
