"""What follows what on an accepted call, in virtual time."""

from typing import Any

import pytest

from sipagent.simulator.usage import Ledger
from tests.simulator.support import ACCEPT, Table, assert_official

SPOKEN_RESPONSE = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "output_audio_buffer.started",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
    "output_audio_buffer.stopped",
]
CALLER_TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
TRANSCRIPTION = [
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
]


def session(**audio_input: Any) -> dict[str, Any]:
    return {**ACCEPT, "audio": {"input": audio_input}}


SCRIPTS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "greeting": ([], {}),
    "turns": ([{"caller": "Hi"}, {"agent": "Good morning."}, {"caller": "Bye"}], {}),
    "late-transcripts": ([{"caller": "Hi"}, {"agent": "Good."}], {"transcripts": "after"}),
    "tools": (
        [
            {"caller": "Order 5?"},
            {"tool": [{"name": "a"}, {"name": "b", "arguments": {"n": 1}}], "say": "One moment."},
            {"tool": {"name": "c", "arguments": "{}"}},
        ],
        {"patience": 1},
    ),
    "barge-in": ([{"caller": "Stop", "barge_in": True}, {"agent": "I stop."}], {}),
    "barge-in-late": (
        [{"caller": "Stop", "barge_in": True}, {"agent": "I do stop now."}],
        {"pace": 6},
    ),
    "failure": ([{"caller": "Hi"}, {"fail": "insufficient_quota"}], {"patience": 1}),
    "no-answer": ([{"caller": "Hi"}, {"no_answer": "never_begun"}], {"patience": 1}),
    "without-usage": ([{"caller": "Hi"}], {"usage": False}),
    "limits": (
        [],
        {"rate_limits": [{"name": "requests", "limit": 10, "remaining": 3, "reset_seconds": 6.0}]},
    ),
    "digits": ([{"dtmf": "12#"}, {"pause": 2}, {"hang_up": True}], {}),
    "transcription-fails": ([{"caller": "Hm", "transcription_fails": True}], {}),
    "token-usage": (
        [{"caller": "Hi"}],
        {"session": session(transcription={"model": "gpt-4o-transcribe"})},
    ),
    "text": ([{"caller": "Hi"}], {"session": {**ACCEPT, "output_modalities": ["text"]}}),
    "announced": ([], {"session_created": True}),
    "idle": (
        [{"pause": 20}],
        {"session": session(turn_detection={"type": "server_vad", "idle_timeout_ms": 5000})},
    ),
    "expiry": ([], {"stay": True, "max_duration": 30}),
}


@pytest.mark.parametrize(("script", "options"), SCRIPTS.values(), ids=SCRIPTS)
def test_every_event_of_a_conversation_is_of_its_official_type(
    script: list[dict[str, Any]], options: dict[str, Any]
) -> None:
    table = Table(script, **options).attach().greet().run()
    assert table.line.hung_up is not None
    for event in table.events:
        assert_official(event)


def test_a_spoken_response_has_the_recorded_order() -> None:
    table = Table(stay=True).attach().greet().run()
    assert table.kinds == SPOKEN_RESPONSE


def test_a_turn_runs_from_speech_to_playback_in_the_recorded_order() -> None:
    table = Table([{"caller": "Hi"}, {"agent": "Good morning."}], stay=True).attach().greet()
    table.clear()
    table.run()
    deltas = ["response.output_audio_transcript.delta"]
    expected = CALLER_TURN + TRANSCRIPTION + SPOKEN_RESPONSE[:4] + deltas + SPOKEN_RESPONSE[4:]
    assert table.kinds == expected


def test_transcripts_may_come_after_the_response() -> None:
    table = Table([{"caller": "Hi"}, {"agent": "Yes?"}], stay=True, transcripts="after")
    table.attach().greet().run()
    done = table.kinds.index("response.done", table.kinds.index("response.done") + 1)
    assert table.kinds.index(TRANSCRIPTION[1]) > done


def test_a_function_call_has_the_recorded_order_and_waits_for_its_output() -> None:
    table = Table([{"caller": "Hi"}, {"tool": {"name": "look", "arguments": {"a": 1}}}], stay=True)
    table.attach().greet().run(1.0)
    start = table.kinds.index("response.created", 1)
    assert table.kinds[start:] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    (call,) = table.last("response.done")["response"]["output"]
    assert (call["name"], call["arguments"]) == ("look", '{"a": 1}')
    table.clear()
    item = {"type": "function_call_output", "call_id": call["call_id"], "output": "{}"}
    table.send("conversation.item.create", item=item)
    assert table.kinds == ["conversation.item.added", "conversation.item.done"]


def test_parallel_function_calls_stand_in_one_response() -> None:
    table = Table([{"tool": [{"name": "a"}, {"name": "b"}]}]).attach().send("response.create")
    output = table.last("response.done")["response"]["output"]
    assert [item["name"] for item in output] == ["a", "b"]
    indexes = [event["output_index"] for event in table.all("response.output_item.done")]
    assert indexes == [0, 1]


def test_caller_speech_without_turn_detection_is_silent_until_committed() -> None:
    table = Table([{"caller": "Hi"}], stay=True, session=session(turn_detection=None))
    table.attach().greet().run(1.0)
    assert "input_audio_buffer.speech_started" not in table.kinds
    table.clear()
    table.send("input_audio_buffer.commit")
    assert table.kinds == CALLER_TURN[2:]


def test_without_transcription_there_is_no_caller_text() -> None:
    table = Table([{"caller": "Secret"}], session=session()).attach().greet().run()
    assert not [kind for kind in table.kinds if "transcription" in kind]
    assert "Secret" not in str(table.events)


def test_no_response_follows_a_turn_when_create_response_is_false() -> None:
    vad = {"type": "server_vad", "create_response": False}
    table = Table([{"caller": "Hi"}], stay=True, session=session(turn_detection=vad))
    table.attach().greet().run(2.0)
    assert table.kinds.count("response.created") == 1
    assert table.kinds[-1] == "conversation.item.done"


def test_barging_in_while_generating_cancels_the_response() -> None:
    table = Table([{"caller": "Stop", "barge_in": True}], stay=True).attach().greet("One two").run()
    start = table.kinds.index("input_audio_buffer.speech_started")
    assert table.kinds[start : start + 9] == [
        "input_audio_buffer.speech_started",
        "output_audio_buffer.cleared",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert table.kinds[start + 9] == "conversation.item.truncated"
    cancelled = table.all("response.done")[0]["response"]
    assert cancelled["status"] == "cancelled"
    assert cancelled["status_details"] == {"type": "cancelled", "reason": "turn_detected"}


def test_barging_in_while_only_playing_truncates_what_was_not_heard() -> None:
    table = Table([{"caller": "Stop", "barge_in": True}], stay=True, pace=10)
    table.attach().greet("one two three four five six seven eight nine ten").run()
    assert table.all("response.done")[0]["response"]["status"] == "completed"
    truncated = table.last("conversation.item.truncated")
    assert truncated["audio_end_ms"] == 500
    note = next(note for note in table.line.notes if note["type"] == "interrupted")
    assert note["text"] == "one two three four five"
    assert table.kinds.count("output_audio_buffer.stopped") == 1


def test_speech_does_not_interrupt_when_interrupt_response_is_false() -> None:
    vad = {"type": "server_vad", "interrupt_response": False}
    script = [{"caller": "Stop", "barge_in": True}]
    table = Table(script, stay=True, pace=10, session=session(turn_detection=vad))
    table.attach().greet("one two three four five six").run()
    assert "output_audio_buffer.cleared" not in table.kinds
    assert table.kinds.count("output_audio_buffer.stopped") == 2


def test_the_caller_waits_until_the_greeting_has_been_heard() -> None:
    table = Table([{"caller": "Hi"}], pace=5, reaction=0.3).attach().greet("one two three four")
    table.run()
    times = [note["at"] for note in table.line.notes if note["type"] == "speech"]
    # 0.16 s to generate, 0.8 s to speak, 0.3 s to react
    assert times[:2] == [pytest.approx(0.16), pytest.approx(0.16 + 0.8 + 0.3)]


def test_the_caller_speaks_first_when_no_greeting_comes() -> None:
    table = Table([{"caller": "Anybody?"}], patience=2.0, stay=True).attach().run(2.5)
    assert table.kinds[0] == "input_audio_buffer.speech_started"


def test_the_caller_hangs_up_after_the_last_line() -> None:
    table = Table([{"caller": "Bye"}, {"agent": "Bye."}]).attach().greet().run()
    assert table.line.hung_up == "caller"
    assert table.kinds[-1] == "output_audio_buffer.stopped"


def test_a_call_that_stays_is_not_hung_up() -> None:
    assert Table(stay=True).attach().greet().run().line.hung_up is None


def test_hanging_up_over_the_greeting_ends_the_call_at_once() -> None:
    table = Table([{"hang_up": True, "barge_in": True, "after": 0.1}], pace=1).attach()
    table.greet("one two three").run()
    assert table.line.hung_up == "caller"
    assert "output_audio_buffer.stopped" not in table.kinds


def test_a_greeting_does_not_take_a_scripted_line() -> None:
    table = Table([{"caller": "Hi"}, {"agent": "Scripted."}]).attach().greet("Hello").run()
    done = [e["transcript"] for e in table.all("response.output_audio_transcript.done")]
    assert done == ["Hello", "Scripted."]


def test_a_greeting_takes_the_place_of_the_scripts_greeting() -> None:
    table = Table([{"agent": "Welcome."}, {"caller": "Hi"}, {"agent": "Yes."}])
    table.attach().greet("Hello").run()
    done = [e["transcript"] for e in table.all("response.output_audio_transcript.done")]
    assert done == ["Hello", "Yes."]


def test_only_one_response_at_a_time_writes_to_the_conversation() -> None:
    table = Table(pace=1, stay=True).attach().greet("one two three four five six")
    table.send("response.create", event_id="mine")
    error = table.last("error")["error"]
    active = table.last("response.created")["response"]["id"]
    assert (error["code"], error["event_id"]) == (
        "conversation_already_has_active_response",
        "mine",
    )
    assert active in error["message"]


def test_an_out_of_band_response_runs_beside_another() -> None:
    table = Table(pace=1, stay=True).attach().greet("one two three four five six")
    params = {"conversation": "none", "output_modalities": ["text"], "metadata": {"k": "v"}}
    table.send("response.create", response=params)
    assert not table.all("error")
    beside = table.last("response.created")["response"]
    assert (beside["conversation_id"], beside["metadata"]) == (None, {"k": "v"})
    table.run(5.0)
    for event in table.events:
        assert_official(event)


def test_cancelling_nothing_is_an_error() -> None:
    table = Table(stay=True).attach().send("response.cancel", event_id="c1")
    assert table.last("error")["error"]["code"] == "response_cancel_not_active"


def test_cancel_ends_the_response_and_clear_ends_the_playback() -> None:
    table = Table(pace=2, stay=True).attach().greet("one two three four")
    table.run(0.25)
    table.send("response.cancel")
    done = table.last("response.done")["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
    table.greet("five six seven eight").run(1.0)
    table.clear()
    table.send("output_audio_buffer.clear")
    assert table.kinds == ["output_audio_buffer.cleared", "conversation.item.truncated"]


def test_an_update_changes_only_what_it_names() -> None:
    table = Table(stay=True).attach()
    vad = {"type": "semantic_vad", "eagerness": "low"}
    update = {"type": "realtime", "audio": {"input": {"turn_detection": vad}}}
    table.send("session.update", session=update)
    effective = table.last("session.updated")["session"]
    assert_official(table.last("session.updated"))
    assert effective["instructions"] == ACCEPT["instructions"]
    assert effective["audio"]["input"]["transcription"] == {"model": "gpt-transcribe"}
    assert effective["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "low",
        "create_response": True,
        "interrupt_response": True,
    }
    table.send("session.update", session={"type": "realtime", "instructions": "", "tools": []})
    assert table.last("session.updated")["session"]["instructions"] == ""


@pytest.mark.parametrize(
    ("update", "code", "param"),
    [
        ({"instructions": "x"}, "missing_required_parameter", "session.type"),
        ({"type": "realtime", "model": "other"}, "cannot_update_model", "session.model"),
        (
            {"type": "realtime", "audio": {"output": {"voice": "cedar"}}},
            "cannot_update_voice",
            "session.audio.output.voice",
        ),
        ({"type": "realtime", "temperature": 1}, "unknown_parameter", "session.temperature"),
    ],
)
def test_impossible_updates_are_refused_and_change_nothing(
    update: dict[str, Any], code: str, param: str
) -> None:
    table = Table(stay=True).attach().greet().run()
    before = table.line.session
    table.send("session.update", session=update, event_id="u")
    error = table.last("error")["error"]
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "u")
    assert table.line.session is before


def test_the_voice_can_change_before_the_first_audio() -> None:
    table = Table(stay=True).attach()
    update = {"type": "realtime", "audio": {"output": {"voice": {"id": "voice_1"}}}}
    table.send("session.update", session=update).greet().run()
    assert not table.all("error")
    assert table.last("response.done")["response"]["audio"]["output"]["voice"] == "voice_1"
    for event in table.events:
        assert_official(event)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("{", "invalid_event"),
        ("[]", "invalid_event"),
        ("{}", "invalid_event"),
        ('{"type":"no.such"}', "invalid_value"),
        ('{"type":5}', "invalid_value"),
        ('{"type":"response.create","x":1}', "unknown_parameter"),
        ('{"type":"response.create","response":{"conversation":"x"}}', "invalid_value"),
        ('{"type":"conversation.item.create","item":{"type":"message"}}', "invalid_value"),
        ('{"type":"conversation.item.delete","item_id":"no"}', "item_delete_invalid_item_id"),
        ('{"type":"conversation.item.retrieve","item_id":"no"}', "item_retrieve_invalid_item_id"),
        ('{"type":"input_audio_buffer.commit"}', "input_audio_buffer_commit_empty"),
    ],
)
def test_a_wrong_client_event_is_answered_with_an_error_and_nothing_else(
    raw: str, code: str
) -> None:
    table = Table(stay=True).attach()
    table.conversation.receive(raw, 0.0)
    (event,) = table.events
    assert_official(event)
    assert event["error"]["code"] == code


def test_the_event_id_of_an_unknown_event_is_echoed() -> None:
    table = Table(stay=True).attach().send("no.such", event_id="e5")
    assert table.last("error")["error"]["event_id"] == "e5"


def test_items_can_be_created_retrieved_truncated_and_deleted() -> None:
    table = Table(stay=True).attach().greet().run()
    spoken = table.last("response.output_item.done")["item"]["id"]
    table.clear()
    content = [{"type": "input_text", "text": "The caller is a VIP."}]
    item = {"id": "mine", "type": "message", "role": "system", "content": content}
    table.send("conversation.item.create", item=item, previous_item_id="root")
    table.send("conversation.item.retrieve", item_id="mine")
    table.send("conversation.item.truncate", item_id=spoken, content_index=0, audio_end_ms=100)
    table.send("conversation.item.delete", item_id="mine")
    table.send("input_audio_buffer.append", audio="AAAA").send("input_audio_buffer.clear")
    assert table.kinds == [
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.retrieved",
        "conversation.item.truncated",
        "conversation.item.deleted",
        "input_audio_buffer.cleared",
    ]
    assert table.events[0]["previous_item_id"] is None
    for event in table.events:
        assert_official(event)


def test_an_output_for_an_unknown_function_call_is_refused() -> None:
    table = Table(stay=True).attach()
    item = {"type": "function_call_output", "call_id": "call_no", "output": ""}
    table.send("conversation.item.create", item=item)
    assert table.last("error")["error"]["code"] == "invalid_tool_call_id"


def test_the_bill_of_a_call_is_the_sum_of_its_responses() -> None:
    script = [{"caller": "Hi there"}, {"agent": "Hello."}, {"caller": "Bye"}, {"agent": "Bye."}]
    table = Table(script).attach().greet().run()
    usages = [event["response"]["usage"] for event in table.all("response.done")]
    totals = table.line.ledger.totals()
    assert totals["responses"] == len(usages) == 3
    assert totals["input_tokens"] == sum(usage["input_tokens"] for usage in usages)
    assert totals["output_tokens"] == sum(usage["output_tokens"] for usage in usages)
    for usage in usages:
        details = usage["input_token_details"]
        assert usage["input_tokens"] == details["text_tokens"] + details["audio_tokens"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert details["cached_tokens"] <= usage["input_tokens"]


def test_no_more_is_cached_than_is_put_in() -> None:
    ledger = Ledger()
    ledger.charge("long " * 500, "Hello.", "")
    details = ledger.charge("Say hello.", "Hello.", "")["input_token_details"]
    assert details["cached_tokens_details"]["text_tokens"] <= details["text_tokens"]


def test_a_failed_response_has_no_usage_and_says_why() -> None:
    table = Table([{"fail": "rate_limit_exceeded"}], stay=True).attach().send("response.create")
    response = table.last("response.done")["response"]
    assert (response["status"], response["usage"]) == ("failed", None)
    assert response["status_details"]["error"]["code"] == "rate_limit_exceeded"


def test_a_turn_may_be_left_without_a_response() -> None:
    script = [{"caller": "Hi"}, {"no_answer": "never_begun"}, {"agent": "Good morning."}]
    table = Table(script, stay=True, patience=20).attach().greet().run(10.0)
    assert table.kinds.count("input_audio_buffer.committed") == 1
    assert table.kinds.count("response.created") == 1
    table.send("response.create").run()
    said = table.last("response.output_audio_transcript.done")["transcript"]
    assert (said, table.all("error")) == ("Good morning.", [])


def test_a_request_may_be_left_without_a_response() -> None:
    table = Table([{"no_answer": "never_begun"}], stay=True).attach().send("response.create").run()
    assert table.events == []


def test_a_response_may_begin_and_put_nothing_out_until_it_is_cancelled() -> None:
    script = [{"caller": "Hi"}, {"no_answer": "never_finished"}]
    table = Table(script, stay=True).attach().greet().run(100.0)
    hanging = table.last("response.created")["response"]["id"]
    assert [each["response"]["id"] for each in table.all("response.done")] != [hanging]
    table.send("response.create")
    assert table.last("error")["error"]["code"] == "conversation_already_has_active_response"
    table.send("response.cancel", response_id=hanging)
    done = table.last("response.done")["response"]
    assert (done["id"], done["status"], done["output"]) == (hanging, "cancelled", [])
    for event in table.events:
        assert_official(event)


def test_a_response_whose_usage_is_not_told_is_billed() -> None:
    table = Table(usage=False, stay=True).attach().greet().run()
    assert table.last("response.done")["response"]["usage"] is None
    assert table.line.ledger.totals()["output_tokens"] > 0


def test_the_limits_that_are_told_can_be_chosen() -> None:
    chosen = {"name": "tokens", "limit": 100, "remaining": 0, "reset_seconds": 60.0}
    table = Table(rate_limits=[chosen], stay=True).attach().greet().run()
    assert table.last("rate_limits.updated")["rate_limits"] == [chosen]
    assert not Table(rate_limits=False, stay=True).attach().greet().run().all("rate_limits.updated")


def test_digits_have_no_event_id() -> None:
    table = Table(stay=True).attach()
    table.conversation.press("5", 2.0)
    expected = {"type": "input_audio_buffer.dtmf_event_received", "event": "5", "received_at": 2}
    assert table.events == [expected]


def test_silence_after_the_agent_triggers_the_idle_timeout() -> None:
    vad = {"type": "server_vad", "idle_timeout_ms": 5000}
    table = Table(stay=True, session=session(turn_detection=vad)).attach().greet().run(6.0)
    event = table.last("input_audio_buffer.timeout_triggered")
    assert event["audio_end_ms"] - event["audio_start_ms"] == 5000
    assert table.kinds.count("response.created") == 2


def test_a_session_expires_with_an_error() -> None:
    table = Table(stay=True, max_duration=10).attach().run()
    assert table.last("error")["error"]["code"] == "session_expired"
    assert table.line.hung_up == "expired"
