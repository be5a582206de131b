"""The shell around the calls: clocks, sockets, and those who wait for something to happen."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from pydantic_core import to_json

from sipagent.errors import SimulatorError
from sipagent.simulator.book import CallBook
from sipagent.simulator.call import NO_CLOSE_FRAME, CallOrder, SimulatedCall
from sipagent.simulator.chatter import ChatterBox
from sipagent.simulator.faults import Fault
from sipagent.simulator.sockets import CallSocket, text_frame

logger = logging.getLogger(__name__)


class Peer:
    """One socket on a call, the first or a later one, and what is scripted to go wrong with it."""

    def __init__(self, socket: CallSocket, fault: Fault | None, number: int) -> None:
        self.socket = socket
        self.number = number
        self._fault = fault
        self._silent = fault is not None and (fault.silence or fault.blackhole)
        ends = fault is not None and (fault.close is not None or fault.abort)
        self._left = fault.after_events if fault is not None and ends else None
        if self._left == 0:
            self._end()

    def write(self, frames: list[bytes]) -> None:
        if self._silent:
            return
        if self._left is None:
            self.socket.write_frames(frames)
        elif self._left > 0:
            self.socket.write_frames(frames[: self._left])
            self._left = max(0, self._left - len(frames))
            if self._left == 0:
                self._end()

    def close(self, code: int, reason: str = "") -> None:
        if code == NO_CLOSE_FRAME:
            self.socket.drop()
        else:
            self.socket.send_close(code, reason)

    def _end(self) -> None:
        fault = self._fault
        if fault is None or fault.abort or fault.close is None:
            self.socket.reset()
        else:
            self.close(fault.close)


class Switchboard:
    """All calls, in real time. Every change of a call goes through `touch`."""

    def __init__(self, book: CallBook) -> None:
        self.book = book
        self._peers: dict[str, list[Peer]] = {}
        self._timers: dict[str, tuple[float, asyncio.TimerHandle]] = {}
        self._placed_at: dict[str, float] = {}
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._chatter = ChatterBox(self._write_chatter)

    def place(self, order: CallOrder, call: SimulatedCall | None = None) -> SimulatedCall:
        """The call, by default one that rings, is there from now on."""
        call = call or SimulatedCall(order)
        self.book.add(call)
        self._placed_at[call.call_id] = asyncio.get_running_loop().time()
        self.touch(call)
        return call

    def now(self, call: SimulatedCall) -> float:
        """Seconds since the call was placed; an ended call's clock stands still."""
        placed_at = self._placed_at.get(call.call_id)
        if placed_at is None:
            return call.agenda.now
        return asyncio.get_running_loop().time() - placed_at

    def find(self, call_id: str) -> SimulatedCall:
        call = self.book.find(call_id)
        if call is None:
            raise SimulatorError(f"there is no call {call_id}")
        return call

    def attach(self, call: SimulatedCall, socket: CallSocket, fault: Fault | None) -> Peer | None:
        """The socket is open: it gets the call's events from now on. None if the call ended."""
        peer = Peer(socket, fault, call.attachments + 1)
        peers = self._peers.setdefault(call.call_id, [])
        if call.order.second_socket == "replace":
            for other in peers:
                other.close(1000, "replaced")
            peers.clear()
        peers.append(peer)
        if call.attach(self.now(call)) is not None:
            self.touch(call)
            return None
        if call.attachments == 1 and call.order.chatter is not None:
            self._chatter.add(call)
        self.touch(call)
        return peer

    def detach(self, call: SimulatedCall, peer: Peer, code: int | None) -> None:
        peers = self._peers.get(call.call_id, [])
        if peer in peers:
            peers.remove(peer)
        call.detach(code, self.now(call))
        self.touch(call)

    def peers(self, call: SimulatedCall) -> list[Peer]:
        return list(self._peers.get(call.call_id, ()))

    def receive(self, call: SimulatedCall, peer: Peer, raw: str | bytes) -> None:
        call.receive(raw, self.now(call), peer.number)
        self.touch(call)

    def touch(self, call: SimulatedCall) -> None:
        """Whatever the call has put out goes out, and its next deadline is set."""
        frames = call.take_frames()
        peers = self._peers.get(call.call_id)
        if frames and peers:
            encoded = [text_frame(to_json(frame)) for frame in frames]
            for peer in peers:
                peer.write(encoded)
        if call.ended:
            self._retire(call)
        else:
            self._set_timer(call)
        for waiter in self._waiters.pop(call.call_id, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def until(
        self,
        call: SimulatedCall,
        holds: Callable[[SimulatedCall], object],
        timeout: float,  # noqa: ASYNC109 - a test says how long it waits
    ) -> None:
        """Returns when the condition holds.

        Raises:
            TimeoutError: it has not held within the time.
        """
        async with asyncio.timeout(timeout):
            while not holds(call):
                await self.changed(call)

    async def changed(self, call: SimulatedCall) -> None:
        """Returns when something has happened on the call."""
        waiter = asyncio.get_running_loop().create_future()
        waiting = self._waiters.setdefault(call.call_id, [])
        waiting.append(waiter)
        try:
            await waiter
        finally:
            if waiter in waiting:
                waiting.remove(waiter)

    def close(self) -> None:
        """Nothing happens any more; sockets are the server's to close."""
        self._chatter.stop()
        for _, timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _retire(self, call: SimulatedCall) -> None:
        if call.call_id not in self._placed_at:
            return
        del self._placed_at[call.call_id]
        _, timer = self._timers.pop(call.call_id, (0.0, None))
        if timer is not None:
            timer.cancel()
        for peer in self._peers.pop(call.call_id, ()):
            peer.close(call.close_code, _reason(call))
        self.book.retire(call)

    def _set_timer(self, call: SimulatedCall) -> None:
        at = call.agenda.next_at
        before, timer = self._timers.get(call.call_id, (None, None))
        if at == before:
            return
        if timer is not None:
            timer.cancel()
            del self._timers[call.call_id]
        if at is not None:
            when = self._placed_at[call.call_id] + at
            wake = partial(self._wake, call)
            self._timers[call.call_id] = (at, asyncio.get_running_loop().call_at(when, wake))

    def _wake(self, call: SimulatedCall) -> None:
        at, _ = self._timers.pop(call.call_id)
        try:
            # The clock's resolution may wake us a little early.
            call.advance(max(at, self.now(call)))
        except Exception:
            logger.exception("a simulated call crashed and ends")
            call.end("simulator")
        self.touch(call)

    def _write_chatter(self, call: SimulatedCall, frame: bytes) -> None:
        for peer in self._peers.get(call.call_id, ()):
            peer.write([frame])


def _reason(call: SimulatedCall) -> str:
    if call.ended_by == "expired":
        return "Your session hit the maximum duration of 60 minutes."
    return ""
