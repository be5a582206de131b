"""Other languages and other agents, in the middle of a call."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.model import (
    AgentName,
    CallPlan,
    Colleague,
    Happening,
    Json,
    SetLanguage,
    Skills,
    SwitchAgent,
    Tongue,
)
from sipagent.sessions.machine import Past, speech
from sipagent.sessions.machine.commands import (
    Command,
    CreateResponse,
    Inform,
    Note,
    RecordStep,
    RecordTool,
    SendOutput,
    UpdateSession,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    FaultKind,
    Probed,
    ProviderFault,
    ResponseCreated,
    ResponseDone,
    SessionUpdated,
    SocketClosed,
    SocketOpened,
)
from sipagent.sessions.machine.signals import (
    AgentAsked,
    AgentTaken,
    CallBegun,
    CallResumed,
    IntentEnded,
    LanguageAsked,
    LanguageTaken,
)
from sipagent.sessions.machine.speech import MOST_CHANGES, Speech, Spoken
from sipagent.testing import Playbook, Some, a_forward, a_plan, a_profile
from tests.sessions.toolkit import a_tool, asks, lookup, responds

DESK = AgentName("desk")
SHOP = AgentName("shop")
CHOICE: dict[str, Any] = {"type": "object"}
SPEAK = a_tool("set_language", SetLanguage(("en", "es")), CHOICE)
SWITCH = a_tool("switch_agent", SwitchAgent((DESK, SHOP)), CHOICE)
BACK = a_tool("switch_agent", SwitchAgent((AgentName("reception"),)), CHOICE)


def change(text: str, **transcription: str) -> Json:
    audio = {"input": {"transcription": transcription}} if transcription else {}
    return {"type": "realtime", "instructions": text, **({"audio": audio} if audio else {})}


SPANISH = change("Habla español.", language="es")
ENGLISH = change("Speak English.", language="en")
AT_THE_DESK = change("You are the desk.", language="en")
RECEPTION = change("You are the reception.")


def a_call_of_many() -> CallPlan:
    skills = Skills((SPEAK, SWITCH), tongues=(Tongue("en", ENGLISH), Tongue("es", SPANISH)))
    return dataclasses.replace(
        a_plan(a_profile(greeting=None)),
        language="en",
        skills=skills,
        colleagues=(
            Colleague(
                DESK,
                AT_THE_DESK,
                Skills((lookup("prices"), BACK), tongues=(Tongue("es", change("La mesa.")),)),
            ),
            Colleague(SHOP, change("You are the shop."), Skills()),
            Colleague(AgentName("reception"), RECEPTION, skills),
        ),
    )


PLAN = a_call_of_many()
FRESH = speech.speech(PLAN)


def held(plan: CallPlan = PLAN) -> Playbook:
    call = Playbook(plan).feed(AcceptAnswered(Answer.DONE), SocketOpened())
    call.commands = []
    return call


def use(call: Playbook, tool: str, number: int = 1, **arguments: str) -> Playbook:
    return responds(call, asks(f"c{number}", tool, json.dumps(arguments)), response=f"r{number}")


def told(call: Playbook) -> dict[str, Any]:
    """What the tool has come to, as the model gets it."""
    (sent,) = (one for one in call.commands if isinstance(one, SendOutput))
    output: dict[str, Any] = json.loads(sent.output)
    return output


def test_the_language_is_changed_before_the_model_is_asked_to_speak_it() -> None:
    call = use(held(), "set_language", language="es")
    assert told(call)["status"] == "language set"
    call.expect(
        UpdateSession("speak-as-0", SPANISH),
        RecordStep(Happening.LANGUAGE, "es"),
        Some(SendOutput),
        Some(RecordTool),
        Some(CreateResponse, tag="tool", instructions=None),
    )
    assert call.notes == ["language:0:es"]


@pytest.mark.parametrize("language", ["de", "", "es; drop"])
def test_a_language_that_the_agent_does_not_speak_is_refused(language: str) -> None:
    call = use(held(), "set_language", language=language)
    assert "error" in told(call)
    assert not any(isinstance(one, UpdateSession | RecordStep) for one in call.commands)


def test_the_language_that_is_spoken_needs_no_change() -> None:
    call = use(held(), "set_language", language="en")
    assert told(call) == {"status": "nothing to change: it is so already"}
    assert not any(isinstance(one, UpdateSession) for one in call.commands)


def test_another_agent_goes_on_with_its_own_tools() -> None:
    call = use(held(), "switch_agent", agent="desk")
    assert told(call)["agent"] == "desk"
    assert "introduce yourself" in told(call)["next"]
    call.expect(
        UpdateSession("speak-as-0", AT_THE_DESK),
        RecordStep(Happening.AGENT, "desk"),
        Some(SendOutput),
        Some(RecordTool),
        Some(CreateResponse, tag="tool", instructions=None),
    )
    assert call.notes == ["agent:0:desk"]
    call.feed(ResponseCreated("r2", "tool"), ResponseDone("r2", completed=True))
    assert "no tool of this name" in told(use(call, "set_language", 3, language="es"))["error"]


def test_the_first_agent_can_come_back_where_a_colleague_may_hand_the_call_back() -> None:
    call = use(held(), "switch_agent", agent="desk")
    call.feed(ResponseCreated("r2", "tool"), ResponseDone("r2", completed=True))
    call.commands = []
    use(call, "switch_agent", 3, agent="reception")
    assert UpdateSession("speak-as-1", RECEPTION) in call.commands
    assert call.notes == ["agent:0:desk", "agent:1:reception"]


@pytest.mark.parametrize("agent", ["nobody", "reception", ""])
def test_an_agent_that_may_not_be_switched_to_is_refused(agent: str) -> None:
    call = use(held(), "switch_agent", agent=agent)
    assert "error" in told(call)
    assert not any(isinstance(one, UpdateSession) for one in call.commands)


def test_the_first_agent_is_not_one_that_can_be_switched_to_where_nobody_may_hand_it_back() -> None:
    plan = dataclasses.replace(PLAN, colleagues=PLAN.colleagues[:2])
    state, _ = speech.step(speech.speech(plan), AgentAsked("c1", DESK), 1.0)
    _, (ended,) = speech.step(state, AgentAsked("c2", AgentName("reception")), 2.0)
    assert isinstance(ended, IntentEnded)
    assert not ended.done


def test_a_colleague_goes_on_in_the_language_that_was_chosen_if_it_speaks_it() -> None:
    call = use(held(), "set_language", language="es")
    call.feed(ResponseCreated("r2", "tool"), ResponseDone("r2", completed=True))
    call.commands = []
    use(call, "switch_agent", 3, agent="desk")
    both = {**AT_THE_DESK, "instructions": "La mesa."}
    assert UpdateSession("speak-as-1", both) in call.commands


def test_a_colleague_who_does_not_speak_it_goes_on_in_its_own() -> None:
    state, _ = speech.step(FRESH, LanguageAsked("c1", "es"), 1.0)
    _, outputs = speech.step(state, AgentAsked("c2", SHOP), 2.0)
    assert outputs[0] == UpdateSession("speak-as-1", change("You are the shop."))


def test_a_change_that_is_refused_is_taken_back_and_told() -> None:
    call = use(held(), "switch_agent", agent="desk")
    call.commands = []
    call.feed(ProviderFault(FaultKind.OTHER, "invalid_value", "speak-as-0"))
    call.expect(RecordStep(Happening.AGENT, "reception"), Some(Inform))
    assert call.notes == ["agent:0:desk", "agent:1:reception"]
    call.feed(ResponseCreated("r2", "tool"), ResponseDone("r2", completed=True))
    assert told(use(call, "set_language", 3, language="es"))["status"] == "language set"


def test_a_language_that_is_refused_is_taken_back() -> None:
    state, _ = speech.step(FRESH, LanguageAsked("c1", "es"), 1.0)
    state, _ = speech.step(state, SessionUpdated(), 1.1)  # it may be that of another change
    fault = ProviderFault(FaultKind.OTHER, "invalid_value", "speak-as-0")
    state, outputs = speech.step(state, fault, 2.0)
    assert state.now == FRESH.now
    assert outputs[:3] == (
        Note("language:1:"),
        RecordStep(Happening.LANGUAGE, "en"),
        LanguageTaken(None),
    )
    assert speech.step(state, fault, 2.0) == (state, ())


@pytest.mark.parametrize("request_id", [None, "other", "speak-as-1"])
def test_another_fault_changes_nothing(request_id: str | None) -> None:
    state, _ = speech.step(FRESH, LanguageAsked("c1", "es"), 1.0)
    assert speech.step(state, ProviderFault(FaultKind.OTHER, "c", request_id), 2.0) == (state, ())


def test_a_change_that_the_provider_may_not_have_got_is_sent_again() -> None:
    call = use(held(), "set_language", language="es")
    call.feed(SocketClosed(1006), Probed(alive=True))
    call.commands = []
    assert UpdateSession("speak-as-0", SPANISH) in call.feed(SocketOpened()).commands


def test_a_change_that_it_has_taken_is_not() -> None:
    call = use(held(), "set_language", language="es").feed(SessionUpdated())
    call.feed(SocketClosed(1006), Probed(alive=True))
    call.commands = []
    call.feed(SocketOpened())
    assert not any(isinstance(one, UpdateSession) for one in call.commands)


def test_agents_do_not_hand_a_call_to_and_fro_for_ever() -> None:
    state, changes = FRESH, 0
    outputs: tuple[speech.Output, ...] = ()
    for number in range(2 * MOST_CHANGES + 1):
        agent = (DESK, SHOP)[number % 2]
        state, outputs = speech.step(state, AgentAsked(f"c{number}", agent), 1.0)
        changes += any(isinstance(one, UpdateSession) for one in outputs)
    assert changes == MOST_CHANGES
    (ended,) = outputs
    assert isinstance(ended, IntentEnded)
    assert not ended.done


@pytest.mark.parametrize(
    ("marks", "told"),
    [
        ({}, ()),
        ({"language:0:es": 9.0}, (LanguageTaken("es"),)),
        # Marks are numbered: the second is the last, whatever their times and their order.
        ({"language:1:": 9.0, "language:0:es": 9.0}, ()),
        ({"agent:0:desk": 5.0, "agent:1:reception": 6.0}, ()),
        ({"agent:0:desk": 5.0, "language:1:es": 6.0}, (AgentTaken(DESK), LanguageTaken("es"))),
        ({"language:0:es": 5.0, "language:1:": 6.0}, ()),
        ({"agent:x:desk": 5.0, "agent": 6.0, "language:": 7.0, "tool:1:es": 8.0}, ()),
    ],
)
def test_who_takes_a_call_over_knows_who_speaks_and_how(
    marks: dict[str, float], told: tuple[object, ...]
) -> None:
    state = speech.speech(PLAN, marks)
    assert speech.step(state, CallBegun(), 60.0) == (state, told)
    assert speech.step(state, CallResumed(), 61.0) == (state, ())


def test_a_call_that_is_taken_over_goes_on_with_the_tools_of_the_agent_that_has_it() -> None:
    marks = {"attached": 1.0, "somebody": 2.0, "agent:0:desk": 3.0}
    call = Playbook(PLAN, Past(2, marks, rings=False), now=60.0).feed(SocketOpened())
    call.commands = []
    assert "no tool" in told(use(call, "set_language", language="es"))["error"]
    call.feed(ResponseCreated("r2", "tool"), ResponseDone("r2", completed=True))
    call.commands = []
    use(call, "switch_agent", 3, agent="reception")
    assert call.notes == ["agent:1:reception"]


def test_a_call_that_is_sent_on_has_nobody_to_change() -> None:
    state = speech.speech(a_forward())
    assert state == Speech()
    assert speech.step(state, CallBegun(), 0.0) == (state, ())
    _, outputs = speech.step(state, LanguageAsked("c1", "es"), 0.0)
    assert isinstance(outputs[0], IntentEnded)


ANYTHING: tuple[speech.Heeded, ...] = (
    CallResumed(),
    SessionUpdated(),
    *(LanguageAsked("c1", one) for one in ("en", "es", "de")),
    *(AgentAsked("c1", one) for one in (DESK, SHOP, AgentName("reception"), AgentName("x"))),
    *(ProviderFault(FaultKind.OTHER, "code", f"speak-as-{number}") for number in range(4)),
)


@settings(max_examples=500, deadline=None)
@given(happened=st.lists(st.sampled_from(ANYTHING), max_size=50))
def test_marks_tell_what_is_so_and_each_call_of_a_tool_ends_once(
    happened: list[speech.Heeded],
) -> None:
    state, marks, said = FRESH, list[str](), list[Command | speech.Output]()
    for event in happened:
        state, outputs = speech.step(state, event, 1.0)
        asked = isinstance(event, LanguageAsked | AgentAsked)
        assert sum(isinstance(one, IntentEnded) for one in outputs) == asked
        marks += [one.mark for one in outputs if isinstance(one, Note)]
        said += outputs
    assert len(marks) == len(set(marks)) <= 4 * MOST_CHANGES
    assert speech.speech(PLAN, marks).now == state.now
    taken = Spoken(AgentName("reception"))
    for one in said:
        if isinstance(one, AgentTaken):
            taken = Spoken(one.agent, taken.language)
        elif isinstance(one, LanguageTaken):
            taken = Spoken(taken.agent, one.language)
    assert taken == state.now
