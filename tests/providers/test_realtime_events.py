"""Frames in, events out; requests in, frames out. The official SDK's types are the judge."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.realtime import (
    RealtimeClientEventParam,
    RealtimeConversationItemUserMessage,
    RealtimeServerEvent,
)
from pydantic import TypeAdapter

from sipagent.model import Bill, Tokens
from sipagent.providers.openai import server_events
from sipagent.providers.openai.client_events import encode
from sipagent.providers.openai.server_events import Oddity, decode
from sipagent.sessions.machine.commands import (
    AddText,
    Approve,
    CancelResponse,
    ClearAudio,
    CreateResponse,
    Inform,
    SendOutput,
    UpdateSession,
)
from sipagent.sessions.machine.events import (
    AgentText,
    AgentTextDone,
    ApprovalAsked,
    AudioCleared,
    AudioStarted,
    AudioStopped,
    CallerCommitted,
    CallerStarted,
    CallerStopped,
    CallerText,
    CallerTextDone,
    DigitPressed,
    Event,
    FaultKind,
    FunctionCall,
    OutputAdded,
    ProviderFault,
    RateLimit,
    RateLimitsTold,
    ResponseCreated,
    ResponseDone,
    SessionUpdated,
)

RESPONSE = {"id": "r1", "object": "realtime.response", "status": "completed", "output": []}
USAGE = {"type": "duration", "seconds": 1.0}
SPENT = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
SPENT_BILL = Bill(Tokens(text_in=119, audio_in=13, text_cached=64, text_out=30, audio_out=91))
TOKENS_LEFT = {"name": "tokens", "limit": 800_000, "remaining": 12, "reset_seconds": 0.5}


def frame(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, "event_id": "e1", **fields}).encode()


def error(**fields: Any) -> bytes:
    fields = {"type": "invalid_request_error", "message": "m", **fields}
    return frame("error", error=fields)


def rate_limit(**fields: Any) -> bytes:
    return frame("rate_limits.updated", rate_limits=[{**TOKENS_LEFT, **fields}])


CALL = {
    "type": "function_call",
    "id": "f1",
    "status": "completed",
    "call_id": "call_1",
    "name": "order_status",
    "arguments": '{"order_no":"A1"}',
}
CUT = {**CALL, "call_id": "call_2", "status": "incomplete", "arguments": '{"order'}
MESSAGE = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_audio", "transcript": "One moment."}],
}
SERVED = {"type": "mcp_call", "id": "m1", "server_label": "crm", "name": "find", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "id": "o1", "call_id": "call_1", "output": "{}"}
APPROVAL = {
    "type": "mcp_approval_request",
    "id": "a1",
    "server_label": "crm",
    "name": "find",
    "arguments": "{}",
}
SPOKEN = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}
KNOWN: list[tuple[bytes, Event]] = [
    (frame("session.updated", session={"type": "realtime"}), SessionUpdated()),
    (
        frame("input_audio_buffer.speech_started", audio_start_ms=1, item_id="i1"),
        CallerStarted("i1"),
    ),
    (frame("input_audio_buffer.speech_stopped", audio_end_ms=1, item_id="i1"), CallerStopped("i1")),
    (frame("input_audio_buffer.committed", item_id="i1"), CallerCommitted("i1")),
    (
        frame(
            "conversation.item.input_audio_transcription.delta",
            item_id="i1",
            content_index=0,
            delta="Hi",
        ),
        CallerText("i1", "Hi"),
    ),
    (
        frame("conversation.item.input_audio_transcription.delta", item_id="i1"),
        CallerText("i1", ""),
    ),
    (
        frame(
            "conversation.item.input_audio_transcription.completed",
            item_id="i1",
            content_index=0,
            transcript="Hi.",
            usage=USAGE,
        ),
        CallerTextDone("i1", "Hi.", Bill(seconds=1.0)),
    ),
    (
        frame(
            "conversation.item.input_audio_transcription.failed",
            item_id="i1",
            content_index=0,
            error={"code": "DeploymentNotFound"},
        ),
        CallerTextDone("i1", None),
    ),
    (frame("response.created", response=RESPONSE), ResponseCreated("r1", None)),
    (
        frame("response.created", response={**RESPONSE, "metadata": {"sipagent": "greeting"}}),
        ResponseCreated("r1", "greeting"),
    ),
    (frame("response.done", response=RESPONSE), ResponseDone("r1", completed=True)),
    (
        frame("response.done", response={**RESPONSE, "status": "incomplete"}),
        ResponseDone("r1", completed=True),
    ),
    (
        frame("response.done", response={**RESPONSE, "output": [MESSAGE, CALL, CUT, SERVED]}),
        ResponseDone(
            "r1",
            completed=True,
            calls=(FunctionCall("call_1", "order_status", '{"order_no":"A1"}'),),
            spoken=True,
            served=True,
        ),
    ),
    (
        frame("response.done", response={**RESPONSE, "status": "cancelled", "output": [CALL]}),
        ResponseDone("r1", completed=False),
    ),
    (frame("conversation.item.added", item=OUTPUT), OutputAdded("call_1")),
    (frame("conversation.item.done", item=APPROVAL), ApprovalAsked("a1", "crm", "find")),
    (
        frame("response.done", response={**RESPONSE, "status": "cancelled"}),
        ResponseDone("r1", completed=False),
    ),
    (
        frame(
            "response.done",
            response={
                **RESPONSE,
                "status": "failed",
                "status_details": {"type": "failed", "error": {"code": "rate_limit_exceeded"}},
            },
        ),
        ResponseDone("r1", completed=False, error_code="rate_limit_exceeded", failed=True),
    ),
    (
        frame("response.done", response={**RESPONSE, "usage": SPENT}),
        ResponseDone("r1", completed=True, bill=SPENT_BILL),
    ),
    (frame("input_audio_buffer.dtmf_event_received", event="#", received_at=1), DigitPressed("#")),
    (
        frame("rate_limits.updated", rate_limits=[TOKENS_LEFT, {"name": "requests"}]),
        RateLimitsTold((RateLimit("tokens", 800_000, 12, 0.5),)),
    ),
    (
        frame("response.output_audio_transcript.delta", delta="Hel", obfuscation="x", **SPOKEN),
        AgentText("r1", "i1", "Hel"),
    ),
    (
        frame("response.output_audio_transcript.done", transcript="Hello.", **SPOKEN),
        AgentTextDone("r1", "i1", "Hello."),
    ),
    (frame("response.output_text.delta", delta="Hel", **SPOKEN), AgentText("r1", "i1", "Hel")),
    (
        frame("response.output_text.done", text="Hello.", **SPOKEN),
        AgentTextDone("r1", "i1", "Hello."),
    ),
    (frame("output_audio_buffer.started", response_id="r1"), AudioStarted("r1")),
    (frame("output_audio_buffer.stopped", response_id="r1"), AudioStopped("r1")),
    (frame("output_audio_buffer.cleared", response_id="r1"), AudioCleared("r1")),
    (
        error(code="conversation_already_has_active_response", event_id="q1"),
        ProviderFault(FaultKind.BUSY, "conversation_already_has_active_response", "q1"),
    ),
    (
        error(code="response_cancel_not_active"),
        ProviderFault(FaultKind.IDLE, "response_cancel_not_active", None),
    ),
    (error(code="session_expired"), ProviderFault(FaultKind.EXPIRED, "session_expired", None)),
    (
        error(code="call_id_not_found"),
        ProviderFault(FaultKind.UNKNOWN_CALL, "call_id_not_found", None),
    ),
    (error(), ProviderFault(FaultKind.OTHER, "invalid_request_error", None)),
]


@pytest.mark.parametrize(("raw", "event"), KNOWN, ids=lambda value: str(value)[:60])
def test_events_of_the_sdk_become_events_of_the_machine(raw: bytes, event: Event) -> None:
    TypeAdapter(RealtimeServerEvent).validate_json(raw)
    assert decode(raw) == event


def test_a_digit_is_read_as_the_providers_own_example_spells_it() -> None:
    assert decode(frame(" input_audio_buffer.dtmf_event_received", event="9")) == DigitPressed("9")


def test_a_message_of_ours_is_the_systems() -> None:
    assert json.loads(encode(Inform("q4", "Come to the end."))) == {
        "type": "conversation.item.create",
        "event_id": "q4",
        "item": {
            "type": "message",
            "role": "system",
            "content": [{"type": "input_text", "text": "Come to the end."}],
        },
    }


def test_what_a_caller_has_written_is_a_message_of_theirs() -> None:
    """By the SDK's own type of it: the union of items loses its content on the way back."""
    event = json.loads(encode(AddText("typed_1", "Hello?")))
    item = event.pop("item")
    assert event == {"type": "conversation.item.create"}
    content = [{"type": "input_text", "text": "Hello?"}]
    assert item == {"id": "typed_1", "type": "message", "role": "user", "content": content}
    read = RealtimeConversationItemUserMessage.model_validate(item, extra="forbid")
    assert read.to_dict(mode="json") == item


def test_a_response_whose_bill_cannot_be_read_has_ended_all_the_same() -> None:
    odd = {**SPENT, "output_token_details": {"text_tokens": -1}}
    assert decode(frame("response.done", response={**RESPONSE, "usage": odd})) == ResponseDone(
        "r1", completed=True
    )


@pytest.mark.parametrize(
    "item", [None, 5, {"type": 5}, {**CALL, "name": 7}, {**CALL, "call_id": None}, {"type": "x"}]
)
def test_what_cannot_be_read_of_a_response_does_not_hide_its_end(item: Any) -> None:
    read = decode(frame("response.done", response={**RESPONSE, "output": [item, CALL]}))
    assert isinstance(read, ResponseDone)
    assert [call.id for call in read.calls] == ["call_1"]


def test_every_event_type_of_the_sdk_is_known() -> None:
    union = get_args(get_args(RealtimeServerEvent)[0])
    kinds = {get_args(kind.model_fields["type"].annotation)[0] for kind in union}
    assert kinds - set(server_events._READERS) - server_events._UNHEEDED == set()


@pytest.mark.parametrize(
    ("raw", "oddity"),
    [
        (b'{"type":"never.heard.of"}', Oddity.UNKNOWN),
        (b'{"type":"conversation.item.done","item":5}', Oddity.MALFORMED),
        (b"", Oddity.MALFORMED),
        (b"null", Oddity.MALFORMED),
        (b"[]", Oddity.MALFORMED),
        (b"{}", Oddity.MALFORMED),
        (b'{"type":5}', Oddity.UNKNOWN),
        (b'{"type":["response.done"]}', Oddity.MALFORMED),
        (b'{"type":"response.done"}', Oddity.MALFORMED),
        (b'{"type":"response.done","response":null}', Oddity.MALFORMED),
        (b'{"type":"response.done","response":{"id":5,"status":"completed"}}', Oddity.MALFORMED),
        (b'{"type":"error","error":{"code":7}}', Oddity.MALFORMED),
        (b'{"type":"output_audio_buffer.started"}', Oddity.MALFORMED),
        (frame("input_audio_buffer.dtmf_event_received", event="E"), Oddity.MALFORMED),
        (frame("input_audio_buffer.dtmf_event_received", event=["5"]), Oddity.MALFORMED),
        (frame("rate_limits.updated", rate_limits={}), Oddity.MALFORMED),
        (frame("rate_limits.updated", rate_limits=[{}] * 17), Oddity.MALFORMED),
        (frame("rate_limits.updated", rate_limits=[5]), Oddity.MALFORMED),
        (rate_limit(remaining=-1), Oddity.MALFORMED),
        (rate_limit(limit=10**16), Oddity.MALFORMED),
        (rate_limit(limit=True), Oddity.MALFORMED),
        (rate_limit(reset_seconds="1s"), Oddity.MALFORMED),
        (rate_limit(name=5), Oddity.MALFORMED),
        (b'{"type":"input_audio_buffer.committed","item_id":"\\ud800"}', Oddity.MALFORMED),
        (b'{"type":' + b"[" * 100_000, Oddity.MALFORMED),
        (b"\xff\xfe", Oddity.MALFORMED),
        (b" " * (server_events.LONGEST_EVENT + 1), Oddity.OVERSIZE),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_odd_frames_are_counted_and_harmless(raw: bytes, oddity: Oddity | None) -> None:
    assert decode(raw) is oddity


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = (
    "response",
    "item_id",
    "response_id",
    "delta",
    "transcript",
    "text",
    "error",
    "session",
    "usage",
    "rate_limits",
    "event",
    "item",
)


@settings(max_examples=2_000, deadline=None)
@given(
    kind=st.sampled_from(sorted(server_events._READERS)),
    fields=st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=3),
    cut=st.none() | st.integers(0, 200),
)
def test_no_frame_raises(kind: str, fields: dict[str, Any], cut: int | None) -> None:
    decode(frame(kind, **fields)[:cut])


DETECTION = {"type": "server_vad", "create_response": True, "idle_timeout_ms": 6000}
QUIET = {**DETECTION, "create_response": False, "idle_timeout_ms": None}
HELD, RESTORED = (
    {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    for detection in (QUIET, DETECTION)
)
REQUESTS = [
    CreateResponse("q1", "greeting", 'Say "hello".'),
    CreateResponse("q2", "reply", None),
    CreateResponse("q5", "filler", "Say: one moment.", tools=False),
    SendOutput("call_1", "out_1", '{"eta":"Tuesday"}', "told:call_1"),
    Approve("a1", approve=True),
    CancelResponse("r1"),
    ClearAudio(),
    Inform("q4", "The call will be ended in about a minute."),
    Inform("whisper-1", "This is for you alone: \u2028 the caller is known here."),
    UpdateSession("replies-1", HELD),
    UpdateSession("replies-2", RESTORED),
    UpdateSession(
        "q3", {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad"}}}}
    ),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda value: type(value).__name__)
def test_requests_are_client_events_of_the_sdk_without_unknown_keys(request_: Any) -> None:
    adapter = TypeAdapter[Any](RealtimeClientEventParam)
    event = json.loads(encode(request_))
    assert json.loads(adapter.dump_json(adapter.validate_python(event))) == event


@pytest.mark.parametrize(("code", "kept"), [("x" * 100, "x" * 64), ("a\nb", "unprintable")])
def test_an_errors_code_is_a_short_printable_word(code: str, kept: str) -> None:
    assert decode(error(code=code)) == ProviderFault(FaultKind.OTHER, kept, None)
