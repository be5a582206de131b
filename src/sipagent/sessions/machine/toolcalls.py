"""The tools that the model asks for: looked up, checked, run, and ended.

A response's calls are acted on when it is done: what is streamed before may be cut by a caller who
speaks (OpenAI, guide "Realtime conversations", function calling). They run side by side; when the
last of a response's calls has ended the model is to speak of them. A hang-up waits for the calls
beside it, and is off if one of them has failed.

What the call does by itself is done by other machines, which say so by `IntentEnded`. A call that
ends gives up its tools, but for those that are to finish.
"""

from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from sipagent.model import (
    AgentName,
    CallPlan,
    CollectDigits,
    HangUp,
    Json,
    Mark,
    Tool,
    ToolName,
    ToolResult,
    ToolStatus,
    ToolUse,
)
from sipagent.sessions.machine import fillers, intents
from sipagent.sessions.machine.arguments import Unfit, fitting
from sipagent.sessions.machine.commands import CancelTool, Note, RecordTool, RunTool
from sipagent.sessions.machine.events import FunctionCall, ResponseDone, ToolEnded
from sipagent.sessions.machine.gates import Keys, tried
from sipagent.sessions.machine.intents import Intended
from sipagent.sessions.machine.outputs import begun_mark, error, key_of, output
from sipagent.sessions.machine.signals import (
    AgentTaken,
    AnswerDue,
    CallBegun,
    CallOver,
    DigitsCollected,
    FillerOffered,
    IntentEnded,
    OutputReady,
    Parting,
    ToolsBusy,
)

AT_ONCE: Final = 16
"""Calls of one response that are acted on."""

EFFECTS_AT_ONCE: Final = 3
"""Tools that reach beyond the call and run at the same time; the others wait for their turn."""

EFFECTS: Final = 30
"""Tools that reach beyond the call, in all of it."""

LONGEST_RECORD: Final = 8_192
"""Characters of arguments and of an output that the records get; they keep fewer, so that nothing
of a number that was cut in two here is kept."""

SEEN: Final = 128
"""Ids of tool calls that are remembered."""


class Refusal(Struct, frozen=True):
    """Why a call does not begin: `why` for the records, which nothing of a caller's gets into, and
    `words` for the model."""

    why: str
    words: str

    def __repr__(self) -> str:
        return f"Refusal({self.why!r})"


_NO_SUCH_TOOL: Final = Refusal("no such tool", "there is no tool of this name")
_TOO_MANY_AT_ONCE: Final = Refusal("too many at once", "too many calls at once")
_TOO_MANY: Final = Refusal("too many", "too many tools have been used in this call")


class Running(Struct, frozen=True):
    """A call of a tool that has begun. `group` is the response that asked. `arguments` are None
    once the tool has been started."""

    id: str
    group: str
    tool: Tool
    text: str
    began: float
    arguments: Json | None = None
    agent: AgentName | None = None

    @property
    def reaches_out(self) -> bool:
        return not isinstance(self.tool.does, intents.KINDS)

    def __repr__(self) -> str:
        return f"Running({self.id!r}, {self.tool.name!r})"


class Group(Struct, frozen=True):
    """The calls of one response. `leaving` is its hang-up, which waits for the others. `answer`:
    when all have ended the model is to speak of them."""

    id: str
    spoken: bool
    leaving: Running | None = None
    failed: bool = False
    answer: bool = False


class Lost(Struct, frozen=True):
    """A tool call that has begun in a process that is no more."""

    id: str
    name: ToolName
    began: float


class ToolCalls(Struct, frozen=True):
    """`tools` are those of the `agent` that has the call, `agents` those of each that may.
    `running` are in the order in which they were asked for, and those with `arguments` wait for
    their turn. `seen` are ids of the last calls: an event that comes twice is acted on once. `used`
    counts what has reached out. `lost` has begun under an owner before, and nobody knows its
    end."""

    agent: AgentName | None = None
    tools: tuple[Tool, ...] = ()
    agents: tuple[tuple[AgentName, tuple[Tool, ...]], ...] = ()
    running: tuple[Running, ...] = ()
    groups: tuple[Group, ...] = ()
    keys: Keys = field(default_factory=Keys)
    seen: tuple[str, ...] = ()
    used: int = 0
    lost: tuple[Lost, ...] = ()
    parting: bool = False

    def group(self, group_id: str) -> Group:
        return next((one for one in self.groups if one.id == group_id), Group(group_id, False))

    def keeping(self, group: Group) -> "ToolCalls":
        others = tuple(one for one in self.groups if one.id != group.id)
        return replace(self, groups=(*others, group))


Heeded = (
    ResponseDone
    | ToolEnded
    | IntentEnded
    | DigitsCollected
    | AgentTaken
    | CallBegun
    | Parting
    | CallOver
)
Output = (
    Intended
    | RunTool
    | CancelTool
    | RecordTool
    | Note
    | OutputReady
    | AnswerDue
    | FillerOffered
    | ToolsBusy
)
Result = tuple[ToolCalls, tuple[Output, ...]]


def toolcalls(plan: CallPlan) -> ToolCalls:
    """The state of a call in which no tool has been asked for."""
    if not (plan.skills.tools or plan.colleagues):
        return ToolCalls(plan.agent)
    own = () if plan.agent is None else ((plan.agent, plan.skills.tools),)
    others = tuple((one.agent, one.skills.tools) for one in plan.colleagues)
    return ToolCalls(plan.agent, plan.skills.tools, (*own, *others), keys=Keys(plan.attested))


def step(state: ToolCalls, event: Heeded, now: float) -> Result:
    match event:
        case ResponseDone(calls=()):
            return state, ()
        case ResponseDone() if not state.parting:
            return _asked(state, event, now)
        case ToolEnded(call_id, result):
            return _over(state, call_id, result, now)
        case IntentEnded(call_id):
            result = ToolResult(ToolStatus.DONE if event.done else ToolStatus.FAILED, event.output)
            return _over(state, call_id, result, now, answer=event.speak)
        case DigitsCollected(tool, digits):
            return replace(state, keys=state.keys.pressed(tool, digits)), ()
        case AgentTaken(agent):
            return replace(state, agent=agent, tools=dict(state.agents).get(agent, ())), ()
        case CallBegun():
            return _told_of_lost(state, now)
        case Parting():
            return replace(state, parting=True), ()
        case CallOver():
            return _given_up(state, now)
        case _:
            return state, ()


def _asked(state: ToolCalls, event: ResponseDone, now: float) -> Result:
    calls = tuple(call for call in event.calls if call.id not in state.seen)
    if not calls:
        return state, ()
    idle = not state.running
    ids = tuple(call.id for call in calls)
    state = replace(state, seen=(*state.seen, *ids)[-SEEN:])
    state = state.keeping(Group(event.response_id, event.spoken, answer=event.served))
    outputs: tuple[Output, ...] = ()
    for place, call in enumerate(calls):
        if place < AT_ONCE:
            state, more = _begin(state, call, event.response_id, now)
        else:
            state, more = _refuse(state, call, event.response_id, now, _TOO_MANY_AT_ONCE)
        outputs = (*outputs, *more)
    busy = (ToolsBusy(busy=True),) if idle and state.running else ()
    state, started = _start_next(state)
    waiting = (one for one in state.running if one.arguments is not None and one.id in ids)
    notes = tuple(_noted(one) for one in waiting)
    state, done = _settle(state, event.response_id, now)
    return state, (*outputs, *busy, *started, *notes, *done)


def _told_of_lost(state: ToolCalls, now: float) -> Result:
    """Record what an owner before has begun: it may have been done."""
    uses = (ToolUse(one.id, one.name, one.began, now, ToolStatus.UNKNOWN) for one in state.lost)
    return replace(state, lost=()), tuple(RecordTool(use) for use in uses)


def _noted(asked: Running) -> Note:
    """So that whoever takes the call over can say that nothing has been done."""
    return Note(f"{Mark.ASKED}:{key_of(asked.id)}")


def _begin(state: ToolCalls, call: FunctionCall, group_id: str, now: float) -> Result:
    """Check a call, and begin what it asks for."""
    tool = next((one for one in state.tools if one.name == call.name), None)
    if tool is None:
        return _refuse(state, call, group_id, now, _NO_SUCH_TOOL)
    arguments = fitting(tool.parameters, call.arguments)
    if isinstance(arguments, Unfit):
        unfit = Refusal("arguments", f"nothing was done: {arguments.why}")
        return _refuse(state, call, group_id, now, unfit, tool)
    keys, refusal = tried(tool.requires, state.keys)
    state = replace(state, keys=keys)
    if refusal is not None:
        return _refuse(state, call, group_id, now, Refusal("requires", refusal), tool)
    running = Running(call.id, group_id, tool, call.arguments, now, arguments, state.agent)
    group = state.group(group_id)
    if isinstance(tool.does, HangUp):
        return _leave(state, running, group, now)
    if not running.reaches_out:
        state = replace(state, running=(*state.running, replace(running, arguments=None)))
        noted = (_noted(running),) if isinstance(tool.does, CollectDigits) else ()
        begun = intents.begun(tool, call.id, arguments, group_id, spoken=group.spoken)
        return state, (*noted, *begun)
    if state.used >= EFFECTS:
        return _refuse(state, call, group_id, now, _TOO_MANY, tool)
    return replace(state, running=(*state.running, running), used=state.used + 1), ()


def _leave(state: ToolCalls, running: Running, group: Group, now: float) -> Result:
    """Keep the hang-up for when all else has ended. Another one beside it changes nothing."""
    if group.leaving is None:
        return state.keeping(replace(group, leaving=running)), (_noted(running),)
    result = ToolResult(ToolStatus.DONE, output({"status": "being hung up already"}))
    return state, (OutputReady(running.id, result.output, _use(running, result, now)),)


def _refuse(
    state: ToolCalls,
    call: FunctionCall,
    group_id: str,
    now: float,
    refusal: Refusal,
    tool: Tool | None = None,
) -> Result:
    """End a call before it has begun. The name of a tool that there is not is the model's word."""
    group = state.group(group_id)
    state = state.keeping(replace(group, failed=True, answer=True))
    told = error(refusal.words)
    name = ToolName("") if tool is None else tool.name
    use = ToolUse(
        call.id,
        name,
        now,
        now,
        ToolStatus.REFUSED,
        refusal.why,
        arguments=_cut(call.arguments),
        output=_cut(told),
        agent=state.agent,
    )
    return state, (OutputReady(call.id, told, use),)


def _start_next(state: ToolCalls) -> Result:
    """Start what waits for its turn, as far as there is room."""
    out = [one for one in state.running if one.reaches_out]
    room = EFFECTS_AT_ONCE - sum(one.arguments is None for one in out)
    due = [one for one in out if one.arguments is not None][: max(0, room)]
    if not due:
        return state, ()
    outputs: list[Output] = []
    for one in due:
        mark = begun_mark(one.id, one.tool.name)
        assert one.arguments is not None
        digits, agent = state.keys.digits, state.agent
        outputs.append(RunTool(one.id, one.tool, one.arguments, mark, digits, agent))
        if one.tool.say_while_waiting is not None:
            spoken = state.group(one.group).spoken
            at = one.began + (fillers.AFTER_WORDS if spoken else fillers.AFTER)
            outputs.append(FillerOffered(one.id, one.tool.say_while_waiting, at))
    started = {one.id for one in due}
    running = tuple(
        replace(one, arguments=None) if one.id in started else one for one in state.running
    )
    return replace(state, running=running), tuple(outputs)


def _over(
    state: ToolCalls, call_id: str, result: ToolResult, now: float, *, answer: bool = True
) -> Result:
    """A call has come to its end, and perhaps its response's calls have."""
    ended = next((one for one in state.running if one.id == call_id), None)
    if ended is None:
        return state, ()
    state = replace(state, running=tuple(one for one in state.running if one is not ended))
    group = state.group(ended.group)
    ok = result.status is ToolStatus.DONE
    # A caller who speaks takes a hang-up back, and is answered without being asked for.
    answer = (answer or group.answer) and not (ok and isinstance(ended.tool.does, HangUp))
    state = state.keeping(replace(group, failed=group.failed or not ok, answer=answer))
    outputs: tuple[Output, ...] = (OutputReady(call_id, result.output, _use(ended, result, now)),)
    state, started = _start_next(state)
    state, done = _settle(state, ended.group, now)
    idle = () if state.running else (ToolsBusy(busy=False),)
    return state, (*outputs, *started, *done, *idle)


def _settle(state: ToolCalls, group_id: str, now: float) -> Result:
    """Go on where all of a response's calls have ended."""
    group = state.group(group_id)
    if any(one.group == group_id for one in state.running):
        return state, ()
    leaving = group.leaving
    if leaving is None:
        state = replace(state, groups=tuple(one for one in state.groups if one.id != group_id))
        return state, (AnswerDue(),) if group.answer and not state.parting else ()
    state = state.keeping(Group(group_id, group.spoken, answer=group.answer))
    state = replace(state, running=(*state.running, replace(leaving, arguments=None)))
    if group.failed:
        off = ToolResult(ToolStatus.FAILED, error("not hung up: something else has failed"))
        return _over(state, leaving.id, off, now)
    begun = intents.begun(leaving.tool, leaving.id, {}, group_id, spoken=group.spoken)
    return state, (ToolsBusy(busy=True), *begun)


def _given_up(state: ToolCalls, now: float) -> Result:
    """Nobody waits for what runs. What is to finish does, and is recorded when it has."""
    outputs: list[Output] = []
    for one in state.running:
        waits = one.arguments is not None
        if one.reaches_out and one.tool.finish and not waits:
            continue
        if one.reaches_out and not waits:
            outputs.append(CancelTool(one.id))
        result = ToolResult(ToolStatus.CANCELLED, "")
        outputs.append(RecordTool(_use(one, result, now)))
    return replace(state, running=(), groups=(), parting=True), tuple(outputs)


def _use(ended: Running, result: ToolResult, now: float) -> ToolUse:
    return ToolUse(
        ended.id,
        ended.tool.name,
        ended.began,
        now,
        result.status,
        result.detail,
        _cut(ended.text),
        _cut(result.output),
        ended.agent,
    )


def _cut(text: str) -> str:
    return text[:LONGEST_RECORD]
