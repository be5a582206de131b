"""What is read of calls, as it is stored: telephone numbers and words are in it. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sipagent.model import Happening, TraceStep

NOTHING_SAID: Final = "{}"
"""The fields of a message without words."""


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call in a list: its facts and its end, without its words, trace and plan.

    `outcome` and what follows it are None while the call is held.
    """

    call_id: str
    account: str
    webhook_id: str
    tenant: str
    agent: str | None
    language: str | None
    trunk: str | None
    trunk_proven: bool
    verdict: str
    destination: str | None
    dialed: str | None = field(repr=False)
    dialed_source: str | None
    listed: bool
    caller: str | None = field(repr=False)
    caller_name: str | None = field(repr=False)
    forwarded_from: str | None = field(repr=False)
    attestation: str | None
    media_security: str
    flags: str | None
    config_hash: str | None
    release: str
    replica: str
    model: str | None
    created_at: float | None
    began_at: float
    answered_at: float | None
    attached_at: float | None
    heard_at: float | None
    ended_at: float | None
    outcome: str | None
    at_fault: str | None
    detail: str | None
    sip_code: int | None
    turns: int | None
    tokens: int | None
    cost: int | None
    usage_complete: bool | None
    price_version: str | None
    hold: bool

    @property
    def kind(self) -> str | None:
        return None if self.outcome is None else self.outcome.partition(".")[0]

    @property
    def seconds(self) -> float | None:
        """From the webhook to the end."""
        return None if self.ended_at is None else self.ended_at - self.began_at


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """What one side said; `at` is unix seconds."""

    sequence: int
    at: float
    speaker: str
    text: str | None = field(repr=False)
    interrupted: bool


@dataclass(frozen=True, slots=True)
class StoredHappening:
    """A step of the call's story; `at` is unix seconds."""

    at: float
    what: str
    detail: str | None


@dataclass(frozen=True, slots=True)
class StoredUsage:
    """One bill. `cost` is in micro-dollars, None where no price was known."""

    source_id: str
    kind: str
    at: float
    model: str | None
    text_in: int
    audio_in: int
    image_in: int
    text_cached: int
    audio_cached: int
    image_cached: int
    text_out: int
    audio_out: int
    seconds: float | None
    cost: int | None
    price_version: str

    @property
    def tokens(self) -> int:
        return self.text_in + self.audio_in + self.image_in + self.text_out + self.audio_out


@dataclass(frozen=True, slots=True)
class StoredTransfer:
    """One attempt to send the call on."""

    number: int
    at: float
    destination: str | None
    target: str = field(repr=False)
    answer: str
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class StoredToolCall:
    """One tool call; `at` is unix seconds, `began` and `ended` are seconds since the call began.
    Without words there are neither arguments nor output, nor where these are masked or too old."""

    id: str
    at: float
    agent: str | None
    name: str
    status: str
    detail: str | None
    began: float
    ended: float
    arguments: str | None = field(default=None, repr=False)
    output: str | None = field(default=None, repr=False)

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """What a caller wants to have told; `at` is unix seconds. Without words it says nothing."""

    id: str
    at: float
    fields: str = field(default=NOTHING_SAID, repr=False)

    @property
    def told(self) -> Mapping[str, str]:
        """Each field's text by its name."""
        told: Mapping[str, str] = json.loads(self.fields)
        return told


@dataclass(frozen=True, slots=True)
class StoredAlias:
    """A name by which the carrier knows the call."""

    alias: str
    header: str


@dataclass(frozen=True, slots=True)
class StoredSummary:
    """What a model has made of the call, None where it has not been asked for it or has not
    answered. `extracted` is JSON."""

    summary: str | None = field(repr=False)
    extracted: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is kept of one call."""

    call: CallRow
    trace: tuple[TraceStep, ...] = ()
    plan: Mapping[str, Any] | None = field(default=None, repr=False)
    turns: tuple[StoredTurn, ...] = ()
    happenings: tuple[StoredHappening, ...] = ()
    usage: tuple[StoredUsage, ...] = ()
    transfers: tuple[StoredTransfer, ...] = ()
    aliases: tuple[StoredAlias, ...] = ()
    tools: tuple[StoredToolCall, ...] = ()
    messages: tuple[StoredMessage, ...] = ()
    made: tuple[StoredSummary, ...] = ()

    @property
    def steps(self) -> tuple[StoredHappening, ...]:
        """The happenings in the order of their times, with those that the call's own times tell."""
        call, stored = self.call, {step.what for step in self.happenings}
        told = (
            (call.answered_at, Happening.ANSWERED),
            (call.attached_at, Happening.ATTACHED),
            (call.heard_at, Happening.HEARD),
        )
        own = (
            StoredHappening(at, what.value, None)
            for at, what in told
            if at is not None and what not in stored
        )
        return tuple(sorted((*own, *self.happenings), key=lambda step: step.at))


@dataclass(frozen=True, slots=True)
class Traits:
    """What calls may have in common."""

    tenant: str | None = None
    trunk: str | None = None
    account: str | None = None
    release: str | None = None
    replica: str | None = None
    agent: str | None = None
    config_hash: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Calls with the same traits: how many went wrong, and how many others were taken."""

    traits: Traits
    bad: int
    good: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that went wrong: it failed, was lost, or was sent on because the model had failed."""

    call_id: str
    tenant: str
    outcome: str
    at_fault: str | None
    detail: str | None
    ended_at: float
    account: str | None = None
    trunk: str | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """A call whose line closed."""

    tenant: str
    account: str | None
    trunk: str | None
    ended_at: float


@dataclass(frozen=True, slots=True)
class Moment:
    """So many calls ended at once that one cause is likely: `ended` of the `held` ones.

    `closed` are those whose line closed, in the order of their ends; the others are failures.
    """

    ended: int
    held: int
    closed: tuple[Closed, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToolCount:
    """How often a tool of a tenant came to this."""

    tenant: str
    name: str
    status: str
    count: int


@dataclass(frozen=True, slots=True)
class Survey:
    """The calls that ended between two times, and how many are held.

    `rejected` calls are in no group: they were refused on purpose. `failures` are in the order of
    their ends, the newest 10,000. `fell_back` of the bad calls were sent on as the model failed.
    `tools` were used and `messages` taken in that time.
    """

    ended: int = 0
    rejected: int = 0
    held: int = 0
    groups: tuple[Group, ...] = ()
    failures: tuple[Failure, ...] = field(default=(), repr=False)
    fell_back: int = 0
    moments: tuple[Moment, ...] = ()
    tools: tuple[ToolCount, ...] = ()
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Unrouted:
    """A number that no entry of the directory covers, as a header carried it; None where no header
    carried any. Times are unix seconds."""

    dialed: str | None = field(repr=False)
    header: str | None
    account: str
    trunk: str | None
    calls: int
    first_at: float
    last_at: float
