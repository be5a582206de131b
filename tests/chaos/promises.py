"""What must be true of every call of a round, whoever held it and whatever was killed meanwhile."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.chaos.books import Recorded, Used
from tests.chaos.callers import QUIESCENT, Crowd, Kind, Placed

ENDED = {"completed.line_closed"}
ENDED_OTHERWISE = {
    Kind.RINGING: {"completed.line_closed", "abandoned.caller_gone"},
    # The latter where nothing has come of its REFER for 45 seconds.
    Kind.FORWARD: {"completed.transferred", "failed.refer_failed"},
    Kind.REFUSED: {"rejected.rule"},
    Kind.TRANSFER: {"completed.transferred", "completed.line_closed"},
}
"""How a call of these rounds may have ended, by what it was doing at the kill."""


@dataclass(slots=True)
class Counts:
    """What the rounds came to, call by call."""

    rounds: int = 0
    calls: int = 0
    second_greetings: int = 0
    second_accepts: int = 0
    crossed_accepts: int = 0
    second_refers: int = 0
    recorded: int = 0
    equal: int = 0
    equal_tokens: int = 0
    difference: int = 0
    lost_bills: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


def recorded_as_may_be_true(crowd: Crowd, records: Mapping[str, Recorded], counts: Counts) -> None:
    """Each call is in the records, once, with one outcome that may be true of it."""
    placed = {one.call_id for one in crowd.calls}
    assert set(records) == placed
    counts.calls += len(placed)
    counts.recorded += len(records)
    counts.outcomes += Counter(str(record.outcome) for record in records.values())
    for one in crowd.calls:
        record, expected = records[one.call_id], ENDED_OTHERWISE.get(one.kind, ENDED)
        assert record.outcome in expected, (one.call.describe(), record)


def nothing_twice(crowd: Crowd, counts: Counts) -> None:
    """No greeting, no accept and no REFER of a call came a second time."""
    for placed in crowd.calls:
        call, accepts = placed.call, len(placed.call.accepts)
        statuses = call.answers["accept"]
        assert statuses.count(200) == call.answered, call.describe()
        if placed.accepted_by_then is not None:
            assert accepts == placed.accepted_by_then, call.describe()
        # An accept whose answer no process heard is asked for again, unless a socket tells.
        more = max(0, accepts - 1)
        counts.second_accepts += 0 if placed.in_flight else more
        counts.crossed_accepts += more if placed.in_flight else 0
        counts.second_greetings += max(0, placed.greetings - 1)
        counts.second_refers += max(0, len(call.refers) - 1)
        assert placed.in_flight or not more, call.describe()
        assert placed.greetings <= 1, call.describe()
        assert len(call.refers) <= 1, call.describe()
        if placed.kind in QUIESCENT:
            assert placed.greetings == 1, call.describe()


def usage_is_the_ledgers(
    crowd: Crowd, records: Mapping[str, Recorded], used: Mapping[str, Used], counts: Counts
) -> None:
    """What was billed while a process listened is in the records, to the token; nothing is there
    that was not billed."""
    equal = 0
    for placed in crowd.calls:
        call, record = placed.call, records[placed.call_id]
        billed, found = ledger(placed), used.get(placed.call_id, Used())
        assert found.within(billed), (call.describe(), found)
        assert record.tokens == found.tokens, (record, found, call.describe())
        assert (record.turns or 0) >= record.turns_kept, (record, call.describe())
        if placed.quiet or record.usage_complete:
            counts.difference += abs(billed.tokens - found.tokens)
            assert found == billed, (record, found, billed, call.describe())
            counts.equal_tokens += found.tokens
            equal += 1
        counts.lost_bills += billed.responses - found.responses
    assert equal >= len(crowd.calls) / 2
    counts.equal += equal


def ledger(placed: Placed) -> Used:
    usage = placed.call.usage
    return Used() if usage is None else Used(**usage)


def ended(records: Mapping[str, Recorded]) -> set[str]:
    return {name for name, record in records.items() if record.outcome is not None}
