"""A claimed call as it is written down: what came, what was decided, how it ended."""

import json
from dataclasses import fields, replace
from typing import Any, Final

import msgspec
from pydantic import TypeAdapter

from sipagent.model import (
    CallOutcome,
    CallPlan,
    Decision,
    Forward,
    IncomingCall,
    MediaSecurity,
    Reject,
    Verdict,
)
from sipagent.model.shared import OfShared
from sipagent.sip import Headers, Invite

_PLAIN: Final = frozenset(one.name for one in fields(IncomingCall)) - {
    "media_security",
    "headers",
    "invite",
}
_INVITE: Final = TypeAdapter(Invite)
_DECISION: Final = TypeAdapter(Decision)
_OUTCOME: Final = TypeAdapter(CallOutcome)

# Every call is written while its caller waits: msgspec takes a sixth of pydantic's time for that.
_ENCODER: Final = msgspec.json.Encoder()


def call_to_json(call: IncomingCall) -> bytes:
    """The call as JSON."""
    plain = {
        "call_id": call.call_id,
        "webhook_id": call.webhook_id,
        "account": call.account,
        "created_at": call.created_at,
        "media_security": call.media_security,
        "trunk": call.trunk,
        "verified": call.verified,
        "headers": call.headers.pairs,
        "dropped": call.headers.dropped,
        "invite": call.invite,
    }
    try:
        return _ENCODER.encode(plain)
    except UnicodeEncodeError:
        # A carrier's header may hold half of a surrogate pair, which JSON's escapes allow.
        text = json.dumps(msgspec.to_builtins(plain), ensure_ascii=False)
        return text.encode("utf-8", "surrogatepass")


def call_from_json(written: bytes) -> IncomingCall:
    """The call that was written. Raises ValueError where it cannot be read."""
    plain: dict[str, Any] = json.loads(written.decode("utf-8", "surrogatepass"))
    pairs = tuple((name, value) for name, value in plain.pop("headers"))
    headers = Headers(pairs, plain.pop("dropped"))
    invite = _INVITE.validate_python(plain.pop("invite"))
    security = MediaSecurity(plain.pop("media_security"))
    # What a newer release has written besides is nothing to this one.
    known = {name: plain[name] for name in _PLAIN if name in plain}
    return IncomingCall(**known, media_security=security, headers=headers, invite=invite)


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_ENCODER.encode(value))


_SHARED: Final = {name: OfShared(_raw) for name in ("skills", "ways")}
"""What calls to one agent mostly have in common."""

_FIELDS: Final = tuple(one.name for one in fields(CallPlan))


def _verdict(verdict: Verdict) -> object:
    """The verdict as it is encoded."""
    if isinstance(verdict, Reject):
        return verdict
    plan = {name: getattr(verdict.plan, name) for name in _FIELDS}
    for name, raw in _SHARED.items():
        plan[name] = raw(plan[name])
    if isinstance(verdict, Forward):
        return {"plan": plan, "destination": verdict.destination}
    return {"plan": plan}


def decision_to_json(decision: Decision) -> bytes:
    """The decision as JSON, without what matters only until the call is claimed."""
    return _ENCODER.encode(
        {
            "verdict": _verdict(decision.verdict),
            "trace": decision.trace,
            "dialed": decision.dialed,
            "dialed_source": decision.dialed_source,
            "listed": decision.listed,
            # Who else has calls reserved matters to those who come, and changes with the
            # configuration.
            "quotas": [
                replace(quota, reserves={}) if quota.reserves else quota
                for quota in decision.quotas
            ],
            "full_code": decision.full_code,
            "spent_code": decision.spent_code,
        }
    )


def decision_from_json(written: bytes) -> Decision:
    """The decision that was written. Raises ValueError where it cannot be read."""
    return _DECISION.validate_json(written)


def outcome_to_json(outcome: CallOutcome) -> bytes:
    return _ENCODER.encode(outcome)


def outcome_from_json(written: bytes) -> CallOutcome:
    """The outcome that was written. Raises ValueError where it cannot be read."""
    return _OUTCOME.validate_json(written)
