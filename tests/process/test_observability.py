"""What a log line holds, and what it never holds."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from sipagent.model import CallId
from sipagent.model.trace import trace_id_of
from sipagent.observability import (
    configure_logging,
    keep_loggers,
    log_later,
    write_waiting_lines,
)
from tests.waiting import eventually


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    configure_logging(level="info", json=True, stream=io.StringIO())  # nothing waits any more
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_every_line_of_a_call_carries_its_context_also_a_librarys() -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=True, stream=stream)
    with structlog.contextvars.bound_contextvars(call_id="rtc_1", tenant="t", agent="a"):
        structlog.get_logger("ours").info("call ended", outcome="completed.line_closed")
        logging.getLogger("somebody.elses").warning("hm %s", 5)
    for line in map(json.loads, lines(stream)):
        assert (line["call_id"], line["tenant"], line["agent"]) == ("rtc_1", "t", "a")
    assert json.loads(lines(stream)[1])["event"] == "hm 5"


@pytest.mark.parametrize("traced", [True, False])
def test_lines_of_a_call_have_its_trace_while_calls_are_traced(*, traced: bool) -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=True, stream=stream, traced=traced)
    log = structlog.get_logger("ours")
    with structlog.contextvars.bound_contextvars(call_id="rtc_1"):
        log.info("call ended")
    log.info("starting")
    log.info("odd", call_id="\ud800")
    of_call, other, odd = map(json.loads, lines(stream))
    assert of_call.get("trace_id") == (trace_id_of(CallId("rtc_1")) if traced else None)
    assert "trace_id" not in other
    assert "trace_id" not in odd


def test_libraries_that_quote_callers_are_quiet_at_every_level() -> None:
    stream = io.StringIO()
    configure_logging(level="debug", json=True, stream=stream)
    for name in ("websockets.client", "httpx", "httpcore.http11", "aiosqlite"):
        logging.getLogger(name).debug("< TEXT what a caller said")
        logging.getLogger(name).info("< TEXT what a caller said")
    assert lines(stream) == []


def test_loggers_that_are_kept_tell_the_same() -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=True, stream=stream)
    keep_loggers()
    log = structlog.get_logger("ours")
    for number in range(2):
        with structlog.contextvars.bound_contextvars(call_id=f"rtc_{number}"):
            log.info("call ended")
    assert [json.loads(line)["call_id"] for line in lines(stream)] == ["rtc_0", "rtc_1"]


def test_half_of_a_pair_of_surrogates_does_not_cost_the_line() -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=True, stream=stream)
    structlog.get_logger("ours").info("odd", header="\ud800", what={1, 2}, who=ValueError)
    (line,) = lines(stream)
    assert json.loads(line)["header"] == "\ud800"


def test_a_traceback_is_structured_and_shows_no_local_variable() -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=True, stream=stream)
    secret = "sk-" + "local"
    try:
        raise ValueError(len(secret))
    except ValueError:
        structlog.get_logger("ours").exception("failed")
    (line,) = lines(stream)
    assert json.loads(line)["exception"][0]["exc_type"] == "ValueError"
    assert secret not in line


def test_a_terminal_gets_one_readable_line() -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=False, stream=stream)
    structlog.get_logger("ours").info("call ended", seconds=1.5, detail=None, name="two words\n")
    (line,) = lines(stream)
    assert line[8:].split() == ["info", "call", "ended", "seconds=1.5", "name='two", "words\\n'"]


def test_a_terminal_gets_the_traceback_below_the_line() -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=False, stream=stream)
    try:
        raise ValueError("x")
    except ValueError:
        structlog.get_logger("ours").exception("failed")
    assert lines(stream)[0].split()[1:] == ["error", "failed"]
    assert lines(stream)[-1] == "ValueError: x"


async def test_lines_that_wait_are_told_as_of_their_time_and_before_whatever_is_told_at_once() -> (
    None
):
    stream = io.StringIO()
    configure_logging(level="info", json=True, stream=stream)
    keep_loggers()
    log = structlog.get_logger("ours")
    for number in range(2):
        with structlog.contextvars.bound_contextvars(call_id=f"rtc_{number}"):
            log_later(lambda: log.info("call decided"))
    assert lines(stream) == []
    log.warning("provider error")
    told = [json.loads(line) for line in lines(stream)]
    assert [(one["event"], one.get("call_id")) for one in told] == [
        ("call decided", "rtc_0"),
        ("call decided", "rtc_1"),
        ("provider error", None),
    ]
    assert [one["timestamp"] for one in told] == sorted(one["timestamp"] for one in told)


async def test_lines_that_wait_are_written_soon_by_themselves_and_when_the_process_ends() -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=True, stream=stream)
    keep_loggers()
    log = structlog.get_logger("ours")
    log_later(lambda: log.info("call decided"))
    await eventually(lambda: len(lines(stream)) == 1)
    log_later(lambda: log.info("call ended"))
    logging.shutdown([lambda: logging.getLogger().handlers[0]])
    assert json.loads(lines(stream)[1])["event"] == "call ended"


async def test_a_line_that_cannot_be_made_is_told_and_the_others_are_written() -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=True, stream=stream)
    keep_loggers()
    log = structlog.get_logger("ours")
    words = "what a caller said"

    def broken() -> None:
        raise ValueError(words)

    log_later(broken)
    log_later(lambda: log.info("call ended"))
    logging.getLogger("somebody.elses").warning("hm")
    told = [json.loads(line)["event"] for line in lines(stream)]
    assert told == ["line not made: ValueError", "call ended", "hm"]
    assert words not in stream.getvalue()


def test_lines_wait_for_nothing_unless_that_is_said() -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=True, stream=stream)
    log_later(lambda: structlog.get_logger("ours").info("call ended"))
    assert len(lines(stream)) == 1


def test_two_threads_that_log_by_different_ways_never_wait_for_each_other() -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=True, stream=stream)
    handler = logging.getLogger().handlers[0]
    assert handler.lock is None  # the lines' own is the only one


async def test_a_stream_that_is_closed_holds_up_nobody() -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=True, stream=stream)
    keep_loggers()
    stream.close()
    log = structlog.get_logger("ours")
    for _ in range(1000):
        log_later(lambda: log.info("call ended"))
    log.warning("provider error")
    logging.getLogger("somebody.elses").warning("hm")


def test_lines_that_cannot_wait_are_not_kept_either() -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=True, stream=stream)
    keep_loggers()
    with pytest.raises(RuntimeError, match="no running event loop"):
        log_later(lambda: structlog.get_logger("ours").info("call ended"))
    structlog.get_logger("ours").info("hm")
    assert [json.loads(line)["event"] for line in lines(stream)] == ["hm"]


async def test_lines_that_wait_are_written_before_a_process_is_killed_by_force() -> None:
    stream = io.StringIO()
    configure_logging(level="info", json=True, stream=stream)
    keep_loggers()
    log_later(lambda: structlog.get_logger("ours").info("call ended"))
    write_waiting_lines(within=0.1)
    assert len(lines(stream)) == 1
