"""What happens in a call, and the spans that are made of it."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sipagent.model import (
    AgentName,
    Bill,
    CallOutcome,
    DestinationName,
    Happening,
    Reason,
    Redaction,
    Skills,
    Speaker,
    Tokens,
    ToolStatus,
    Transfer,
    TransferEnd,
    Turn,
)
from sipagent.model.trace import span_id_of
from sipagent.sessions.machine.events import (
    AudioStarted,
    CallerStopped,
    FunctionCall,
    ResponseCreated,
    ResponseDone,
)
from sipagent.store.toolrows import MOST_SAID
from sipagent.testing import a_forward
from sipagent.tracing.span import Span
from sipagent.tracing.story import MOST_EVENTS, MOST_OPEN, Story
from sipagent.tracing.words import LONGEST_TURN, MOST_TURNS
from tests.store.nouns import a_tool, billed, ending, planned, used

PLAN = replace(planned(), skills=Skills((a_tool("order_status"),)))
TOKENS = Tokens(text_in=10, audio_in=20, text_cached=5, audio_cached=6, text_out=3, audio_out=7)
DESK = DestinationName("desk")


def a_story(plan: Any = PLAN, *, words: bool = False) -> Story:
    return Story(plan, "openai", words=words)


def an_end(**changes: Any) -> CallOutcome:
    return replace(ending(), began_at=100.0, ended_at=160.0, **changes)


def named(spans: tuple[Span, ...], name: str) -> Span:
    (found,) = [span for span in spans if span.name.startswith(name)]
    return found


def test_a_response_is_told_when_it_is_billed() -> None:
    story = a_story()
    story.step(Happening.ATTACHED, None, 101.0)
    story.event(CallerStopped("item_1"), 102.0)
    story.event(ResponseCreated("resp_1", None), 102.5)
    story.event(AudioStarted("resp_1"), 103.0)
    done = ResponseDone("resp_1", completed=True, bill=Bill(TOKENS), spoken=True)
    assert story.event(done, 104.0) == ()
    (span,) = story.used(billed("resp_1", cost=77), 104.0)
    assert (span.began, span.ended, span.error, span.outward) == (102.5, 104.0, None, True)
    assert (
        span.attributes.items()
        >= {
            "gen_ai.request.model": "gpt-realtime-2.1",
            "gen_ai.response.model": "gpt-realtime-2.1",
            "gen_ai.response.id": "resp_1",
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.response.time_to_first_chunk": 0.5,
            "gen_ai.usage.input_tokens": 30,
            "gen_ai.usage.output_tokens": 10,
            "gen_ai.usage.cache_read.input_tokens": 11,
            "gen_ai.usage.input_audio_tokens": 20,
            "gen_ai.usage.output_text_tokens": 3,
            "sipagent.turn_latency": 1.0,
            "sipagent.response.asked_by": "voice_detection",
            "sipagent.cost_microdollars": 77,
        }.items()
    )


@pytest.mark.parametrize(
    ("done", "finish", "error"),
    [
        ({"completed": True}, "stop", None),
        ({"completed": True, "calls": (FunctionCall("c", "n", "{}"),)}, "tool_call", None),
        ({"completed": False}, "cancelled", None),
        ({"completed": False, "failed": True, "error_code": "oops"}, "error", "oops"),
        ({"completed": False, "failed": True}, "error", "failed"),
    ],
)
def test_how_a_response_ends(done: dict[str, Any], finish: str, error: str | None) -> None:
    (span,) = a_story().event(ResponseDone("resp_1", **done), 104.0)
    assert span.attributes["gen_ai.response.finish_reasons"] == (finish,)
    assert (span.error, span.attributes.get("error.type")) == (error, error)
    assert span.began == span.ended == 104.0  # it began in a process that is gone


def test_a_bill_that_never_comes_costs_no_span() -> None:
    story = a_story()
    story.event(ResponseDone("resp_1", completed=True, bill=Bill(TOKENS)), 104.0)
    spans = story.ended(an_end())
    assert "gen_ai.response.model" not in named(spans, "generate_content").attributes


def test_each_agent_has_a_part_of_its_own() -> None:
    story = a_story()
    story.step(Happening.ATTACHED, None, 101.0)
    story.used(billed("resp_1"), 110.0)
    (first,) = story.step(Happening.AGENT, "billing", 120.0)
    (tool,) = story.tool(used(agent=AgentName("billing")), 118.0)
    second = named(story.ended(an_end()), "invoke_agent")
    assert (first.name, first.began, first.ended) == ("invoke_agent reception", 101.0, 120.0)
    assert first.attributes["gen_ai.usage.output_audio_tokens"] == 90
    assert (second.name, second.began, second.ended) == ("invoke_agent billing", 120.0, 160.0)
    assert "gen_ai.usage.input_tokens" not in second.attributes
    assert tool.parent_id == second.span_id != first.span_id
    assert first.parent_id == second.parent_id == span_id_of(PLAN.call_id)


@pytest.mark.parametrize("status", ToolStatus)
def test_a_tool_has_its_own_times_and_says_what_came_of_it(status: ToolStatus) -> None:
    (span,) = a_story().tool(used(result=status), 100.0)
    assert (span.name, span.began, span.ended) == ("execute_tool order_status", 104.0, 104.4)
    assert span.error == (None if status is ToolStatus.DONE else status.value)
    assert span.span_id == span_id_of(PLAN.call_id, "tool", "call_1")


def test_a_name_that_a_model_has_made_up_is_not_told() -> None:
    (span,) = a_story().tool(used(name="call +17135550100"), 100.0)
    assert span.name == "execute_tool unknown"
    assert "7135550100" not in str(span)


def test_a_transfer_is_told_without_its_target() -> None:
    story = a_story()
    assert story.transfer(Transfer(1, DESK, "tel:+17135550100", "done"), 110.0) == ()
    end = Transfer(1, DESK, "tel:+17135550100", "done", TransferEnd.NOT_TAKEN)
    (span,) = story.transfer(end, 155.0)
    assert (span.name, span.began, span.ended, span.error) == (
        "transfer",
        110.0,
        155.0,
        "not_taken",
    )
    assert span.attributes["sipagent.transfer.destination"] == "desk"
    assert "7135550100" not in str(span)
    assert not [one for one in story.ended(an_end()) if one.name == "transfer"]


def test_of_a_forward_the_calls_outcome_says_what_came_of_it() -> None:
    story = a_story(a_forward())
    story.transfer(Transfer(1, DESK, "tel:+17135550100", "done"), 110.0)
    spans = story.ended(an_end(agent=None, reason=Reason.TRANSFERRED))
    sent, root = named(spans, "transfer"), named(spans, "invoke_workflow")
    assert sent.parent_id == root.span_id
    assert not [span for span in spans if span.name.startswith("invoke_agent")]
    assert "gen_ai.agent.name" not in root.attributes


def test_a_call_that_fails_is_an_error_and_one_that_is_rejected_is_none() -> None:
    failed = named(a_story().ended(an_end(reason=Reason.PROVIDER_ERROR)), "invoke_workflow")
    assert failed.error == failed.attributes["error.type"] == "failed.provider_error"
    fine = named(a_story().ended(an_end(reason=Reason.QUOTA, sip_code=486)), "invoke_workflow")
    assert (fine.error, fine.attributes["sipagent.sip_code"]) == (None, 486)


def test_what_goes_wrong_on_the_way_stands_in_the_call() -> None:
    story = a_story()
    story.step(Happening.DROPPED, "1006", 110.0)
    story.fault("rate_limit", "slow_down", 111.0)
    story.step(Happening.RETRIED, "what a provider says", 112.0)
    events = named(story.ended(an_end()), "invoke_workflow").events
    assert [(one.name, one.at, dict(one.attributes)) for one in events] == [
        ("dropped", 110.0, {"detail": "1006"}),
        ("provider error", 111.0, {"kind": "rate_limit", "code": "slow_down"}),
        ("retried", 112.0, {}),
    ]


def test_a_call_that_goes_on_elsewhere_is_told_as_a_whole_there() -> None:
    story = a_story()
    story.step(Happening.ATTACHED, None, 101.0)
    here = story.left(120.0)
    assert [span.name for span in here] == ["invoke_agent reception"]
    there = a_story().ended(an_end())
    assert here[0].parent_id == named(there, "invoke_workflow").span_id


def test_words_are_told_only_where_they_are_wanted_and_only_so_many() -> None:
    for words in (False, True):
        story = a_story(words=words)
        story.turn(Turn(2, Speaker.AGENT, 3.0, "x" * 9_999), 103.0)
        story.turn(Turn(1, Speaker.CALLER, 2.0, "My secret"), 104.0)
        story.turn(Turn(3, Speaker.CALLER, 4.0, None), 104.0)
        for sequence in range(4, 4 + 2 * MOST_TURNS):
            story.turn(Turn(sequence, Speaker.CALLER, 5.0, "more"), 105.0)
        use = used(arguments='{"a": "4111 1111 1111 1111"}', output="y" * 9_999)
        (tool,) = story.tool(use, 100.0)
        spans = story.ended(an_end())
        if not words:
            assert "secret" not in str(spans)
            assert "1111" not in str(tool)
            continue
        told = named(spans, "invoke_agent").attributes
        caller = json.loads(str(told["gen_ai.input.messages"]))
        agent = json.loads(str(told["gen_ai.output.messages"]))
        assert caller[0] == {"role": "user", "parts": [{"type": "text", "content": "My secret"}]}
        assert len(caller) + len(agent) == MOST_TURNS
        assert len(agent[0]["parts"][0]["content"]) == LONGEST_TURN
        assert len(str(tool.attributes["gen_ai.tool.call.result"])) == MOST_SAID
    masked = a_story(words=True).tool(used(arguments=None, output=None), 100.0)[0]
    assert not [
        name
        for name in masked.attributes
        if name.startswith("gen_ai.tool.call.") and name[-2:] != "id"
    ]


def test_redaction_holds_for_what_tools_are_given() -> None:
    story = a_story(replace(PLAN, redact=(Redaction.CARD,)), words=True)
    (tool,) = story.tool(used(arguments='{"card": "4111 1111 1111 1111"}'), 100.0)
    assert "1111" not in str(tool)


def test_a_call_without_end_keeps_no_more_than_so_much() -> None:
    story = a_story()
    for number in range(10 * MOST_EVENTS):
        story.event(ResponseCreated(f"resp_{number}", None), 101.0)
        story.transfer(Transfer(number, DESK, "tel:+1", "done"), 101.0)
        story.step(Happening.DROPPED, "1006", 101.0)
    spans = story.ended(an_end())
    assert len([span for span in spans if span.name == "transfer"]) == MOST_OPEN
    assert len(named(spans, "invoke_workflow").events) == MOST_EVENTS
