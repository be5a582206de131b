"""A scenario, read and understood: what is played, and what is expected."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sipagent.config.findings import Place
from sipagent.model import Json
from sipagent.scenarios.schema import (
    AnsweredBy,
    Begins,
    Called,
    Ended,
    Instructions,
    MessageTaken,
    NeverSaid,
    NotOffered,
    NotTransferred,
    Rejected,
    Requested,
    Said,
    Spoke,
    TransferFailed,
    TransferredTo,
)

Expectation = (
    Said
    | NeverSaid
    | Begins
    | Instructions
    | Called
    | NotOffered
    | TransferredTo
    | TransferFailed
    | NotTransferred
    | Requested
    | MessageTaken
    | AnsweredBy
    | Spoke
    | Ended
    | Rejected
)


@dataclass(frozen=True, slots=True)
class Placed:
    """Something of the file, with its place and how it is written there."""

    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class Expected(Placed):
    what: Expectation


@dataclass(frozen=True, slots=True)
class Step(Placed):
    """One step of the script; `order` is what the simulator takes for it."""

    order: Json


@dataclass(frozen=True, slots=True)
class Call:
    """Who calls. `at` is in unix seconds, None for now; `limit` in seconds."""

    to: str
    caller: str
    limit: float
    at: float | None = None
    trunk: str | None = None
    attestation: Literal["A", "B", "C"] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answers, `after` so many seconds. A `body` that is no text is sent as JSON."""

    status: int = 200
    body: Any = None
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that a server of others' knows, and its reply."""

    method: str
    url: str
    reply: Reply


@dataclass(frozen=True, slots=True)
class Stub:
    """What a tool comes to that is not asked."""

    output: str
    failed: bool = False
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Takes:
    """What comes of sending the call to a destination: somebody takes it `after` so many seconds,
    nobody does where that is None, and it is not even tried where it is `refused`."""

    after: float | None = 3.0
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Scenario:
    file: str
    name: str
    call: Call
    call_place: Place
    script: tuple[Step, ...]
    expected: tuple[Expected, ...]
    about: str | None = None
    transfers: Mapping[str, Takes] = field(default_factory=dict)
    http: tuple[Exchange, ...] = ()
    stubs: Mapping[str, Stub] = field(default_factory=dict)
