"""What can be done with simulated calls, from Python or through `/simulator/...`."""

import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Literal

from sipagent.errors import SimulatorError
from sipagent.simulator.book import CallBook
from sipagent.simulator.call import SimulatedCall
from sipagent.simulator.faults import Faults
from sipagent.simulator.keys import Entra, Keys
from sipagent.simulator.orders import (
    CloseOrder,
    DeliverOrder,
    DtmfOrder,
    FaultsOrder,
    HangUpCall,
    PlaceOrder,
    ReferOrder,
    SayOrder,
    WebhookOrder,
    plans,
    read_order,
)
from sipagent.simulator.provider import Provider
from sipagent.simulator.refusal import JsonObject
from sipagent.simulator.switchboard import Switchboard
from sipagent.simulator.talks import BROWSER, Talks
from sipagent.simulator.webhooks import Deliverer, incoming_event

KEEP = 50_000
KEEP_DETAILS = 10_000


class Exchange:
    """The carrier's and the caller's side of all calls.

    Keyword arguments are the keys of the same request's body; a wrong one is a SimulatorError.

    `keys` is who may speak to the provider, `api_keys` the keys to begin with (None takes any);
    `entra` issues tokens.
    """

    def __init__(
        self,
        webhook_secret: str,
        deliver_to: str | None = None,
        *,
        second_decision: Literal[409, 404, 400] = 409,
        keep: int = KEEP,
        keep_details: int = KEEP_DETAILS,
        api_keys: Iterable[str] | None = None,
    ) -> None:
        self._deliverer = Deliverer(webhook_secret, deliver_to)
        self._second_decision = second_decision
        self._board = Switchboard(CallBook(keep, keep_details))
        self.entra = Entra()
        self.keys = Keys(api_keys, self.entra)
        self._provider = Provider(self._board, self.keys)
        self._talks = Talks(self._board, self.keys, lambda: self._provider.faults)

    @property
    def deliver_to(self) -> str | None:
        """Where webhooks go unless a call says otherwise."""
        return self._deliverer.deliver_to

    @deliver_to.setter
    def deliver_to(self, url: str | None) -> None:
        self._deliverer.deliver_to = url

    @property
    def webhook_secret(self) -> str:
        """What signs deliveries from now on."""
        return self._deliverer.secret

    @webhook_secret.setter
    def webhook_secret(self, secret: str) -> None:
        self._deliverer.secret = secret

    def set_talks(self, **options: Any) -> None:
        """How calls of browsers go from now on: what `place_call` takes, such as a script."""
        read_order(PlaceOrder, {"to": BROWSER, **options})
        self._talks.manner = options

    @property
    def calls(self) -> list[SimulatedCall]:
        """All calls that are remembered, in the order of their placing."""
        return list(self._board.book)

    @property
    def unknown_calls(self) -> int:
        """How many REST requests named a call that does not exist."""
        return self._provider.unknown_calls

    def call(self, call_id: str) -> SimulatedCall:
        return self._board.find(call_id)

    async def place_call(self, to: str, from_: str | None = None, **options: Any) -> str:
        """Places a call and, unless `deliver=False`, delivers its webhook; returns its id."""
        body = {"to": to, **({"from": from_} if from_ is not None else {}), **options}
        call, _ = await self.place(body)
        return call.call_id

    async def place(self, body: Any) -> tuple[SimulatedCall, JsonObject | None]:
        """The call, and what came of its webhook's delivery."""
        order = read_order(PlaceOrder, body)
        if order.deliver and not (order.deliver_to or self.deliver_to):
            raise SimulatorError("deliver_to: nowhere to deliver to (serve --deliver-to URL)")
        call = self._board.place(order.order(time.time(), self._second_decision))
        delivery = await self._deliver(call, DeliverOrder()) if order.deliver else None
        return call, delivery

    async def deliver(self, call_id: str, **options: Any) -> JsonObject:
        """Delivers a call's webhook again: the same, or with `fresh=True` under a new id."""
        return await self._deliver(self.call(call_id), read_order(DeliverOrder, options))

    async def send_webhook(self, **options: Any) -> JsonObject:
        """Delivers any signed event."""
        order = read_order(WebhookOrder, options)
        if (order.event is None) == (order.type is None):
            raise SimulatorError("give either event or type")
        event = order.event or {
            "object": "event",
            "id": f"evt_{uuid.uuid4().hex}",
            "type": order.type,
            "created_at": int(time.time()),
            "data": order.data,
        }
        delivery: JsonObject = await self._deliverer.deliver(event, f"wh_{uuid.uuid4().hex}", order)
        return delivery

    def plan_refers(self, call_id: str, refers: Iterable[Mapping[str, Any]]) -> None:
        """What comes of the call's REFERs from now on: as `refer` says it when a call is placed."""
        orders = [read_order(ReferOrder, dict(refer)) for refer in refers]
        self.call(call_id).plan_refers(order.plan() for order in orders)

    def say(self, call_id: str, text: str) -> None:
        """The caller speaks now."""
        order = read_order(SayOrder, {"text": text})
        call = self.call(call_id)
        if not call.say(order.text, self._board.now(call)):
            raise SimulatorError(f"nobody is on the line of call {call_id}")
        self._board.touch(call)

    def press(self, call_id: str, digits: str) -> None:
        """The caller presses keys."""
        order = read_order(DtmfOrder, {"digits": digits})
        call = self.call(call_id)
        if not call.press(order.digits, self._board.now(call)):
            raise SimulatorError(f"nobody is on the line of call {call_id}")
        self._board.touch(call)

    def hang_up(self, call_id: str, **options: Any) -> None:
        """The caller hangs up; `close` is the socket's close code, 1006 for none."""
        order = read_order(HangUpCall, options)
        call = self.call(call_id)
        call.advance(self._board.now(call))
        call.end("caller", order.close)
        self._board.touch(call)

    def close_sockets(self, call_id: str, **options: Any) -> int:
        """Closes the call's sockets but not the call; returns how many there were."""
        order = read_order(CloseOrder, options)
        peers = self._board.peers(self.call(call_id))
        for peer in peers:
            if order.abort:
                peer.socket.reset()
            else:
                peer.close(order.code, order.reason)
        return len(peers)

    def set_faults(self, faults: Mapping[str, Any]) -> None:
        """Faults for all calls, in place of earlier ones; a call's own come first."""
        self._provider.faults = Faults(plans(read_order(FaultsOrder, {"faults": faults}).faults))

    def clear_faults(self) -> None:
        self._provider.faults = Faults({})

    async def until(
        self,
        call_id: str,
        holds: Callable[[SimulatedCall], object],
        timeout: float = 5.0,  # noqa: ASYNC109 - a test says how long it waits
    ) -> SimulatedCall:
        """The call, once the condition holds on it.

        Raises:
            TimeoutError: it has not held within the time.
        """
        call = self.call(call_id)
        await self._board.until(call, holds, timeout)
        return call

    async def wait_ended(
        self,
        call_id: str,
        timeout: float = 5.0,  # noqa: ASYNC109
    ) -> SimulatedCall:
        return await self.until(call_id, lambda call: call.ended, timeout)

    async def happenings(self, call_id: str) -> AsyncIterator[JsonObject]:
        """What has happened on the call and what happens, until it has ended."""
        call = self.call(call_id)
        seen = 0
        while True:
            notes = call.notes[seen:]
            seen += len(notes)
            for note in notes:
                yield note
            if call.ended and seen == len(call.notes):
                return
            if seen == len(call.notes):
                await self._board.changed(call)

    async def aclose(self) -> None:
        self._board.close()
        await self._deliverer.aclose()

    async def _deliver(self, call: SimulatedCall, options: DeliverOrder) -> JsonObject:
        if options.deliver_to is None and call.order.deliver_to is not None:
            options = options.model_copy(update={"deliver_to": call.order.deliver_to})
        event = incoming_event(call.order)
        delivery: JsonObject = await self._deliverer.deliver(event, call.order.webhook_id, options)
        call.record_delivery(delivery)
        self._board.touch(call)
        return delivery
