"""One call's decisions and records, without I/O."""

import json
from typing import Any

import pytest

from sipagent.simulator import Simulator
from sipagent.simulator.agenda import Agenda
from sipagent.simulator.call import SimulatedCall
from sipagent.simulator.orders import PlaceOrder
from sipagent.simulator.refusal import CALL_NOT_FOUND
from tests.simulator.support import ACCEPT, Table, assert_official

BODY = json.dumps(ACCEPT).encode()


def call(**options: Any) -> SimulatedCall:
    order = PlaceOrder.model_validate({"to": "+1", "stay": True, "script": [], **options})
    return SimulatedCall(order.order(0.0, 409))


def accepted(**options: Any) -> SimulatedCall:
    made = call(**options)
    assert made.accept(BODY, 1.0) is None
    return made


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"\xff"])
def test_a_body_that_is_no_object_is_refused(raw: bytes) -> None:
    made = call()
    refusal = made.accept(raw, 0.0)
    assert refusal is not None
    assert (refusal.status, made.state) == (400, "ringing")


@pytest.mark.parametrize("raw", [b"[]", b'{"status_code":200}', b'{"x":1}'])
def test_a_wrong_reject_leaves_the_call_ringing(raw: bytes) -> None:
    made = call()
    refusal = made.reject(raw)
    assert refusal is not None
    assert (refusal.status, made.state) == (400, "ringing")


@pytest.mark.parametrize("raw", [b"[]", b"{}", b'{"target_uri":"mailto:a@b"}'])
def test_a_wrong_refer_leaves_the_call_up(raw: bytes) -> None:
    made = accepted()
    refusal = made.refer(raw)
    assert refusal is not None
    made.advance(60.0)
    assert (refusal.status, made.state) == (400, "accepted")


def test_a_ringing_call_can_be_neither_referred_nor_hung_up_nor_attached() -> None:
    made = call()
    assert made.refer(b'{"target_uri":"tel:+1"}') is CALL_NOT_FOUND
    assert made.hang_up() is CALL_NOT_FOUND
    assert made.attach(0.0) is CALL_NOT_FOUND


def test_a_call_ends_once() -> None:
    made = accepted()
    made.end("caller")
    made.end("hangup")
    assert (made.ended_by, made.close_code) == ("caller", 1006)
    assert made.hang_up() is CALL_NOT_FOUND
    assert made.reject(b"") is CALL_NOT_FOUND
    made.receive("{}", 2.0)
    assert made.take_frames() == []


def test_it_is_known_which_socket_has_sent_what() -> None:
    made = accepted()
    for socket, at in ((1, 2.0), (2, 3.0)):
        made.attach(at)
        made.receive("{}", at, socket)
    assert made.senders == [(2.0, 1), (3.0, 2)]
    assert len(made.senders) == len(made.client_events)


def test_the_caller_gives_up_where_nobody_attaches() -> None:
    made = accepted(ring_timeout=5)
    made.advance(5.9)
    assert not made.ended
    made.advance(6.1)
    assert (made.ended_by, made.answered) == ("caller", True)


def test_an_attached_call_is_not_given_up() -> None:
    made = accepted(ring_timeout=5)
    assert made.attach(2.0) is None
    made.advance(60.0)
    assert made.state == "active"


def test_an_old_call_keeps_its_counts() -> None:
    made = accepted()
    made.record("accept", BODY)
    made.record_answer("accept", 200)
    made.record_client_event("{}")
    made.end("hangup")
    made.compact()
    assert made.session is not None
    made.drop_details()
    described = made.describe()
    assert (described["accepts"], described["answers"]["accept"]) == ([{}], [200])
    assert (described["client_events"], described["client_events_dropped"]) == ([], 1)
    assert (described["session"], described["details_dropped"]) == (None, True)
    assert described["usage"]["responses"] == 0


def test_what_cannot_be_parsed_is_shown_as_text() -> None:
    made = accepted()
    made.record("refer", b"\xff{")
    made.record_client_event("not json")
    assert (made.refers, made.client_events) == (["\ufffd{"], ["not json"])


def test_actions_of_one_time_happen_in_the_order_of_their_planning() -> None:
    agenda, done = Agenda(), []
    agenda.after(1.0, lambda: done.append("b"))
    agenda.after(1.0, lambda: done.append("c"))
    agenda.after(0.5, lambda: done.append("a"))
    agenda.after(0.7, lambda: done.append("dropped")).drop()
    agenda.run(1.0)
    assert (done, agenda.next_at, agenda.now) == (["a", "b", "c"], None, 1.0)


def test_utterances_wait_for_each_other() -> None:
    table = Table(pace=10, stay=True).attach().greet("one two three four five six").run(0.2)
    table.greet("seven eight").run()
    order = [kind for kind in table.kinds if kind.startswith("output_audio_buffer")]
    assert order == [f"output_audio_buffer.{word}" for word in ("started", "stopped") * 2]
    stopped = table.all("output_audio_buffer.stopped")
    assert len({event["response_id"] for event in stopped}) == 2


def test_lines_that_are_said_at_once_follow_each_other() -> None:
    table = Table(pace=10, stay=True).attach()
    table.conversation.say("One two three.", 0.0)
    table.conversation.say("Four.", 0.0)
    table.run(0.45)
    said = [note["text"] for note in table.line.notes if note.get("who") == "caller"]
    assert said == ["One two three.", "Four."]
    for event in table.events:
        assert_official(event)


def test_truncating_what_is_no_speech_or_too_short_is_refused() -> None:
    table = Table([{"caller": "Hi"}], stay=True).attach().greet("Hello").run(1.0)
    heard = table.last("input_audio_buffer.committed")["item_id"]
    said = table.last("response.output_item.done")["item"]["id"]
    for item_id, end in (("no", 0), (heard, 0), (said, 99_999)):
        kind = "conversation.item.truncate"
        table.send(kind, item_id=item_id, content_index=0, audio_end_ms=end)
    codes = [event["error"]["code"] for event in table.all("error")]
    assert codes == ["item_truncate_invalid_item_id", "invalid_value", "invalid_value"]


def test_items_with_a_taken_id_or_after_nothing_are_refused() -> None:
    table = Table(stay=True).attach()
    item = {"id": "a", "type": "message", "role": "user", "content": []}
    create = "conversation.item.create"
    table.send(create, item=item).send(create, item=item)
    table.send(create, item={**item, "id": "b"}, previous_item_id="no")
    table.send(create, item={**item, "id": "x" * 33})
    codes = [event["error"]["code"] for event in table.all("error")]
    assert codes == [
        "item_create_duplicate_item_id",
        "item_create_invalid_previous_item_id",
        "string_above_max_length",
    ]


def test_tracing_cannot_change_once_it_is_on() -> None:
    table = Table(stay=True).attach()
    for tracing in ("auto", {"workflow_name": "w"}):
        table.send("session.update", session={"type": "realtime", "tracing": tracing})
    assert table.kinds == ["session.updated", "error"]


def test_appended_audio_can_be_committed() -> None:
    table = Table(stay=True).attach()
    table.send("input_audio_buffer.append", audio="AAAA").send("input_audio_buffer.commit")
    assert table.kinds[0] == "input_audio_buffer.committed"


async def test_a_call_that_crashes_ends_and_harms_no_other(
    sim: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    crashing = await sim.place_call("+1", deliver=False)
    other = await sim.place_call("+1", deliver=False, ring_timeout=0.05)

    def crash() -> None:
        raise RuntimeError("broken")

    sim.call(crashing).agenda.after(0.0, crash)
    await sim.deliver(crashing, deliver_to="http://127.0.0.1:1/")
    assert (await sim.wait_ended(crashing)).ended_by == "simulator"
    assert (await sim.wait_ended(other)).ended_by == "no_answer"
    assert "a simulated call crashed" in caplog.text
