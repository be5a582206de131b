"""The records that become spans: what breaks in them breaks no call."""

from collections.abc import Sequence

from structlog.testing import capture_logs

from sipagent.concurrency import SystemClock
from sipagent.model import CallId, CallOutcome, Happening
from sipagent.sessions.machine.events import ResponseCreated, ResponseDone
from sipagent.tracing.records import TraceRecords
from sipagent.tracing.span import Span
from tests.store.nouns import a_call, accepted, ending, planned, said, used


def records(put: list[Span], *, sampled: bool = True, words: bool = False) -> TraceRecords:
    def taken(spans: Sequence[Span]) -> None:
        put.extend(spans)

    return TraceRecords(
        taken, lambda _: sampled, lambda _: "openai", lambda _: words, SystemClock()
    )


def whole(of: TraceRecords) -> CallOutcome:
    plan, outcome = planned(), ending()
    of.decided(a_call(), accepted(plan))
    of.happened(plan, Happening.ATTACHED)
    if (look := of.look(plan)) is not None:
        look(ResponseCreated("resp_1", None))
        look(ResponseDone("resp_1", completed=True))
    of.turn(plan, said(0))
    of.tool(plan, used())
    of.fault(plan, "rate_limit", "slow_down")
    of.ended(outcome)
    return outcome


def test_a_call_leaves_nothing_behind() -> None:
    put: list[Span] = []
    of = records(put)
    whole(of)
    assert {span.name.split()[0] for span in put} >= {
        "generate_content",
        "execute_tool",
        "invoke_agent",
        "invoke_workflow",
    }
    assert of._calls == {}
    assert of.look(planned()) is None


def test_a_call_that_is_not_sampled_is_looked_at_by_nobody() -> None:
    put: list[Span] = []
    of = records(put, sampled=False)
    of.decided(a_call(), accepted(planned()))
    assert of.look(planned()) is None
    whole(of)
    assert put == []


def test_a_call_that_is_left_is_not_told_again() -> None:
    put: list[Span] = []
    of = records(put)
    of.adopted(a_call(), accepted(planned()), 900.0)
    of.happened(planned(), Happening.ATTACHED)
    of.left(planned())
    assert [span.name for span in put] == ["invoke_agent reception"]
    of.turn(planned(), said(0))
    assert len(put) == 1


def test_what_breaks_breaks_no_call_and_quotes_nobody() -> None:
    words = "what a caller said"

    def broken(_: CallId) -> bool:
        raise ValueError(words)

    put: list[Span] = []
    of = records(put)
    of._sampled = broken
    with capture_logs() as lines:
        whole(of)
    assert {line["event"] for line in lines} == {"call not traced"}
    assert words not in str(lines)

    def full(_: Sequence[Span]) -> None:
        raise MemoryError(words)

    of = records(put)
    of._put = full
    with capture_logs() as lines:
        whole(of)
    assert {line["error"] for line in lines} == {"MemoryError"}
    assert put == []
