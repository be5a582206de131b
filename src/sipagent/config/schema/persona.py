"""Agents: what they say, know and may do. All leaves are optional: most come from elsewhere."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, Tag

from sipagent.config.schema.base import (
    ABSENT,
    LANGUAGES,
    MAPPING,
    NOTHING,
    TEXT,
    Duration,
    Entry,
    LanguageTag,
    Money,
    Name,
    Prose,
    Reference,
    Region,
    VariableName,
    Word,
    is_by_language,
    shape_of,
    shaped,
)
from sipagent.config.schema.callers import AttestationWanted, CallersEverywhere
from sipagent.config.schema.leaves import SessionLeaves
from sipagent.config.schema.tools import Tool

KEY_PATTERN: Final = r"^[0-9*#]$"
FirstWords = Annotated[Word, StringConstraints(max_length=2000)]


def _spoken_of(value: Any) -> str | None:
    if isinstance(value, dict) and is_by_language(value):
        return LANGUAGES
    return shape_of(value)


class SpokenGreeting(Entry):
    say: Annotated[
        Annotated[FirstWords, Tag(TEXT)] | Annotated[dict[LanguageTag, FirstWords], Tag(LANGUAGES)],
        shaped("text, or text for each language", _spoken_of),
    ] = Field(description="The first words of the call, at most 2,000 characters.")
    interruptible: bool = Field(
        default=True, description="Whether a caller who speaks cuts the greeting short."
    )


class Silence(Entry):
    after: Duration = Field(description="How long nobody speaks before the agent asks, as in 20s.")
    say: Annotated[
        Annotated[FirstWords, Tag(TEXT)] | Annotated[dict[LanguageTag, FirstWords], Tag(LANGUAGES)],
        shaped("text, or text for each language", _spoken_of),
    ] = Field(default=ABSENT, description="What the agent asks then.")
    hang_up_after: int = Field(
        default=2, ge=1, le=10, description="How many questions without an answer end the call."
    )


class AfterCall(Entry):
    model: Word = Field(description="The model that reads what was said, such as gpt-5-mini.")
    summary: bool = Field(default=True, description="Whether it writes a summary.")
    extract: dict[str, Any] = Field(
        default=ABSENT, description="A JSON Schema of what it takes out of what was said."
    )


class DeclaredVariable(Entry):
    type: Literal["text", "phone", "number"] = Field(
        default="text", description="What the value must be: text, phone or number."
    )
    default: Word = Field(default=ABSENT, description="The value where nobody gives one.")
    value: Word = Field(default=ABSENT, description="The agent's own value, whatever a tenant has.")
    description: Word = Field(default=ABSENT, description="What it is for, for those who fill it.")


Declaration = Annotated[
    Annotated[Literal["required"], Tag(TEXT)] | Annotated[DeclaredVariable, Tag(MAPPING)],
    shaped("required, {type: phone} or {default: text}"),
]

OnFailure = list[Literal["retry", "fallback", "hang_up"]]


class AgentLeaves(SessionLeaves):
    """The leaves of an agent that may also stand under `defaults`."""

    model: Word = Field(
        default=ABSENT,
        description="The model that speaks and listens: a name under `models`, or the provider's.",
    )
    instructions: Prose = Field(
        default=ABSENT, description="Who the agent is and how it behaves, or the file with it."
    )
    greeting: Annotated[
        Annotated[FirstWords, Tag(TEXT)]
        | Annotated[SpokenGreeting, Tag(MAPPING)]
        | Annotated[dict[LanguageTag, FirstWords], Tag(LANGUAGES)]
        | Annotated[None, Tag(NOTHING)],
        shaped("text or {say: text, interruptible: false}", _spoken_of),
    ] = Field(default=ABSENT, description="What the agent says first.")
    disclosure: Annotated[
        Annotated[FirstWords, Tag(TEXT)]
        | Annotated[dict[LanguageTag, FirstWords], Tag(LANGUAGES)]
        | Annotated[None, Tag(NOTHING)],
        shaped("text, text for each language, or null", _spoken_of),
    ] = Field(
        default=ABSENT,
        description="Said before the greeting and to the end: that an AI answers, for example.",
    )
    languages: list[LanguageTag] = Field(
        default=ABSENT,
        min_length=1,
        description="The languages that the agent speaks, such as [en, es]; the first by default.",
    )
    silence: Annotated[
        Annotated[Silence, Tag(MAPPING)] | Annotated[None, Tag(NOTHING)],
        shaped("a mapping such as {after: 20s}, or null"),
    ] = Field(default=ABSENT, description="What happens when nobody speaks.")
    tools: list[Tool] = Field(default=ABSENT, description="What the agent can do beside talking.")
    keys: dict[Annotated[str, StringConstraints(pattern=KEY_PATTERN)], Reference] = Field(
        default=ABSENT,
        description='Keys that send a caller to a destination, such as {"0": front_desk}.',
    )
    watch: Duration = Field(
        default=ABSENT, description="How long a transfer counts as under way, 10s to 2m; 45s."
    )
    max_duration: Duration = Field(
        default=ABSENT, description="The longest call, such as 20m; at most 60m."
    )
    max_cost: Money = Field(
        default=ABSENT, description="The most that one call may cost, such as 2 USD."
    )
    attestation: Annotated[
        Annotated[AttestationWanted, Tag(MAPPING)] | Annotated[None, Tag(NOTHING)],
        shaped("a mapping such as {min: B}, or null"),
    ] = Field(default=ABSENT, description="What the carrier must say of the number of its callers.")
    after_call: Annotated[
        Annotated[AfterCall, Tag(MAPPING)] | Annotated[None, Tag(NOTHING)],
        shaped("a mapping such as {model: gpt-5-mini}, or null"),
    ] = Field(default=ABSENT, description="What is made of a call when it is over.")
    on_failure: OnFailure = Field(
        default=ABSENT,
        min_length=1,
        description="What is tried when the model fails, in order: retry, fallback, hang_up.",
    )


class TenantAgentEntry(AgentLeaves):
    """One agent in a tenant's file."""

    extends: Reference = Field(
        default=ABSENT,
        description="The agent whose leaves hold where this one writes none: NAME or common/NAME.",
    )
    vars: dict[VariableName, Declaration] = Field(
        default=ABSENT, description="The variables that the agent's texts use."
    )


class AgentEntry(TenantAgentEntry):
    """One agent in an operator's file."""

    extra: dict[str, Any] = Field(
        default=ABSENT,
        description="A JSON merge patch (RFC 7396) on the session, applied last. Operator only.",
    )


MAX_VALUE: Final = 4000
Value = Annotated[str, StringConstraints(max_length=MAX_VALUE)]


class Defaults(AgentLeaves):
    """Leaves for every agent that does not write its own, and what the whole file shares."""

    region: Region | None = Field(
        default=None,
        description="Whose national spellings of numbers are read: two capital letters, ISO 3166.",
    )
    trunk: Name = Field(
        default=ABSENT, description="The trunk of numbers that name none; any for every trunk."
    )
    rules: Prose = Field(
        default=ABSENT,
        description="What ends every agent's instructions; no agent can leave it out.",
    )
    vars: dict[VariableName, Value] = Field(
        default=ABSENT, description="Values that tenants, agents and numbers may replace."
    )
    callers: CallersEverywhere = Field(
        default=ABSENT, description="Who gets through, whatever number is called."
    )


class Model(SessionLeaves):
    """A model by a name of ours, with what belongs to it."""

    model: Word = Field(description="The provider's name of the model; on Azure the deployment's.")
    fallback: Name = Field(
        default=ABSENT, description="The entry under `models` that is used when this one fails."
    )
