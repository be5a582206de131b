"""Calls as a service of many tenants would have stored them, the same for the same seed."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

NOW: Final = 1_790_085_200.0
DAYS: Final = 90
TENANTS: Final = 150
AGENTS: Final = 7
NUMBERS: Final = 27
TRUNKS: Final = ("twilio-us", "wavix-eu", "telnyx-us", "bandwidth-us", "sbc-eu")
ACCOUNTS: Final = ("us-1", "us-2", "eu-1")
ZONES: Final = ("America/Chicago", "America/New_York", "Europe/Berlin", "Europe/London", "UTC")
TOLD: Final = 0.1
"""The share of calls whose turns, steps and bills are stored, too."""

OUTCOMES: Final = {
    "completed.line_closed": 700,
    "completed.transferred": 120,
    "completed.max_duration": 5,
    "rejected.rule": 50,
    "rejected.unknown_number": 20,
    "rejected.quota": 5,
    "abandoned.caller_gone": 60,
    "abandoned.nobody_there": 20,
    "failed.accept_refused": 8,
    "failed.attach_failed": 3,
    "failed.provider_error": 6,
    "failed.accept_timeout": 1,
    "lost.connection_lost": 2,
}
FAULTS: Final = {"completed": "nobody", "rejected": "nobody", "abandoned": "caller"}
_VOCABULARY: Final = """
yes no please thank you my order appointment tomorrow monday morning afternoon number table
room price delivery address insurance doctor available cancel change confirm repeat question
invoice refund the a to for of and is it can we I what when where how much on at with
"""

Rows = dict[str, list[tuple[Any, ...]]]
_COLUMNS: Final = """
calls call_id account webhook_id tenant agent language trunk trunk_proven verdict dialed \
dialed_source listed caller caller_name attestation media_security flags trace plan session \
config_hash release replica model created_at began_at answered_at attached_at heard_at ended_at \
outcome at_fault sip_code turns tokens cost usage_complete price_version hold
aliases alias call_id header
turns call_id sequence tenant at speaker text interrupted
happenings call_id sequence tenant at what detail
usage call_id source_id kind tenant account at model text_in audio_in image_in text_cached \
audio_cached image_cached text_out audio_out seconds cost price_version
"""
COLUMNS: Final = {
    table: columns for table, *columns in map(str.split, _COLUMNS.strip().splitlines())
}


@dataclass(frozen=True, slots=True)
class Population:
    """Whose calls there are. A tenant's `weight` is its share of them: the largest has 3 %."""

    tenants: tuple[str, ...] = tuple(f"tenant{at:03d}" for at in range(TENANTS))
    weights: tuple[float, ...] = tuple(1 / (at + 12) ** 0.9 for at in range(TENANTS))
    zones: dict[str, str] = field(
        default_factory=lambda: {f"tenant{at:03d}": ZONES[at % len(ZONES)] for at in range(TENANTS)}
    )


def batches(calls: int, *, seed: int, size: int = 20_000) -> Iterator[Rows]:
    """So many calls over 90 days up to NOW, in the order of their beginnings."""
    make = _Maker(random.Random(seed))
    pause = DAYS * 86400 / calls
    began_at = NOW - DAYS * 86400
    rows: Rows = {name: [] for name in COLUMNS}
    for at in range(calls):
        began_at += pause
        make.call(rows, began_at + make.random.random() * pause, live=at >= calls - 50)
        if len(rows["calls"]) == size:
            yield rows
            rows = {name: [] for name in COLUMNS}
    yield rows


class _Maker:
    def __init__(self, rng: random.Random) -> None:
        self.random = rng
        people = Population()
        self._tenants = people.tenants
        self._words = _VOCABULARY.split()
        self._shares = list(accumulate(people.weights))
        self._outcomes = list(OUTCOMES)
        self._odds = list(accumulate(OUTCOMES.values()))
        trace = [
            {"source": "to", "considered": "+17134810111", "held": True, "because": "listed"},
            {"source": "numbers", "considered": "+17134810111", "held": True, "because": "covers"},
        ]
        self._trace = json.dumps(trace)
        self._plan = json.dumps({"greeting": {"say": "Thank you for calling."}, "notes": "x" * 400})

    def call(self, rows: Rows, began_at: float, *, live: bool) -> None:
        rng = self.random
        at = rng.choices(range(TENANTS), cum_weights=self._shares)[0]
        tenant, account = self._tenants[at], ACCOUNTS[at % len(ACCOUNTS)]
        outcome = rng.choices(self._outcomes, cum_weights=self._odds)[0]
        kind = outcome.partition(".")[0]
        taken = kind in ("completed", "abandoned", "lost")
        call_id = f"rtc_{rng.getrandbits(96):024x}"
        seconds = rng.expovariate(1 / 150) if taken else rng.random()
        answered = began_at + 0.3 if taken else None
        tokens = int(seconds * 30) if taken else 0
        agent = f"agent{rng.randrange(AGENTS)}" if kind != "rejected" else None
        ended = (None,) * 8 if live else (
            began_at + seconds, outcome, FAULTS.get(kind, "provider"),
            404 if kind == "rejected" else None, int(seconds / 8), tokens, tokens * 21,
            rng.random() < 0.99,
        )  # fmt: skip
        rows["calls"].append((
            call_id, account, f"wh_{call_id}", tenant, agent, "en",
            TRUNKS[(at + rng.randrange(2)) % len(TRUNKS)], True,
            "reject" if agent is None else "accept",
            f"+1713{at:03d}{rng.randrange(NUMBERS):04d}", "to", True,
            f"+1{rng.randrange(200, 990)}555{rng.randrange(10_000):04d}", None, "A", "srtp", "",
            self._trace, self._plan, f"{at:064x}", "c65a4c01b87f", "0.4.0", "replica-1",
            "gpt-realtime-2.1", began_at - 0.2, began_at, answered, answered, answered,
            *ended, "2026-09", False,
        ))  # fmt: skip
        if rng.random() < TOLD:
            rows["aliases"].append((f"CA{rng.getrandbits(128):032x}", call_id, "x-twilio-callsid"))
            if taken:
                self._story(rows, call_id, tenant, account, began_at, seconds)

    def _story(
        self, rows: Rows, call_id: str, tenant: str, account: str, began_at: float, seconds: float
    ) -> None:
        rng = self.random
        for number in range(min(60, int(seconds / 8))):
            at, speaker = began_at + number * 8, ("agent", "caller")[number % 2]
            text = " ".join(rng.choices(self._words, k=rng.randrange(3, 24)))
            rows["turns"].append((call_id, number, tenant, at, speaker, text, False))
        for number, what in enumerate(("answered", "attached", "greeted", "heard")):
            rows["happenings"].append((call_id, number, tenant, began_at + number, what, None))
        for number in range(min(30, int(seconds / 16))):
            rows["usage"].append((
                call_id, f"resp_{number}", "response", tenant, account, began_at + number * 16,
                "gpt-realtime-2.1", 200, 300, 0, 100, 100, 0, 40, 120, None, 10_500, "2026-09",
            ))  # fmt: skip
