"""A claimed call as it is written down: what came, what was decided, how it ended."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from types import MappingProxyType
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
from sipagent.sip import Headers, Invite

_PLAIN: Final = frozenset(one.name for one in fields(IncomingCall)) - {
    "media_security",
    "headers",
    "invite",
}
_INVITE: Final = TypeAdapter(Invite)
_DECISION: Final = TypeAdapter(Decision)
_OUTCOME: Final = TypeAdapter(CallOutcome)
_NO_PARTS: Final[Mapping[int, bytes]] = MappingProxyType({})

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
        "talk": call.talk,
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


PART: Final = "$part"
"""The key of a number that stands in place of a value which is written elsewhere."""

Place = Callable[[object], object]
"""What is encoded in place of a value that other claims may have as well."""

_PLACED: Final = ("session", "fallback_session", "skills", "ways")
_FIELDS: Final = tuple(one.name for one in fields(CallPlan))


def encoded(value: object) -> bytes:
    """The value as JSON, as it stands in a claim."""
    return _ENCODER.encode(value)


def _as_it_is(value: object) -> object:
    return value


def _verdict(verdict: Verdict, place: Place) -> object:
    """The verdict as it is encoded."""
    if isinstance(verdict, Reject):
        return verdict
    plan = {name: getattr(verdict.plan, name) for name in _FIELDS}
    for name in _PLACED:
        plan[name] = place(plan[name])
    if isinstance(verdict, Forward):
        return {"plan": plan, "destination": verdict.destination}
    return {"plan": plan}


def decision_to_json(decision: Decision, place: Place = _as_it_is) -> bytes:
    """The decision as JSON, without what matters only until the call is claimed."""
    return _ENCODER.encode(
        {
            "verdict": _verdict(decision.verdict, place),
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


def decision_from_json(written: bytes, parts: Mapping[int, bytes] = _NO_PARTS) -> Decision:
    """The decision that was written. Raises ValueError where it cannot be read, KeyError where a
    part of it is not there."""
    whole = json.loads(written)
    plan = _plan_in(whole)
    named = [name for name in _PLACED if _part_of(plan.get(name)) is not None]
    if not named:
        return _DECISION.validate_json(written)
    for name in named:
        plan[name] = msgspec.Raw(parts[plan[name][PART]])
    return _DECISION.validate_json(_ENCODER.encode(whole))


def parts_of(written: bytes) -> list[int]:
    """The numbers of the parts that the decision names. Raises ValueError."""
    plan = _plan_in(json.loads(written))
    numbers = (_part_of(plan.get(name)) for name in _PLACED)
    return [number for number in numbers if number is not None]


def _plan_in(whole: Any) -> dict[str, Any]:
    verdict = whole.get("verdict") if isinstance(whole, dict) else None
    if not isinstance(verdict, dict):
        raise ValueError("not a decision")  # noqa: TRY004  # what stands there is wrong, not a type
    plan = verdict.get("plan")
    return plan if isinstance(plan, dict) else {}


def _part_of(value: object) -> int | None:
    """The number that stands in place of a value, if one does."""
    number = value.get(PART) if isinstance(value, dict) and len(value) == 1 else None
    return number if isinstance(number, int) else None


def outcome_to_json(outcome: CallOutcome) -> bytes:
    return _ENCODER.encode(outcome)


def outcome_from_json(written: bytes) -> CallOutcome:
    """The outcome that was written. Raises ValueError where it cannot be read."""
    return _OUTCOME.validate_json(written)
