"""What is said of calls, as rows of the tables. Pure: no database, no clock.

A row's values stand in the order of its kind's columns. No value is longer than its column, and
none holds what a database refuses in text (NUL, half a surrogate pair), whatever a caller, a header
or a model has said.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec

from sipagent.model import (
    CallOutcome,
    CallPlan,
    Decision,
    Forward,
    Happening,
    IncomingCall,
    Json,
    Kind,
    Reject,
    TenantName,
    Transfer,
    Turn,
    Usage,
)
from sipagent.store.planned import kept, without_credentials

Row = tuple[Any, ...]


class RowKind(StrEnum):
    """What a row says; each kind is written by a statement of its own, in this order."""

    SESSION = "session"
    CALL = "call"
    ALIAS = "alias"
    TURN = "turn"
    HAPPENING = "happening"
    USAGE = "usage"
    TRANSFER = "transfer"
    TOOL = "tool"
    MESSAGE = "message"
    SUMMARY = "summary"
    EVENT = "event"
    OUTCOME = "outcome"
    TOTALS = "totals"


COLUMNS: Final[Mapping[RowKind, tuple[str, ...]]] = {
    RowKind.SESSION: ("hash", "body", "last_used_at"),
    RowKind.CALL: (
        *("call_id", "account", "webhook_id", "tenant", "agent", "language", "trunk"),
        *("trunk_proven", "verdict", "destination", "dialed", "dialed_source", "listed"),
        *("caller", "caller_name", "forwarded_from", "attestation", "media_security", "flags"),
        *("trace", "plan", "session", "config_hash", "release", "replica", "model"),
        *("created_at", "began_at", "price_version"),
    ),
    RowKind.ALIAS: ("alias", "call_id", "header"),
    RowKind.TURN: ("call_id", "sequence", "tenant", "at", "speaker", "text", "interrupted"),
    RowKind.HAPPENING: ("call_id", "sequence", "tenant", "at", "what", "detail"),
    RowKind.USAGE: (
        *("call_id", "source_id", "kind", "tenant", "account", "at", "model"),
        *("text_in", "audio_in", "image_in", "text_cached", "audio_cached", "image_cached"),
        *("text_out", "audio_out", "seconds", "cost", "price_version"),
    ),
    RowKind.TRANSFER: (
        *("call_id", "number", "tenant", "at", "destination", "target", "answer", "outcome"),
    ),
    RowKind.TOOL: (
        *("call_id", "id", "tenant", "at", "agent", "name", "status", "detail"),
        *("began", "ended", "arguments", "output"),
    ),
    RowKind.MESSAGE: ("call_id", "id", "tenant", "at", "fields"),
    RowKind.SUMMARY: (
        *("call_id", "tenant", "account", "at", "wanted", "state", "next_at", "attempts"),
    ),
    RowKind.EVENT: (
        *("id", "endpoint", "tenant", "type", "call_id", "subject", "at", "data", "state"),
        *("since", "next_at", "attempts"),
    ),
    RowKind.OUTCOME: (
        *("call_id", "account", "webhook_id", "tenant", "agent", "trunk_proven", "verdict"),
        *("listed", "media_security", "trace", "release", "replica", "began_at"),
        *("answered_at", "attached_at", "heard_at", "ended_at", "outcome", "at_fault", "detail"),
        *("sip_code", "turns", "usage_complete"),
    ),
    RowKind.TOTALS: ("call_id",),
}

NO_TRACE: Final = "[]"
MOST_ALIASES: Final = 8

_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_NAMES: Final = frozenset({"call_id", "config_hash"})
"""Keys of a plan whose values are names of ours: digits in them are no number."""

_UNKNOWN: Final = "unknown"
_ALIAS: Final = re.compile(
    r"call-id|session-id|x-inin-cnv|x-(.*[-_])?call[-_]?(sid|id|uuid|(leg|session|control)[-_]?id)"
)
_NUMBER: Final = re.compile(
    r"(?P<date>(?<![0-9+])(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?![0-9]))"
    r"|\+[0-9](?:[ ().-]{0,3}[0-9]){6,14}"
    r"|\(?[0-9](?:[ ().-]{0,2}[0-9]){8,14}"
    r"|[0-9]{7,15}",
    re.ASCII,
)
"""With its country, in groups, or in one piece. A date is none, also where a time follows it."""

_A_NUMBER: Final = "+12025550100"
_TELLING: Final = 9
_FEWEST_TELLING: Final = 7
"""Of a number's digits the last nine tell whose it is, in each of its spellings."""


class NumberPolicy(Protocol):
    """How a tenant's telephone numbers are stored."""

    def stored(self, tenant: TenantName, number: str) -> str:
        """The number itself, or what stands for it and nobody can turn back into it."""


class PlainNumbers:
    """Numbers are stored as they are."""

    def stored(self, tenant: TenantName, number: str) -> str:
        return number


@dataclass(frozen=True, slots=True)
class Writing:
    """What every row of a process has in common."""

    release: str
    replica: str
    numbers: NumberPolicy = field(default_factory=PlainNumbers)

    def within(self, tenant: TenantName, text: str) -> str:
        """The text with each number in it as numbers of the tenant are stored."""
        if self.plain(tenant):
            return text
        return _NUMBER.sub(
            lambda found: found[0] if found["date"] else self.numbers.stored(tenant, found[0]),
            text,
        )

    def within_json(self, tenant: TenantName, text: str) -> str:
        """JSON with each number in one of its strings as numbers of the tenant are stored."""
        if self.plain(tenant):
            return text
        return _json(self._hidden(tenant, json.loads(text)))

    def plain(self, tenant: TenantName) -> bool:
        """Whether the tenant's numbers are stored as they are."""
        return self.numbers.stored(tenant, _A_NUMBER) == _A_NUMBER

    def _hidden(self, tenant: TenantName, value: Any) -> Any:
        if isinstance(value, str):
            return self.within(tenant, value)
        if isinstance(value, list):
            return [self._hidden(tenant, each) for each in value]
        if isinstance(value, dict):
            return {
                key: each if key in _NAMES else self._hidden(tenant, each)
                for key, each in value.items()
            }
        return value


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session's JSON and the hash that names it."""

    hash: str
    body: str = field(repr=False)

    def row(self, at: float) -> Row:
        return self.hash, self.body, at


def session_of(session: Json, tenant: TenantName, writing: Writing) -> StoredSession:
    """The session as it is stored: the same one has the same hash."""
    body = writing.within_json(tenant, _json(without_credentials(session)))
    return StoredSession(hashlib.sha256(body.encode()).hexdigest(), body)


def call_row(
    call: IncomingCall,
    decision: Decision,
    at: float,
    writing: Writing,
    sessions: tuple[StoredSession, StoredSession | None] | None,
) -> Row:
    """The call as it was decided; `sessions` are the plan's, None for a call without a plan."""
    verdict = decision.verdict
    plan = None if isinstance(verdict, Reject) else verdict.plan
    tenant = verdict.tenant if isinstance(verdict, Reject) else verdict.plan.tenant
    return (
        call.call_id,
        call.account,
        clipped(call.webhook_id, 128),
        tenant,
        None if plan is None else plan.agent,
        None if plan is None else plan.language,
        call.trunk,
        call.verified,
        type(verdict).__name__.lower(),
        verdict.destination if isinstance(verdict, Forward) else None,
        *_numbers(call, decision, tenant, writing),
        call.media_security.value,
        " ".join(sorted(call.invite.flags)) or None,
        _trace(decision, tenant, writing),
        None if plan is None or sessions is None else _plan(plan, sessions, writing),
        None if sessions is None else sessions[0].hash,
        None if plan is None else plan.config_hash,
        writing.release,
        writing.replica,
        None if plan is None else _model(plan),
        call.created_at,
        at,
        None if plan is None else clipped(plan.prices.version, 63),
    )


def digits_to_hide(call: IncomingCall, decision: Decision, writing: Writing) -> tuple[str, ...]:
    """The digits that tell the call's numbers, with or without their country; none where the
    tenant's numbers are stored as they are."""
    verdict, invite = decision.verdict, call.invite
    if writing.plain(verdict.tenant if isinstance(verdict, Reject) else verdict.plan.tenant):
        return ()
    numbers = [invite.caller_e164, *invite.forwarded_from]
    written = [decision.dialed, *(number.value for number in numbers if number)]
    found = ("".join(filter(str.isdecimal, number or ""))[-_TELLING:] for number in written)
    return tuple(digits for digits in found if len(digits) >= _FEWEST_TELLING)


def alias_rows(call: IncomingCall, hidden: Sequence[str] = ()) -> Iterator[Row]:
    """The ids by which carriers name the call: Call-ID, X-Twilio-CallSid, X-call_leg_id ... An id
    that has `hidden` digits in it is left out."""
    found: dict[str, str] = {}
    for header, value in call.headers.items():
        if _ALIAS.fullmatch(header) is None:
            continue
        alias = clean(value).partition(";")[0].strip()
        if alias and len(alias) <= 256 and not any(digits in alias for digits in hidden):
            found.setdefault(alias, header)
    for alias, header in list(found.items())[:MOST_ALIASES]:
        yield alias, call.call_id, clipped(header, 63)


def turn_row(plan: CallPlan, turn: Turn, at: float) -> Row:
    text = None if turn.text is None else clean(turn.text)
    return plan.call_id, turn.sequence, plan.tenant, at, turn.speaker.value, text, turn.interrupted


def happening_row(
    plan: CallPlan, sequence: int, at: float, what: Happening, detail: str | None
) -> Row:
    said = None if detail is None else clean(detail)
    return plan.call_id, sequence, plan.tenant, at, what.value, said


def usage_row(plan: CallPlan, usage: Usage, at: float) -> Row:
    tokens = usage.bill.tokens
    return (
        plan.call_id,
        clipped(usage.source_id, 128),
        usage.kind.value,
        plan.tenant,
        plan.account,
        at,
        None if usage.model is None else clean(usage.model),
        tokens.text_in,
        tokens.audio_in,
        tokens.image_in,
        tokens.text_cached,
        tokens.audio_cached,
        tokens.image_cached,
        tokens.text_out,
        tokens.audio_out,
        usage.bill.seconds,
        usage.cost,
        clipped(usage.price_version, 63),
    )


def transfer_row(plan: CallPlan, transfer: Transfer, at: float, writing: Writing) -> Row:
    target = writing.within(plan.tenant, clean(transfer.target))
    return (
        plan.call_id,
        transfer.number,
        plan.tenant,
        at,
        transfer.destination,
        target,
        clipped(transfer.answer, 16),
        None if transfer.outcome is None else transfer.outcome.value,
    )


def outcome_row(outcome: CallOutcome, writing: Writing) -> Row:
    """The outcome, with what a call is made of that nothing else is known of."""
    rejected = outcome.reason.kind is Kind.REJECTED
    return (
        outcome.call_id,
        outcome.account,
        "",
        outcome.tenant,
        outcome.agent,
        False,
        "reject" if rejected else "accept",
        False,
        _UNKNOWN,
        NO_TRACE,
        writing.release,
        writing.replica,
        outcome.began_at,
        outcome.answered_at,
        outcome.attached_at,
        outcome.heard_at,
        outcome.ended_at,
        outcome.name,
        outcome.reason.at_fault.value,
        None if outcome.detail is None else clean(outcome.detail),
        outcome.sip_code,
        outcome.turns,
        outcome.usage_complete,
    )


def clean(text: str) -> str:
    """The text without NUL, and with U+FFFD for what cannot be written as UTF-8."""
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def clipped(text: str, length: int) -> str:
    """As much of the text as its column takes."""
    return clean(text)[:length]


def _numbers(call: IncomingCall, decision: Decision, tenant: TenantName, writing: Writing) -> Row:
    """From `dialed` to `attestation`."""
    invite, numbers = call.invite, writing.numbers
    caller, name, attestation = invite.caller_e164, invite.display_name, invite.attestation
    others = [numbers.stored(tenant, clean(number.value)) for number in invite.forwarded_from]
    return (
        numbers.stored(tenant, clean(decision.dialed)) if decision.dialed else None,
        None if decision.dialed_source is None else clean(decision.dialed_source),
        decision.listed,
        numbers.stored(tenant, clean(caller.value)) if caller else None,
        writing.within(tenant, clean(name.value)) if name else None,
        " ".join(others) or None,
        clipped(attestation.level or attestation.verdict, 16) if attestation else None,
    )


def _trace(decision: Decision, tenant: TenantName, writing: Writing) -> str:
    return writing.within_json(tenant, _json(decision.trace))


def _plan(
    plan: CallPlan, sessions: tuple[StoredSession, StoredSession | None], writing: Writing
) -> str:
    """The plan; a fallback's session is the hash of it."""
    text = writing.within_json(plan.tenant, _json(kept(plan)))
    if sessions[1] is not None:
        text = f'{text[:-1]},"fallback_session":"{sessions[1].hash}"}}'
    return text


def _json(value: Any) -> str:
    """The value as JSON: the same text for the same value."""
    try:
        return clean(_ENCODER.encode(value).decode())
    except UnicodeEncodeError:  # half of a surrogate pair
        plain = msgspec.to_builtins(value)
        return clean(json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False))


def _model(plan: CallPlan) -> str | None:
    model = plan.session.get("model")
    return clean(model) if isinstance(model, str) else None
