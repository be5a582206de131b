"""Ten thousand stories: a provider, a caller and tools that do what they may, in any order."""

from dataclasses import dataclass, field, replace
from random import Random

import pytest

from sipagent.model import (
    CallPlan,
    Colleague,
    Reachable,
    Reason,
    Silence,
    Skills,
    Tongue,
    Ways,
)
from sipagent.sessions.machine.commands import (
    CreateResponse,
    Finish,
    HangUp,
    Probe,
    Refer,
    RunTool,
    SendOutput,
)
from sipagent.sessions.machine.events import (
    AudioCleared,
    AudioStopped,
    CallerStarted,
    CallerTyped,
    EndRequested,
    FaultKind,
    HoldWanted,
    ProviderFault,
    ResponseCreated,
    ResponseDone,
    ResumeWanted,
    SayWanted,
    SocketOpened,
    TransferWanted,
    Whispered,
)
from sipagent.sessions.machine.greeting import Stage
from sipagent.sessions.machine.life import Phase
from tests.sessions.provider_model import Model
from tests.sessions.toolkit import BACK, BILLING, EVERYTHING, FRONT, a_plan_with

STORIES = 10_000
PARTS = 20

MENU = (
    ("hang_up", "{}"),
    ("hang_up", "{}"),
    ("wait", "{}"),
    ("take_message", '{"message":"hello"}'),
    ("take_message", '{"message":7}'),
    ("order_status", '{"order_no":"A1"}'),
    ("order_status", '{"order_no":"A1"}'),
    ("order_status", "not json"),
    ("transfer", '{"destination":"front"}'),
    ("transfer", '{"destination":"back"}'),
    ("transfer", '{"destination":"moon"}'),
    ("set_language", '{"language":"es"}'),
    ("switch_agent", '{"agent":"billing"}'),
    ("collect_digits", "{}"),
    ("no_such_tool", "{}"),
)


UNSPOKEN = ("hang_up", "wait", "transfer", "collect_digits")
"""Tools after whose output it may be right to say nothing."""

LEAVES = ("hang_up", "wait")
"""Tools after which, and after those beside them, it may be right to say nothing."""


def a_plan_for_stories(seed: int) -> CallPlan:
    plan = a_plan_with(*EVERYTHING, greeting=(None, "Hello.")[seed % 2])
    tongues = (Tongue("en", {"type": "realtime"}), Tongue("es", {"type": "realtime"}))
    silence = (None, Silence(10.0, "Still there?", 2))[seed % 3 == 0]
    skills = replace(plan.skills, tongues=tongues, silence=silence, keys={"0": FRONT})
    billing = Colleague(BILLING, {"type": "realtime"}, Skills(tools=EVERYTHING[:4]))
    ways = Ways(
        (
            Reachable(FRONT, "tel:+17135550100", on_failure=("back", "take_message")),
            Reachable(BACK, "tel:+17135550101"),
        )
    )
    return replace(plan, skills=skills, colleagues=(billing,), ways=ways)


def overlaps(model: Model) -> list[str]:
    """Requests for a response while one is asked for, or known to be active."""
    wrong: list[str] = []
    asked: CreateResponse | None = None
    active: str | None = None
    now = since = 0.0
    for entry in model.told:
        match entry:
            case CreateResponse(request_id):
                if asked is not None or active is not None:
                    wrong.append(request_id)
                asked, since = entry, now
            case ResponseCreated(response_id, tag):
                active = response_id
                asked = None if asked is not None and tag in (None, asked.tag) else asked
            case ResponseDone(response_id) | AudioStopped(response_id):
                active = None if active == response_id else active
            case ProviderFault(FaultKind.BUSY, _, request_id):
                asked = None if asked is not None and asked.request_id == request_id else asked
            case Probe() | SocketOpened() | "restart":
                # With the socket goes all knowledge of what was asked for.
                asked, active = None, None
            case ("waited", seconds):
                now += seconds
                asked = None if now - since >= 9.5 else asked
    return wrong


STAYS = ("not hung up", "is being transferred, and ends")
"""What the output of a hang-up says that has not come to be."""


@dataclass
class Leave:
    """A hang-up of the agent's that is under way: which responses are its goodbye, and when it may
    be over in any case."""

    words: set[str] = field(default_factory=set)
    over: list[float] = field(default_factory=list)


def too_early(model: Model) -> bool:
    """Whether the agent hung up although nobody has heard its goodbye: that is right only where the
    socket is lost, or neither the goodbye nor its request has got anywhere for long."""
    heard: set[str] = set()
    now, leave = 0.0, Leave()
    for entry in model.told:
        match entry:
            case AudioStopped(response_id) | AudioCleared(response_id):
                heard.add(response_id)
            case ResponseDone(response_id, spoken=True, calls=calls):
                if any(one.name == "hang_up" for one in calls):
                    leave.words.add(response_id)
                    leave.over.append(now + 14.5)
            case CreateResponse(_, "farewell") | Probe() | "restart":
                leave.over.append(now + 9.5 * isinstance(entry, CreateResponse))
            case ResponseCreated(response_id, "farewell"):
                leave.words.add(response_id)
            case SendOutput(output=output) if any(words in output for words in STAYS):
                leave = Leave()
            case ("waited", seconds):
                now += seconds
            case HangUp(Reason.AGENT_HUNG_UP):
                return not heard & leave.words and not any(now >= at for at in leave.over)
    return False


def cut_short(model: Model) -> bool:
    """Whether a call whose money is spent was hung up although its goodbye was still to be said:
    that is right only where the socket is lost, or it is too long in coming."""
    goodbyes: set[str] = set()
    over: set[str] = set()
    now, asked = 0.0, None
    for entry in model.told:
        match entry:
            case EndRequested(Reason.BUDGET):
                asked = now if asked is None else asked
            case ResponseCreated(response_id, "goodbye"):
                goodbyes.add(response_id)
            case AudioStopped(response_id) | AudioCleared(response_id):
                over.add(response_id)
            case ResponseDone(response_id, completed=False):
                over.add(response_id)
            case Probe() | "restart":
                return False
            case ("waited", seconds):
                now += seconds
            case HangUp(Reason.BUDGET):
                return not goodbyes & over and asked is not None and now - asked < 9.5
    return False


def said_while_held(model: Model) -> list[str]:
    """Requests for a response, other than a goodbye, while somebody on duty wants none."""
    wrong: list[str] = []
    held = False
    for entry in model.told:
        match entry:
            case HoldWanted() | ResumeWanted():
                held = isinstance(entry, HoldWanted)
            case CreateResponse(request_id, tag) if held and tag != "goodbye":
                wrong.append(request_id)
    return wrong


def misheard(model: Model) -> bool:
    """Whether voice detection answers the caller's turns though the agent is to say nothing, or
    leaves them unanswered though it may speak."""
    state = model.call.state
    life = state.lifecycle
    settled = model.open and life.attached and life.phase is Phase.LIVE and not state.hush.over
    return settled and state.greeting.stage is Stage.DONE and model.answering is state.hush.on


@pytest.mark.parametrize("part", range(PARTS))
def test_a_story_of_tools_goes_well_whatever_happens_in_whatever_order(part: int) -> None:
    each = STORIES // PARTS
    for seed in range(part * each, (part + 1) * each):
        dice = Random(seed)
        model = Model(a_plan_for_stories(seed), dice, MENU).play(dice.choice((20, 60, 120)))
        if not model.call.state.over:
            model.settle()
        assert not overlaps(model), seed
        assert not said_while_held(model), seed
        assert not misheard(model), seed
        assert not too_early(model), seed
        assert not cut_short(model), seed
        marked = [one.mark for one in model.told if isinstance(one, Refer | RunTool)]
        assert len(set(marked)) == len(marked), seed
        if not model.call.state.over and model.open and not model.call.state.outputs.parting:
            assert not unanswered(model), (seed, unanswered(model))
            assert not untold(model), (seed, untold(model))
        model.finish()
        assert sum(isinstance(one, Finish) for one in model.told) == 1, seed
        assert model.call.state.over
        assert model.call.state.deadlines.earliest is None
        assert not model.tools or set(model.tools) <= finishing(model), seed


def unanswered(model: Model) -> set[str]:
    """Tool calls whose output the provider should have, and has not. What waits for the caller, or
    for the end of the call, may be open."""
    state = model.call.state.toolcalls
    open_ = {one.id for one in state.running}
    open_ |= {one.leaving.id for one in state.groups if one.leaving is not None}
    return set(model.asked) - open_ - model.given - model.forgotten


def untold(model: Model) -> set[str]:
    """What the model ought to speak of, and has not been asked to."""
    responses = model.call.state.responses
    if responses.wishes or responses.asked is not None:
        return set()
    open_ = {one.id for one in model.call.state.toolcalls.groups}
    open_ |= {response_of(one) for one, name in model.asked.items() if name in LEAVES}
    return {
        one
        for one in model.unspoken
        if model.asked.get(one) not in UNSPOKEN and response_of(one) not in open_
    }


def response_of(call_id: str) -> str:
    return call_id.replace("c", "r").partition("-")[0]


def finishing(model: Model) -> set[str]:
    return {call_id for call_id, name in model.asked.items() if name == "take_message"}


def test_the_stories_have_what_they_are_about() -> None:
    """Otherwise the test above would prove nothing."""
    seen: set[type] = set()
    asked: set[str] = set()
    reasons: set[Reason] = set()
    for seed in range(400):
        model = Model(a_plan_for_stories(seed), Random(seed), MENU).play(80).settle().finish()
        seen |= {type(one) for one in model.told}
        asked |= {one.tag for one in model.told if isinstance(one, CreateResponse)}
        reasons |= {one.reason for one in model.told if isinstance(one, HangUp | Finish)}
    assert {CallerStarted, SendOutput, Refer, ProviderFault, AudioCleared, Probe} <= seen
    wanted = {HoldWanted, ResumeWanted, SayWanted, Whispered, CallerTyped, TransferWanted}
    assert wanted <= seen
    assert {"dictation", "goodbye", "tool", "reply"} <= asked
    ends = {Reason.AGENT_HUNG_UP, Reason.LINE_CLOSED, Reason.OPERATOR_HUNG_UP, Reason.BUDGET}
    assert {*ends, Reason.TRANSFERRED} <= reasons
