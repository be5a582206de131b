"""Spans on their way: bounded, counted, and never in anybody's way."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from structlog.testing import capture_logs

from sipagent.model import CallId
from sipagent.tracing.otlp import Otlp
from sipagent.tracing.outgoing import MOST_WAITING, Outgoing
from sipagent.tracing.span import Span

SPAN = Span(CallId("rtc_1"), "chat", "0" * 15 + "1", None, 1.0, 2.0, {})


class Sink:
    """Takes spans as it is told to."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.counts: Counter[str] = Counter()
        self.open = threading.Event()
        self.open.set()
        self.taken = True
        self.raises: Exception | None = None

    def send(self, spans: Sequence[Span]) -> bool:
        self.open.wait(10)
        if self.raises is not None:
            raise self.raises
        self.batches.append(len(spans))
        return self.taken

    def count(self, result: str, many: int) -> None:
        self.counts[result] += many


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.open.set()


def test_what_waits_is_sent_at_the_end(sink: Sink) -> None:
    outgoing = Outgoing(sink.send, sink.count)
    outgoing.put([SPAN, SPAN])
    outgoing.put([SPAN])
    outgoing.close(5)
    assert (sink.batches, sink.counts) == ([3], {"exported": 3})


def test_without_a_span_there_is_no_thread(sink: Sink) -> None:
    before = threading.active_count()
    outgoing = Outgoing(sink.send, sink.count)
    outgoing.close(5)
    outgoing.put([SPAN])
    assert threading.active_count() == before
    assert sink.counts == {"dropped": 1}


def test_what_waits_is_sent_in_its_time(sink: Sink) -> None:
    outgoing = Outgoing(sink.send, sink.count, every=0.01)
    outgoing.put([SPAN])
    until = time.monotonic() + 10
    while not sink.batches and time.monotonic() < until:
        time.sleep(0.01)
    assert sink.batches == [1]
    outgoing.close(5)


def test_a_collector_that_hangs_delays_nobody_and_loses_what_has_no_room(sink: Sink) -> None:
    sink.open.clear()
    outgoing = Outgoing(sink.send, sink.count, every=0.001)
    began = time.monotonic()
    for _ in range(MOST_WAITING + 1_000):
        outgoing.put([SPAN])
    assert time.monotonic() - began < 1
    assert 400 <= sink.counts["dropped"] <= 1_000
    began = time.monotonic()
    with capture_logs() as lines:
        outgoing.close(0.1)
    assert time.monotonic() - began < 1
    assert sink.counts["dropped"] >= 1_000
    assert [line["event"] for line in lines] == ["traces not exported at the end"]


def test_a_collector_that_is_away_is_told_once_and_when_it_is_back(sink: Sink) -> None:
    outgoing = Outgoing(sink.send, sink.count, to="collector:4318")
    secret = "https://user:pw@collector"
    with capture_logs() as lines:
        for raises, taken in ((ValueError(secret), True), (None, False), (None, True)):
            sink.raises, sink.taken = raises, taken
            outgoing._export([SPAN])
    assert [line["event"] for line in lines] == [
        "traces cannot be exported",
        "traces exported again",
    ]
    assert (lines[0]["reason"], lines[0]["to"]) == ("ValueError", "collector:4318")
    assert secret not in str(lines)
    assert sink.counts == {"failed": 2, "exported": 1}


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({}, "localhost:4318"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://user:pw@collector:4318/x"}, "collector:4318"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://other/v1/traces"}, "other"),
    ],
)
def test_a_collector_is_called_by_its_host(
    variables: dict[str, str], shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Otlp("here").collector == shown
