"""What answers hold. Times are RFC 3339 texts, costs micro-dollars; a later release may add keys.

What each key means stands in the API's own description (`/openapi.json`).
"""

from typing import Any, TypedDict


class Me(TypedDict):
    """Whoever the token stands for."""

    token_id: str
    name: str
    tenant: str | None
    scope: str
    operator: bool
    expires_at: str | None


class Call(TypedDict):
    """One call's facts."""

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
    dialed: str | None
    dialed_source: str | None
    listed: bool
    caller: str | None
    caller_name: str | None
    forwarded_from: list[str]
    attestation: str | None
    media_security: str
    flags: list[str]
    config_hash: str | None
    release: str
    replica: str
    model: str | None
    created_at: str | None
    began_at: str
    answered_at: str | None
    attached_at: str | None
    heard_at: str | None
    ended_at: str | None
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
    seconds: float | None


class CallStory(Call):
    """Everything that is kept of a call but for its words."""

    trace: list[dict[str, Any]]
    happenings: list[dict[str, Any]]
    usage: list[dict[str, Any]]
    transfers: list[dict[str, Any]]
    tool_calls: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    carrier_ids: list[dict[str, Any]]


class Turn(TypedDict):
    """What one side said."""

    sequence: int
    at: str
    speaker: str
    text: str | None
    interrupted: bool


class Transcript(TypedDict):
    """The words of one call."""

    call_id: str
    tenant: str
    turns: list[Turn]
    tool_calls: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    made: list[dict[str, Any]]


class Why(TypedDict):
    """A call in plain sentences."""

    call_id: str
    decided: list[str]
    happened: list[str]
    ended: list[str]
    cost: list[str]
    to_do: list[str]


class Hit(TypedDict):
    """A turn that holds the words that were searched for."""

    call_id: str
    sequence: int
    at: str
    speaker: str
    text: str


class Done(TypedDict):
    """Whoever holds the call does it."""

    status: str
    call_id: str


class NumberTold(TypedDict):
    """One line of the number directory."""

    number: str
    tenant: str
    calls: str
    agents: list[str]
    trunk: str | None
    order: dict[str, Any] | None
    last_call: dict[str, Any] | None


class UnroutedNumber(TypedDict):
    """A number that was dialed and leads nowhere."""

    dialed: str | None
    header: str | None
    account: str
    trunk: str | None
    calls: int
    first_at: str
    last_at: str
    line: str | None


class Agent(TypedDict):
    """One agent of a tenant's."""

    tenant: str
    name: str
    languages: list[str]
    model: str | None
    voice: str | None
    numbers: list[str]


class AgentTold(Agent):
    """What an agent is, without its texts."""

    session: dict[str, Any]
    tools: list[dict[str, Any]]
    servers: list[str]
    keys: dict[str, str]
    on_failure: list[str]
    greets: bool


class Explained(TypedDict):
    """What would happen to a call, and why."""

    verdict: str
    tenant: str | None
    agent: str | None
    language: str | None
    destination: str | None
    refer_to: str | None
    code: int | None
    reason: str | None
    dialed: str | None
    dialed_source: str | None
    listed: bool
    account: str
    at: str
    trunk: str | None
    trunk_proven: bool
    caps: list[dict[str, Any]]
    trace: list[dict[str, Any]]
    consults: bool


class Config(TypedDict):
    """What is in force."""

    config_hash: str
    origin: str
    since: str
    usable: bool
    file: str | None
    findings: list[str]
    stale: dict[str, list[str]]
    troubles: list[dict[str, Any]]


class Reloaded(TypedDict):
    """What came of reading the files, or would."""

    config_hash: str
    applied: bool
    findings: list[str]
    changes: list[str]


class DayTold(TypedDict):
    """One tenant's calls that began on one day."""

    tenant: str
    day: str
    calls: int
    answered: int
    minutes: float
    tokens: int
    cost: int
    complete: bool
    outcomes: dict[str, int]


class Latency(TypedDict):
    """How long callers wait."""

    answered: dict[str, float | None]
    first_sound: dict[str, float | None]


class AuditTold(TypedDict):
    """One line of the audit."""

    number: int
    at: str
    by: str
    token: str | None
    operator: bool
    action: str
    target: str
    tenant: str | None
    detail: dict[str, Any] | None
    reason: str | None
    hash: str


class Event(TypedDict):
    """One thing that happened to a call. `id` is empty where nobody can go on behind it."""

    id: str
    at: str
    kind: str
    call_id: str
    tenant: str
    agent: str | None
    data: dict[str, Any]
