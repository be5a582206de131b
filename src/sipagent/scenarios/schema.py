"""What may be written in a scenario file. One frozen model for each mapping, strict and closed."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, Tag

from sipagent.config.schema.base import (
    ABSENT,
    MAPPING,
    TEXT,
    Duration,
    Entry,
    Name,
    Word,
    shape_of,
    shaped,
)

USE_PATTERN: Final = r"^[A-Za-z0-9_-]+/[A-Za-z0-9_.-]+$"
DEFAULT_CALLER: Final = "+1 406 770 4205"


class CallEntry(Entry):
    to: Word = Field(description="The number that is dialed, in any spelling.")
    caller: Word = Field(
        default=DEFAULT_CALLER,
        description="Who calls: a number, or `anonymous` for a caller who hides it.",
    )
    at: Word = Field(
        default=ABSENT,
        description='When, with an offset, as in "2026-11-24T10:00-06:00"; else now.',
    )
    trunk: Name = Field(default=ABSENT, description="The trunk that the call proves to come by.")
    attestation: Literal["A", "B", "C"] = Field(
        default=ABSENT, description="What the carrier says of the caller's number: A is the most."
    )
    headers: dict[Word, Word] = Field(default={}, description="Further SIP headers of the call.")
    account: Name = Field(
        default=ABSENT,
        description="The account that the call comes to; else the one that has the number.",
    )
    limit: Duration = Field(
        default="5m",
        description="How long the caller stays on the line at most; the clock hurries.",
    )


class AnswersAfter(Entry):
    answers_after: Duration = Field(description="Somebody takes the call so much later.")


TransferEntry = Annotated[
    Annotated[Literal["nobody_answers", "refused"], Tag(TEXT)]
    | Annotated[AnswersAfter, Tag(MAPPING)],
    shaped("nobody_answers, refused or {answers_after: 3s}"),
]


class ReplyEntry(Entry):
    status: Annotated[int, Field(ge=200, le=599)] = Field(
        default=200, description="The HTTP status."
    )
    body: Any = Field(default=ABSENT, description="The body: text, or JSON.")
    after: Duration = Field(default=ABSENT, description="How long the answer takes.")


class HttpEntry(Entry):
    request: Word = Field(description="Method and URL, as in GET https://api.acme.example/orders.")
    reply: ReplyEntry = Field(default=ReplyEntry(), description="What comes back.")


class StubEntry(Entry):
    returns: Any = Field(default=ABSENT, description="The output: text, or JSON.")
    fails: Word = Field(default=ABSENT, description="That it fails, and the word for why.")
    after: Duration = Field(default=ABSENT, description="How long it takes.")


class CallerStep(Entry):
    caller: Word = Field(description="What the caller says.")
    interrupts: bool = Field(default=False, description="While the agent speaks.")
    after: Duration = Field(default=ABSENT, description="So long after the agent began to speak.")
    unheard: bool = Field(default=False, description="It is heard, and cannot be written down.")


Calls = Annotated[
    Annotated[Word, Tag(TEXT)] | Annotated[dict[Word, dict[str, Any]], Tag(MAPPING)],
    shaped("a tool's name, or {NAME: {ARGUMENT: value}}"),
]


class AgentStep(Entry):
    agent: Word = Field(description="What the model says when it is asked next.")
    calls: Calls = Field(
        default=ABSENT, description="The tools that it asks for in the same breath."
    )


class CallsStep(Entry):
    calls: Calls = Field(description="The tools that the model asks for, without a word.")


class McpStep(Entry):
    mcp: Annotated[str, Field(pattern=USE_PATTERN)] = Field(
        description="The tool of an MCP server that the provider uses: SERVER/TOOL."
    )
    arguments: dict[str, Any] = Field(default={}, description="What the model gives it.")
    returns: Any = Field(default=ABSENT, description="What the server answers: text, or JSON.")
    fails: Word = Field(default=ABSENT, description="That it fails, and the word for why.")


class QuotesStep(Entry):
    quotes: Word = Field(
        description="The model says the sentence of its instructions that has these words."
    )


class PressesStep(Entry):
    presses: Word = Field(description="The keys that the caller presses: 0 to 9, *, #.")
    interrupts: bool = Field(default=False, description="While the agent speaks.")


class SilenceStep(Entry):
    silence: Duration = Field(description="How long the caller says nothing.")


class HangsUpStep(Entry):
    hangs_up: Literal[True] = Field(description="The caller hangs up.")
    interrupts: bool = Field(default=False, description="While the agent speaks.")


_STEPS: Final = ("caller", "agent", "calls", "mcp", "quotes", "presses", "silence", "hangs_up")


def _tag_of(keys: tuple[str, ...], value: Any) -> str | None:
    if not isinstance(value, dict):
        return shape_of(value)
    return next((f"<{key}>" for key in keys if key in value), None)


def _step_of(value: Any) -> str | None:
    return _tag_of(_STEPS, value)


StepEntry = Annotated[
    Annotated[CallerStep, Tag("<caller>")]
    | Annotated[AgentStep, Tag("<agent>")]
    | Annotated[CallsStep, Tag("<calls>")]
    | Annotated[McpStep, Tag("<mcp>")]
    | Annotated[QuotesStep, Tag("<quotes>")]
    | Annotated[PressesStep, Tag("<presses>")]
    | Annotated[SilenceStep, Tag("<silence>")]
    | Annotated[HangsUpStep, Tag("<hangs_up>")],
    shaped(f"a step: a mapping with one of {', '.join(_STEPS)}", _step_of),
]


class Said(Entry):
    said: Word = Field(description="The agent said these words, to the end of what was heard.")


class NeverSaid(Entry):
    never_said: Word = Field(description="The agent did not say these words.")


class Begins(Entry):
    begins: Word = Field(description="These are among the agent's first words.")


class Instructions(Entry):
    instructions: Word = Field(description="The model's instructions have these words.")


class Called(Entry):
    tool: Word = Field(description="The model asked for this tool; SERVER/TOOL of an MCP server.")
    arguments: dict[str, Any] = Field(default={}, description="With these arguments, among others.")
    result: Word = Field(default=ABSENT, description="What came of it: done, failed, refused ...")
    output: Word = Field(default=ABSENT, description="The model got these words, among others.")


class NotOffered(Entry):
    no_tool: Word = Field(description="The agent does not have this tool.")


class TransferredTo(Entry):
    transferred_to: Name = Field(description="The call ended at this destination.")


class TransferFailed(Entry):
    transfer_failed: Name = Field(
        description="The call was sent to this destination, and nobody took it."
    )


class NotTransferred(Entry):
    not_transferred: Literal[True] = Field(description="The call was sent nowhere.")


class Requested(Entry):
    http: Word = Field(description="This request was made: method and URL.")
    body: Any = Field(default=ABSENT, description="Its JSON body has these values, among others.")
    headers: dict[Word, Word] = Field(default={}, description="It has these headers.")
    times: Annotated[int, Field(ge=0, le=100)] = Field(
        default=ABSENT, description="So many times; else at least once."
    )


class MessageTaken(Entry):
    message: dict[Word, Word] = Field(
        description="A message was kept whose fields have these words."
    )


class AnsweredBy(Entry):
    answered_by: Name = Field(description="The agent that the call began with.")


class Spoke(Entry):
    language: Word = Field(description="The language of the first words.")


class Ended(Entry):
    outcome: Word = Field(description="How the call ended, as in completed.transferred.")


class Rejected(Entry):
    rejected: Annotated[int, Field(ge=300, le=699)] = Field(
        description="The call was refused with this SIP code."
    )


_EXPECTED: Final = (
    *("said", "never_said", "begins", "instructions", "tool", "no_tool", "transferred_to"),
    *("transfer_failed", "not_transferred", "http", "message", "answered_by", "language"),
    *("outcome", "rejected"),
)


def _expected_of(value: Any) -> str | None:
    return _tag_of(_EXPECTED, value)


ExpectEntry = Annotated[
    Annotated[Said, Tag("<said>")]
    | Annotated[NeverSaid, Tag("<never_said>")]
    | Annotated[Begins, Tag("<begins>")]
    | Annotated[Instructions, Tag("<instructions>")]
    | Annotated[Called, Tag("<tool>")]
    | Annotated[NotOffered, Tag("<no_tool>")]
    | Annotated[TransferredTo, Tag("<transferred_to>")]
    | Annotated[TransferFailed, Tag("<transfer_failed>")]
    | Annotated[NotTransferred, Tag("<not_transferred>")]
    | Annotated[Requested, Tag("<http>")]
    | Annotated[MessageTaken, Tag("<message>")]
    | Annotated[AnsweredBy, Tag("<answered_by>")]
    | Annotated[Spoke, Tag("<language>")]
    | Annotated[Ended, Tag("<outcome>")]
    | Annotated[Rejected, Tag("<rejected>")],
    shaped(f"an expectation: a mapping with one of {', '.join(_EXPECTED)}", _expected_of),
]


class ScenarioFile(Entry):
    """One call, and what is expected of it."""

    about: Word = Field(default=ABSENT, description="What the scenario shows, in a sentence.")
    call: CallEntry = Field(description="Who calls, and when.")
    script: list[StepEntry] = Field(
        default=[], description="What the caller and the model do, in order."
    )
    transfers: dict[Name, TransferEntry] = Field(
        default={},
        description=(
            "What comes of sending the call to a destination; without a word of it here somebody"
            " takes the call after 3 s."
        ),
    )
    http: list[HttpEntry] = Field(
        default=[], description="What others' servers answer. Nothing reaches the network."
    )
    tools: dict[Word, StubEntry] = Field(
        default={},
        description="What tools come to that are not asked here: Python functions, MCP servers.",
    )
    expect: Annotated[list[ExpectEntry], Field(min_length=1)] = Field(
        description="What must have been so when the call has ended."
    )
