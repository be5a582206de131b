"""The ports of a call, in memory. Each keeps what it was asked, and answers as it was told."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sipagent.errors import AttachError
from sipagent.model import (
    DEFAULT_TENANT,
    AccountName,
    AgentName,
    AgentProfile,
    CallId,
    CallOutcome,
    CallPlan,
    Cap,
    Decision,
    Edition,
    Greeting,
    IncomingCall,
    Json,
    ToolResult,
    ToolStatus,
    TrunkName,
)
from sipagent.routing import Controls, NumberDirectory, Route, RoutingTable, TenantProfile, Trunk
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    Event,
    SocketClosed,
    SocketOpened,
)
from sipagent.sessions.ports import (
    END_WITHIN,
    Claim,
    HeldCall,
    Marked,
    Offer,
    SocketRequest,
    ToolRequest,
    Words,
)

SILENT: Json = {
    "type": "realtime",
    "model": "gpt-realtime-2.1",
    "audio": {"input": {"turn_detection": None}},
}
"""A session in which nobody speaks."""


def a_profile(
    name: str = "reception", *, greeting: str | None = "Hello.", **session: Any
) -> AgentProfile:
    """A small persona in one language; keywords are leaves of its session."""
    edition = Edition(
        None,
        {
            "type": "realtime",
            "model": "gpt-realtime-2.1",
            "audio": {
                "input": {
                    "turn_detection": {
                        "type": "server_vad",
                        "create_response": True,
                        "interrupt_response": True,
                    }
                }
            },
            **session,
        },
        greeting=greeting,
    )
    return AgentProfile(AgentName(name), DEFAULT_TENANT, (edition,))


def a_plan(profile: AgentProfile | None = None, *, call_id: str = "rtc_1") -> CallPlan:
    """The plan of a call that this profile answers."""
    profile = profile or a_profile()
    edition = profile.editions[0]
    say = edition.greeting
    assert say is None or isinstance(say, str)
    return CallPlan(
        call_id=CallId(call_id),
        account=AccountName("default"),
        tenant=profile.tenant,
        agent=profile.name,
        session=edition.session,
        greeting=None if say is None else Greeting(say, edition.interruptible),
        config_hash="0" * 12,
    )


def a_forward(to: str = "tel:+17135550100", *, call_id: str = "rtc_1") -> CallPlan:
    """The plan of a call that is sent on unanswered."""
    return CallPlan(
        call_id=CallId(call_id),
        account=AccountName("default"),
        tenant=DEFAULT_TENANT,
        agent=None,
        session=SILENT,
        greeting=None,
        config_hash="0" * 12,
        refer_to=to,
    )


def a_table(
    routes: Iterable[Route] = (),
    profiles: Iterable[AgentProfile] = (),
    *,
    tenants: Iterable[TenantProfile] = (),
    trunks: Iterable[Trunk] = (),
    region: str | None = None,
) -> RoutingTable:
    """A table of the account `default`. Without `tenants` there is the tenant `default`."""
    account = AccountName("default")
    known = tuple(tenants) or (TenantProfile(DEFAULT_TENANT, account),)
    return RoutingTable(
        directories={account: NumberDirectory.of(routes)},
        agents={(profile.tenant, profile.name): profile for profile in profiles},
        tenants={tenant.name: tenant for tenant in known},
        config_hash="abc",
        trunks={trunk.name: trunk for trunk in trunks},
        region=region,
    )


@dataclass(slots=True)
class FakeConfiguration:
    """A configuration that a test changes while calls come in."""

    table: RoutingTable
    controls: Controls = field(default_factory=Controls)
    trunk_secrets: Mapping[TrunkName, Sequence[bytes]] = field(default_factory=dict)


class FakeControl:
    """Call control that answers each action as `answers` says, DONE where it says nothing.

    `asked` is what was asked in order. An action in `hanging` is never answered, one in `mute` is
    given up when its time is over, one in `broken` raises.
    """

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.asked: list[tuple[str, CallId, object]] = []
        self.hanging: set[str] = set()
        self.mute: set[str] = set()
        self.broken: set[str] = set()

    async def accept(self, call_id: CallId, session: Json, *, within: float) -> AcceptAnswered:
        answer = await self._answer("accept", call_id, session, within)
        return AcceptAnswered(answer, elsewhere=answer is Answer.DECIDED)

    async def reject(self, call_id: CallId, code: int, *, within: float = END_WITHIN) -> Answer:
        return await self._answer("reject", call_id, code, within)

    async def hang_up(self, call_id: CallId, *, within: float = END_WITHIN) -> Answer:
        return await self._answer("hang_up", call_id, None, within)

    async def refer(self, call_id: CallId, target_uri: str) -> Answer:
        return await self._answer("refer", call_id, target_uri)

    async def _answer(
        self, action: str, call_id: CallId, body: object, within: float | None = None
    ) -> Answer:
        self.asked.append((action, call_id, body))
        if action in self.broken:
            raise RuntimeError(action)
        if action in self.hanging:
            await asyncio.get_running_loop().create_future()
        if action in self.mute and within is not None:
            await asyncio.sleep(within)
            return Answer.SILENT
        await asyncio.sleep(0)
        return self.answers.get(action, Answer.DONE)


class FakeSocket:
    """An attached socket that a test speaks through: `deliver` events, read `sent` requests."""

    def __init__(self, deliver: Callable[[Event], None]) -> None:
        self.deliver = deliver
        self.sent: list[SocketRequest] = []
        self.is_closed = False
        self._news = asyncio.Condition()

    def put(self, request: SocketRequest) -> bool:
        return False

    async def send(self, request: SocketRequest) -> None:
        if self.is_closed:
            raise ConnectionResetError("the fake socket is closed")
        async with self._news:
            self.sent.append(request)
            self._news.notify_all()

    async def close(self) -> None:
        self.is_closed = True

    async def sent_until(self, count: int) -> list[SocketRequest]:
        """Wait until so many requests have been sent, and return them all."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.sent) >= count)
        return self.sent

    def end(self, code: int = 1006) -> None:
        """Close from the provider's side."""
        self.is_closed = True
        self.deliver(SocketClosed(code))


class FakeDial:
    def __init__(self, sideband: "FakeSideband", call_id: CallId) -> None:
        self._sideband = sideband
        self._call_id = call_id
        self.far = True

    async def warm(self) -> None:
        await asyncio.sleep(0)

    async def attach(self, deliver: Callable[[Event], None], *, again: bool = False) -> FakeSocket:
        self._sideband.dials.append(again)
        if self._sideband.refusal is not None:
            raise AttachError(self._sideband.refusal, "refused by the test")
        socket = FakeSocket(deliver)
        deliver(SocketOpened())
        self._sideband.attached(self._call_id, socket)
        return socket

    async def probe(self) -> bool | None:
        self._sideband.probes += 1
        return self._sideband.alive

    def abandon(self) -> None:
        self._sideband.abandoned += 1


class FakeSideband:
    """Sockets of fake calls. `refusal` is the status that refuses attaching; `alive` is what a
    probe finds. `dials` says of each attempt to attach whether it was one more."""

    def __init__(self) -> None:
        self.refusal: int | None = None
        self.alive: bool | None = False
        self.probes = 0
        self.abandoned = 0
        self.dials: list[bool] = []
        self.sockets: dict[CallId, FakeSocket] = {}
        self._waiting: dict[CallId, asyncio.Future[FakeSocket]] = {}

    def dial(self, call_id: CallId) -> FakeDial:
        return FakeDial(self, call_id)

    def attached(self, call_id: CallId, socket: FakeSocket) -> None:
        self.sockets[call_id] = socket
        if (waiting := self._waiting.pop(call_id, None)) is not None:
            waiting.set_result(socket)

    async def socket(self, call_id: str = "rtc_1") -> FakeSocket:
        """Wait for the call's socket to be attached."""
        wanted = CallId(call_id)
        if wanted not in self.sockets:
            loop = asyncio.get_running_loop()
            await self._waiting.setdefault(wanted, loop.create_future())
        return self.sockets[wanted]


class FakeProviders:
    """One fake provider for every account."""

    def __init__(self, control: FakeControl, sideband: FakeSideband) -> None:
        self._control = control
        self._sideband = sideband

    def control(self, account: AccountName) -> FakeControl:
        return self._control

    def sideband(self, account: AccountName) -> FakeSideband:
        return self._sideband


class FakeEngine:
    """An engine that claims everything for one owner. `marks` are what was asked for, in order;
    those in `already` have been marked before. `admitted` are the caps that were asked for, of
    which `full` have no room. `costs` and `finished` are what it was told. While it is `passive`
    nothing may be done for any call; calls that were claimed `alone` are `lost` where somebody
    else has answered them."""

    def __init__(self) -> None:
        self.marks: list[tuple[CallId, str]] = []
        self.notes: list[tuple[CallId, str]] = []
        self.already: set[str] = set()
        self.admitted: list[Cap] = []
        self.full: set[str] = set()
        self.costs: list[int] = []
        self.spent_up: Sequence[CallId] = ()
        self.finished: list[tuple[CallOutcome, int]] = []
        self.held: Sequence[HeldCall] = ()
        self.passive = False
        self.alone = False
        self.lost: Callable[[CallId], None] = lambda _: None

    async def offer(self, call: IncomingCall, decision: Decision) -> Offer:
        return Offer(Claim.OK, decision)

    async def revise(self, call: IncomingCall, before: Decision, after: Decision) -> Offer:
        return Offer(Claim.OK, after)

    async def mark(self, call_id: CallId, epoch: int, key: str) -> Marked:
        await asyncio.sleep(0)
        self.marks.append((call_id, key))
        return Marked.ALREADY if key in self.already else Marked.DONE_NOW

    def active(self, call_id: CallId, epoch: int) -> bool:
        return not self.passive

    async def yielded(self, call_id: CallId) -> bool:
        if self.alone:
            self.lost(call_id)
        return self.alone

    async def admit(self, call_id: CallId, cap: Cap) -> bool:
        self.admitted.append(cap)
        return cap.key not in self.full

    def note(self, call_id: CallId, epoch: int, key: str) -> None:
        self.notes.append((call_id, key))

    def spent(self, call_id: CallId, cost: int) -> Sequence[CallId]:
        self.costs.append(cost)
        return self.spent_up

    def finish(self, outcome: CallOutcome, epoch: int) -> None:
        self.finished.append((outcome, epoch))

    def settled(self, call_id: CallId) -> None:
        """Nothing is kept that could be let go."""

    async def adopt(self) -> Sequence[HeldCall]:
        return self.held


class FakeTools:
    """Runs no tool: a test says what each has come to, or `now` is what all have at once."""

    def __init__(self, now: ToolResult | None = None) -> None:
        self.now = now
        self.requests: list[ToolRequest] = []
        self.cancelled: list[str] = []
        self._ends: dict[str, asyncio.Future[ToolResult]] = {}

    async def run(self, request: ToolRequest) -> ToolResult:
        self.requests.append(request)
        if self.now is not None:
            return self.now
        end = self._ends.setdefault(request.id, asyncio.get_running_loop().create_future())
        try:
            return await end
        except asyncio.CancelledError:
            self.cancelled.append(request.id)
            raise

    def end(self, tool_id: str, output: str = "{}", status: ToolStatus = ToolStatus.DONE) -> None:
        """Let the tool call come to its end."""
        end = self._ends.setdefault(tool_id, asyncio.get_running_loop().create_future())
        end.set_result(ToolResult(status, output))

    def crash(self, tool_id: str, crash: Exception) -> None:
        """Break the port's promise."""
        end = self._ends.setdefault(tool_id, asyncio.get_running_loop().create_future())
        end.set_exception(crash)


class FakeTap:
    """A viewer of all calls, or of none."""

    def __init__(self, *, watching: bool = True) -> None:
        self.watching = watching
        self.words: list[Words] = []

    def watched(self, call_id: CallId) -> bool:
        return self.watching

    def publish(self, words: Words) -> None:
        self.words.append(words)
