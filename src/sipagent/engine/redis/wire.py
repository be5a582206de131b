"""Between the engine's nouns and what its scripts read and write. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sipagent.engine.claims import call_from_json, decision_from_json, outcome_from_json
from sipagent.engine.counters import SHARED, Admission, Room, settled
from sipagent.engine.purse import labels, limits
from sipagent.model import Cap, Decision, Mark, Quota, Rate
from sipagent.sessions.ports import HeldCall

_MARK = "m:"


def cap_to_json(cap: Cap) -> dict[str, Any]:
    return {
        "which": cap.which,
        "key": cap.key,
        "count": cap.rate.count,
        "seconds": cap.rate.seconds,
    }


def asked_to_json(decision: Decision, caps: Iterable[Cap], now_wall: float) -> str:
    """What a call asks for: room in all of this, or else in what sends it on."""
    return json.dumps(
        {
            "tenant": decision.tenant,
            "caps": [cap_to_json(cap) for cap in caps],
            "quotas": [_quota_to_json(quota, now_wall) for quota in decision.quotas],
            "overflow": [cap_to_json(cap) for cap in decision.overflow],
            "free": decision.free,
        }
    )


def _quota_to_json(quota: Quota, now_wall: float) -> dict[str, Any]:
    named = labels(now_wall, quota.zone)
    written: dict[str, Any] = {
        "key": quota.key,
        "scope": quota.scope.value,
        "shared": quota.scope in SHARED,
        # Pairs: an empty mapping would be an empty list to the script.
        "reserves": [[tenant, calls] for tenant, calls in quota.reserves.items()],
        "budgets": [
            {"period": period.value, "label": named[period], "limit": limit}
            for period, limit in limits(quota)
        ],
    }
    if quota.held is not None:
        written["held"] = quota.held
    if quota.rate is not None:
        written["rate"] = cap_to_json(_rate(quota, quota.rate))
    return written


def _rate(quota: Quota, rate: Rate) -> Cap:
    return Cap(quota.scope.value, quota.key, rate)


def admission_of(answer: Sequence[Any]) -> Admission:
    """What the scripts say of the room for a call."""
    status, limit, own, overflow = answer
    return Admission(
        Room(_text(status)), _text(limit) or None, own=bool(own), overflow=bool(overflow)
    )


def held_call(fields: Sequence[bytes]) -> HeldCall:
    """A call that has been taken over. Raises ValueError, TypeError or KeyError where what stands
    there cannot be read."""
    pairs = dict(zip(map(bytes.decode, fields[::2]), fields[1::2], strict=True))
    decision = decision_from_json(pairs["decision"])
    marks = marks_of(pairs)
    answered = Mark.ACCEPTED in marks or Mark.ATTACHED in marks
    if (admission := pairs.get("admission")) is not None and not answered:
        # Whoever claimed the call has died before it could say what follows from that.
        decision = settled(decision, admission_of(json.loads(admission)))
    outcome = pairs.get("outcome")
    return HeldCall(
        call_from_json(pairs["call"]),
        decision,
        float(pairs["at"]),
        int(pairs["epoch"]),
        marks,
        None if outcome is None else outcome_from_json(outcome),
    )


def marks_of(pairs: Mapping[str, bytes]) -> dict[str, float]:
    return {
        name.removeprefix(_MARK): float(at) for name, at in pairs.items() if name.startswith(_MARK)
    }


def call_id_of(fields: Sequence[bytes]) -> str:
    """The call's id; empty where it cannot be read."""
    pairs = dict(zip(fields[::2], fields[1::2], strict=False))
    return pairs.get(b"name", b"").decode("utf-8", "replace")


def epoch_of(fields: Sequence[bytes]) -> int:
    """The call's epoch; 0 where it cannot be read."""
    pairs = dict(zip(fields[::2], fields[1::2], strict=False))
    try:
        return int(pairs[b"epoch"])
    except (ValueError, KeyError):
        return 0


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
