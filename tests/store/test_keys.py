"""Who a token stands for, asked again and again, while tokens change and records go away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.model import TenantName
from sipagent.model.access import Principal, Scope
from sipagent.store import tokens
from sipagent.store.audit import Author
from sipagent.store.keys import KNOWN_FOR, LEFT_ALONE, MOST_KNOWN, REMEMBERED, TokenKeys
from sipagent.store.tokens import Made, Wanted
from tests.store.support import opened
from tests.waiting import eventually

ACME = TenantName("acme")
ME = Author("root@here")
NOBODY = f"sipa_nobody2345_{'s' * 43}"


@dataclass
class HandClock:
    """Time that a test moves."""

    now: float = 1_000_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


@dataclass
class House:
    """Tokens and whoever asks for them. `away`: the records do not answer."""

    engine: AsyncEngine
    clock: HandClock = field(default_factory=HandClock)
    away: bool = False
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        event.listen(self.engine.sync_engine, "before_cursor_execute", self._note)
        self.keys = self.replica()

    def replica(self) -> TokenKeys:
        return TokenKeys(self.opened, self.clock)

    def opened(self) -> AsyncEngine:
        if self.away:
            raise ConnectionRefusedError
        return self.engine

    async def make(
        self, tenant: TenantName | None = ACME, scope: Scope = Scope.ADMIN, **more: float
    ) -> Made:
        wanted = Wanted("Anna", tenant, scope, more.get("expires_at"))
        return await tokens.create(self.engine, wanted, ME, at=self.clock.now)

    async def revoke(self, made: Made) -> None:
        await tokens.revoke(self.engine, made.token.id, ME, at=self.clock.now)

    def lookups(self) -> int:
        found = sum("FROM tokens" in one and "id =" in one for one in self.asked)
        self.asked.clear()
        return found

    def _note(self, *event: object) -> None:
        self.asked.append(str(event[2]))


@asynccontextmanager
async def house(url: str) -> AsyncIterator[House]:
    async with opened(url) as engine:
        here = House(engine)
        async with here.keys:
            yield here


async def test_a_token_stands_for_whom_it_was_made(records_url: str) -> None:
    async with house(records_url) as here:
        made = await here.make(scope=Scope.READ, expires_at=here.clock.now + 10)

        assert await here.keys.principal(made.text) == Principal(
            made.token.id, "Anna", ACME, Scope.READ, here.clock.now + 10
        )
        assert await here.keys.principal(made.text[:-1] + "!") is None
        assert await here.keys.principal(made.text[:-4] + "AAAA") is None
        assert await here.keys.principal(NOBODY) is None
        here.clock.now += 10
        assert await here.keys.principal(made.text) is None


async def test_a_revoked_token_is_refused_within_five_seconds_on_every_replica(
    records_url: str,
) -> None:
    async with house(records_url) as here, here.replica() as other:
        made = await here.make()
        for keys in (here.keys, other):
            assert await keys.principal(made.text) is not None
        await here.revoke(made)
        here.clock.now += 5.0
        for keys in (here.keys, other):
            assert await keys.principal(made.text) is None


async def test_many_requests_are_one_question_also_for_what_is_unknown(records_url: str) -> None:
    async with house(records_url) as here:
        made = await here.make()
        for token in (made.text, NOBODY):
            here.lookups()
            await asyncio.gather(*(here.keys.principal(token) for _ in range(20)))
            for _ in range(20):
                await here.keys.principal(token)
            assert here.lookups() == 1
            here.clock.now += REMEMBERED
            await here.keys.principal(token)
            assert here.lookups() == 1


async def test_a_token_of_a_known_id_costs_no_question_either(records_url: str) -> None:
    async with house(records_url) as here:
        made = await here.make()
        assert await here.keys.principal(made.text) is not None
        here.lookups()
        for letter in "abcdefgh":
            assert await here.keys.principal(f"sipa_{made.token.id}_{letter * 43}") is None
        assert here.lookups() == 0


async def test_what_is_remembered_is_bounded_and_nobody_pushes_out_who_is_known(
    sqlite_url: str,
) -> None:
    async with house(sqlite_url) as here:
        made = await here.make()
        assert await here.keys.principal(made.text) is not None
        for number in range(MOST_KNOWN + 50):
            assert await here.keys.principal(f"sipa_{number:010}_{'s' * 43}") is None
        here.lookups()
        assert await here.keys.principal(made.text) is not None
        assert here.lookups() == 0
        assert len(here.keys._unknown) == MOST_KNOWN


async def test_without_records_known_tokens_act_on_calls_and_others_are_not_judged(
    records_url: str,
) -> None:
    async with house(records_url) as here:
        admin, reader = await here.make(), await here.make(scope=Scope.READ)
        new = await here.make()
        for made in (admin, reader):
            await here.keys.principal(made.text)
        here.away = True
        here.clock.now += REMEMBERED + 1
        scopes = []
        for made in (admin, reader):
            principal = await here.keys.principal(made.text)
            assert principal is not None
            scopes.append(principal.scope)
        assert scopes == [Scope.CONTROL, Scope.READ]
        assert await here.keys.principal(admin.text[:-4] + "AAAA") is None
        with pytest.raises(ConnectionError):
            await here.keys.principal(new.text)
        here.clock.now += KNOWN_FOR
        with pytest.raises(ConnectionError):
            await here.keys.principal(admin.text)
        here.away = False
        here.clock.now += LEFT_ALONE
        principal = await here.keys.principal(admin.text)
        assert principal is not None
        assert principal.scope is Scope.ADMIN


async def test_without_records_a_token_is_over_at_its_time_all_the_same(records_url: str) -> None:
    async with house(records_url) as here:
        made = await here.make(expires_at=here.clock.now + 10)
        await here.keys.principal(made.text)
        here.away = True
        here.clock.now += 10
        assert await here.keys.principal(made.text) is None


async def test_use_is_noted_behind_the_request_and_once_a_minute(records_url: str) -> None:
    async with house(records_url) as here:
        made = await here.make()
        for _ in range(5):
            await here.keys.principal(made.text)
        first = here.clock.now

        async def used() -> float | None:
            (there,) = await tokens.listed(here.engine)
            return there.last_used_at

        async def noted(at: float) -> None:
            async with asyncio.timeout(20):
                while await used() != at:
                    await asyncio.sleep(0.01)

        await noted(first)
        here.clock.now += 30
        await here.keys.principal(made.text)
        await eventually(lambda: not here.keys._tasks)
        assert await used() == first
        here.clock.now += 31
        await here.keys.principal(made.text)
        await noted(here.clock.now)


async def test_an_operator_is_known_of_within_seconds(records_url: str) -> None:
    async with house(records_url) as here:
        await here.make()
        assert not await here.keys.any_operator()
        made = await here.make(tenant=None)
        here.clock.now += REMEMBERED
        assert await here.keys.any_operator()
        here.asked.clear()
        assert await here.keys.any_operator()
        assert not here.asked
        here.away = True
        here.clock.now += 1000
        assert await here.keys.any_operator()
        here.away = False
        here.clock.now += LEFT_ALONE
        await here.revoke(made)
        assert not await here.keys.any_operator()
