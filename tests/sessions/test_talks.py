"""What becomes of a call of a browser that cannot be claimed or begun."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sipagent.errors import EngineError, TalkError
from sipagent.model import (
    DEFAULT_TENANT,
    Accept,
    AccountName,
    AgentProfile,
    CallId,
    Decision,
    IncomingCall,
    Json,
    Reason,
)
from sipagent.routing.talks import Talk
from sipagent.sessions.machine.events import Answer
from sipagent.sessions.ports import Claim, Offer
from sipagent.sessions.talks import MOST_OF_ONE, MOST_OF_TENANT, Ports, Talks
from sipagent.sessions.webrtc import TALK_WITHIN, Created, Issued
from sipagent.testing import FakeConfiguration, FakeEngine, FakeProviders, a_profile, a_table
from tests.sessions.house import House

pytestmark = pytest.mark.virtual_time

PROFILE = a_profile()
_SPARE = {**PROFILE.editions[0].session, "model": "gpt-realtime-2.1-mini"}
WITH_SPARE = replace(PROFILE, editions=(replace(PROFILE.editions[0], fallback_session=_SPARE),))
TALK = Talk(DEFAULT_TENANT, PROFILE.name, "Ann")


class FakeTalking:
    """Makes calls, one after the other."""

    def __init__(self) -> None:
        self.made: list[Json] = []
        self.takes = 0.0
        self.answers: list[Created] = []

    async def create(self, offer: str, session: Json, *, within: float = TALK_WITHIN) -> Created:
        self.made.append(session)
        await asyncio.sleep(self.takes)
        if self.answers:
            return self.answers.pop(0)
        return Created(Answer.DONE, "201", CallId(f"rtc_{len(self.made)}"), "v=0")

    async def client_secret(
        self, session: Json, lasts: int, *, within: float = TALK_WITHIN
    ) -> Issued:
        return Issued(Answer.DONE, "200", "ek_1", 1.0)


class FakeAccounts(FakeProviders):
    """One account, that also makes calls."""

    made: FakeTalking

    def talking(self, account: AccountName) -> FakeTalking:
        return self.made


class Engine(FakeEngine):
    """Claims as it is told."""

    def __init__(self, claimed: Callable[[Decision], Offer]) -> None:
        super().__init__()
        self.claimed = claimed
        self.offered: list[IncomingCall] = []

    async def offer(self, call: IncomingCall, decision: Decision) -> Offer:
        self.offered.append(call)
        return self.claimed(decision)


class TalkHouse(House):
    """A house whose doors are open to browsers."""

    def __init__(
        self,
        claimed: Callable[[Decision], Offer],
        profile: AgentProfile = PROFILE,
        **answers: Answer,
    ) -> None:
        super().__init__(**answers)
        self.made = FakeTalking()
        self.door = Engine(claimed)
        configuration: Any = FakeConfiguration(a_table(profiles=[profile]))
        accounts = FakeAccounts(self.control, self.sideband)
        accounts.made = self.made
        ports = Ports(configuration, accounts, self.door, self.supervisor, self.records, self.clock)
        self.closed = False
        self.talks = Talks(ports, lambda: self.closed)

    async def refused(self) -> str:
        with pytest.raises(TalkError) as error:
            await self.talks.begin(TALK, "v=0", who="tok_1")
        return error.value.code


async def test_a_call_is_claimed_under_the_id_that_the_provider_gave() -> None:
    house = TalkHouse(lambda decision: Offer(Claim.OK, decision))
    begun = await house.talks.begin(TALK, "v=0", who="tok_1")
    assert (begun.call_id, begun.sdp) == ("rtc_1", "v=0")
    (call,) = house.door.offered
    assert (call.call_id, call.talk) == ("rtc_1", True)
    await house.supervisor.abort()


async def test_a_call_that_cannot_be_claimed_is_hung_up() -> None:
    def away(_: Decision) -> Offer:
        raise EngineError("away")

    house = TalkHouse(away)
    with pytest.raises(EngineError):
        await house.talks.begin(TALK, "v=0", who="tok_1")
    assert house.asked == ["hang_up"]
    assert house.supervisor.live == 0


@pytest.mark.parametrize(
    ("created", "code", "made", "asked"),
    [
        (Created(Answer.SILENT, "201", CallId("rtc_9")), "provider-silent", 1, ["hang_up"]),
        (Created(Answer.SILENT, "201"), "provider-silent", 1, []),
        (Created(Answer.UNSENT, "timeout"), "provider-silent", 1, []),
        (Created(Answer.REFUSED, "400"), None, 2, []),
    ],
    ids=["made and unusable", "perhaps made", "not asked", "refused"],
)
async def test_the_spare_model_is_asked_only_where_no_call_can_have_been_made(
    created: Created, code: str | None, made: int, asked: list[str]
) -> None:
    house = TalkHouse(lambda decision: Offer(Claim.OK, decision), WITH_SPARE)
    house.made.answers = [created]
    if code is None:
        await house.talks.begin(TALK, "v=0", who="tok_1")
    else:
        assert await house.refused() == code
    assert (len(house.made.made), house.asked) == (made, asked)
    await house.supervisor.abort()


async def test_the_people_of_one_tenant_leave_room_for_others() -> None:
    house = TalkHouse(lambda decision: Offer(Claim.OK, decision))
    for number in range(MOST_OF_TENANT):
        await house.talks.begin(TALK, "v=0", who=f"tok_{number}")
    with pytest.raises(TalkError, match="tenant has 20"):
        await house.talks.begin(TALK, "v=0", who="tok_new")
    assert len(house.made.made) == MOST_OF_TENANT
    await house.supervisor.abort()


async def test_a_call_that_is_somebodys_already_is_left_to_them() -> None:
    house = TalkHouse(lambda decision: Offer(Claim.DUPLICATE, decision))
    assert await house.refused() == "provider-refused"
    assert (house.asked, house.records.decisions) == ([], [])


async def test_a_call_that_crashes_as_it_begins_is_hung_up_and_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    house = TalkHouse(lambda decision: Offer(Claim.OK, decision))
    monkeypatch.setattr(house.supervisor, "answer", crash)
    assert await house.refused() == "not-begun"
    await house.over()
    assert house.asked == ["hang_up"]
    assert house.reasons == [Reason.INTERNAL_ERROR]


async def test_a_refusal_says_why_and_is_recorded_once() -> None:
    def full(decision: Decision) -> Offer:
        assert isinstance(decision.verdict, Accept)
        assert decision.if_full is not None
        return Offer(Claim.FULL, Decision(decision.if_full, decision.trace))

    house = TalkHouse(full)
    assert await house.refused() == "no-room"
    await house.over()
    assert house.asked == ["hang_up"]
    assert house.reasons == [Reason.QUOTA]
    assert len(house.records.decisions) == 1


async def test_a_process_that_has_closed_meanwhile_begins_nothing() -> None:
    house = TalkHouse(lambda decision: Offer(Claim.OK, decision))
    house.made.takes = 1.0

    async def close() -> None:
        await asyncio.sleep(0.5)
        house.closed = True

    code, _ = await asyncio.gather(house.refused(), close())
    assert code == "draining"
    assert (house.asked, house.door.offered) == (["hang_up"], [])


async def test_whoever_asks_and_goes_has_the_call_all_the_same() -> None:
    house = TalkHouse(lambda decision: Offer(Claim.OK, decision))
    house.made.takes = 1.0
    for _ in range(MOST_OF_ONE):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await house.talks.begin(TALK, "v=0", who="tok_1")
    assert house.supervisor.live == MOST_OF_ONE
    assert await house.refused() == "too-many"
    await house.supervisor.abort()
