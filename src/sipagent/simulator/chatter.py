"""Calls on which caller and agent talk all the time, for load tests.

The frames of one turn are serialised once; a turn of a call is those bytes with other ids in
them. One timer serves all chattering calls.
"""

import asyncio
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count

from pydantic_core import from_json, to_json

from sipagent.simulator.agenda import Agenda
from sipagent.simulator.call import SimulatedCall
from sipagent.simulator.conversation import Conversation
from sipagent.simulator.line import Ids, Line, Manner
from sipagent.simulator.refusal import JsonObject
from sipagent.simulator.script import Answer, CallerLine
from sipagent.simulator.session import begin_session, merge
from sipagent.simulator.sockets import text_frame

_TICK = 0.02
_TURN = b"@@@@@@@@"
_CALLER = "I am calling about the order that I placed on Monday morning."
_AGENT = "Let me look that up for you. It left our warehouse today and arrives tomorrow."

Write = Callable[[SimulatedCall, bytes], None]


@dataclass(frozen=True, slots=True)
class Turn:
    """The frames of one caller's and one agent's line, with placeholders for the turn's number.

    Between `begins` and `ends` the provider counts a response as active.
    """

    frames: tuple[bytes, ...]
    begins: int
    ends: int


@dataclass(order=True, slots=True)
class Talker:
    due: float
    order: int
    call: SimulatedCall = field(compare=False)
    turn: Turn = field(compare=False)
    period: float = field(compare=False)
    number: bytes = field(compare=False, default=b"")
    position: int = field(compare=False, default=0)


class ChatterBox:
    """Lets calls talk until they end. `write` puts one frame on a call's sockets."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._talkers: list[Talker] = []
        self._numbers = count(1)
        self._timer: asyncio.TimerHandle | None = None

    def add(self, call: SimulatedCall) -> None:
        """The call talks from now on, as its order says; calls do not talk in step."""
        chatter, conversation = call.order.chatter, call.conversation
        if chatter is None or conversation is None:
            return
        period = 1.0 / chatter.events_per_second
        number = next(self._numbers)
        start = asyncio.get_running_loop().time() + chatter.after + period * (number % 97) / 97
        turn = _turn(to_json(conversation.line.session["audio"]))
        heapq.heappush(self._talkers, Talker(start, number, call, turn, period))
        if self._timer is None:
            self._wait()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._talkers.clear()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)

    def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        while self._talkers and self._talkers[0].due <= now:
            talker = self._talkers[0]
            if self._talk(talker):
                # A late talker does not catch up in a burst.
                talker.due = max(talker.due + talker.period, now - talker.period)
                heapq.heapreplace(self._talkers, talker)
            else:
                heapq.heappop(self._talkers)
        self._timer = None
        if self._talkers:
            self._wait()

    def _talk(self, talker: Talker) -> bool:
        conversation = talker.call.conversation
        if conversation is None or talker.call.ended:
            return False
        turn = talker.turn
        in_response = turn.begins < talker.position <= turn.ends
        if conversation.is_busy and not in_response:
            return True
        if talker.position == 0:
            talker.number = b"%08x" % next(self._numbers)
        self._write(talker.call, turn.frames[talker.position].replace(_TURN, talker.number))
        if talker.position == turn.begins:
            conversation.count_elsewhere(f"resp_{talker.number.decode()}")
        elif talker.position == turn.ends:
            conversation.count_elsewhere(None)
        talker.position = (talker.position + 1) % len(turn.frames)
        return True


@lru_cache(maxsize=64)
def _turn(audio: bytes) -> Turn:
    """One turn as the provider would play it with these audio settings."""
    frames = _play(from_json(audio))
    kinds = [frame["type"] for frame in frames]
    return Turn(
        frames=tuple(text_frame(to_json(frame)) for frame in frames),
        begins=kinds.index("response.created"),
        ends=kinds.index("response.done"),
    )


def _play(audio: JsonObject) -> list[JsonObject]:
    session = begin_session({"type": "realtime", "audio": audio}, "rtc_chatter", 0)
    vad = {"type": "server_vad", "create_response": True, "interrupt_response": True}
    session = merge(session, {"audio": {"input": {"turn_detection": vad}}})
    seed = _TURN.decode()
    line = Line(Ids(seed), Agenda(), Manner(stay=True), session, 0.0, f"conv_{seed}")
    conversation = Conversation(line, (CallerLine(_CALLER, barge_in=True), Answer(_AGENT)))
    conversation.say(_CALLER, 0.0)
    return line.frames
