"""Who asks: what a token opens, what it does not, and who has tried too often."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI

from sipagent.api import problems
from sipagent.api.health import Everybodys, Nobodys, UnreadyReason, health_router
from sipagent.api.problems import Problem
from sipagent.api.v1 import auth
from sipagent.api.v1.auth import (
    FAILED_WITHIN,
    MOST_ADDRESSES,
    MOST_ADMITTED,
    MOST_FAILED,
    TURN_WITHIN,
    Doorkeeper,
    require,
)
from sipagent.api.v1.curtain import Curtain, OperatorsDetails
from sipagent.metrics import Metrics
from sipagent.model import TenantName
from sipagent.model.access import Principal, Scope
from tests.store.test_keys import HandClock

TOKENS = {
    "olga": Principal("t1", "Olga", None, Scope.ADMIN),
    "anna": Principal("t2", "Anna", TenantName("acme"), Scope.CONTROL),
    "bert": Principal("t3", "Bert", TenantName("acme"), Scope.READ),
}


@dataclass
class FakeKeys:
    """The tokens above. `away`: nobody can be asked."""

    operator: bool = True
    away: bool = False
    takes: float = 0.0
    asked: list[str] = field(default_factory=list)

    async def principal(self, token: str) -> Principal | None:
        await asyncio.sleep(self.takes)
        if self.away:
            raise ConnectionError
        self.asked.append(token)
        return TOKENS.get(token)

    async def any_operator(self) -> bool:
        return self.operator


@dataclass
class Door:
    keys: FakeKeys
    clock: HandClock
    client: httpx.AsyncClient

    async def get(self, path: str, token: str | None = None, **more: str) -> httpx.Response:
        headers = more | ({} if token is None else {"Authorization": f"Bearer {token}"})
        return await self.client.get(path, headers=headers)


@asynccontextmanager
async def door(address: str = "192.0.2.1") -> AsyncIterator[Door]:
    """An application whose routes want scopes."""
    keys, clock, app = FakeKeys(), HandClock(), FastAPI()
    problems.install(app)
    doorkeeper = Doorkeeper(keys, clock)
    auth.install(app, doorkeeper)

    @app.get("/read")
    async def read(by: Annotated[Principal, Depends(require(Scope.READ))]) -> str:
        return by.name

    @app.get("/admin")
    async def admin(by: Annotated[Principal, Depends(require(Scope.ADMIN))]) -> str:
        return by.name

    details = OperatorsDetails(keys, doorkeeper)
    broken = UnreadyReason("records", "away", "it is away")
    app.include_router(health_router(lambda: (), Metrics(), lambda: (broken,), details))
    transport = httpx.ASGITransport(Curtain(app, keys), client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        yield Door(keys, clock, client)


async def test_a_token_opens_what_its_scope_includes() -> None:
    async with door() as here:
        for token, statuses in {"olga": (200, 200), "anna": (200, 403), "bert": (200, 403)}.items():
            got = [(await here.get(path, token)).status_code for path in ("/read", "/admin")]
            assert tuple(got) == statuses, token
        refusal = await here.get("/admin", "bert")
        assert refusal.json()["code"] == "scope"
        assert 'scope="admin"' in refusal.headers["www-authenticate"]
        assert refusal.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (None, "Bearer"),
        ("", "Bearer"),
        ("Basic b2xnYTpvbGdh", "Bearer"),
        ("Bearer", "Bearer"),
        ("Bearer wrong", 'Bearer error="invalid_token"'),
        ("Bearer " + "x" * 5000, 'Bearer error="invalid_token"'),
    ],
)
async def test_without_one_that_holds_there_is_a_challenge_and_nothing_of_it_is_told(
    header: str | None, challenge: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with door() as here:
        headers = {} if header is None else {"Authorization": header}
        answer = await here.client.get("/read", headers=headers)

        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)
        assert answer.json()["code"] == "token"
        for word in ("wrong", "xxx", "b2xn"):
            assert word not in answer.text + caplog.text


async def test_an_address_that_fails_too_often_waits_and_costs_no_question() -> None:
    async with door() as here:
        for number in range(MOST_FAILED):
            assert (await here.get("/read", f"guess{number}")).status_code == 401
        here.keys.asked.clear()
        refused = await here.get("/read", "anna")
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "60"
        assert not here.keys.asked
        here.clock.now += FAILED_WITHIN - 1.5
        assert (await here.get("/read", "anna")).headers["retry-after"] == "2"
        here.clock.now += 1.5
        assert (await here.get("/read", "anna")).status_code == 200


async def test_many_attempts_at_once_are_no_more_than_one_after_the_other() -> None:
    async with door() as here:
        answers = await asyncio.gather(*(here.get("/read", f"guess{one}") for one in range(200)))
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {401, 429}
        assert len(here.keys.asked) < 2 * MOST_FAILED


@pytest.mark.virtual_time
async def test_nobody_waits_for_ever_behind_neighbours_whom_nobody_answers() -> None:
    keys = FakeKeys(takes=60.0)
    doorkeeper = Doorkeeper(keys, HandClock())
    async with asyncio.TaskGroup() as tasks:
        first = [tasks.create_task(doorkeeper.admit("anna", "a")) for _ in range(MOST_FAILED)]
        await asyncio.sleep(1.0)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Problem) as away:
            await doorkeeper.admit("bert", "a")
        assert (away.value.status, away.value.code) == (503, "records-away")
        assert asyncio.get_running_loop().time() - began == pytest.approx(TURN_WITHIN)
    assert {one.result().name for one in first} == {"Anna"}
    keys.takes = 0.0
    assert (await doorkeeper.admit("bert", "a")).name == "Bert"


async def test_many_people_at_one_address_come_in_at_once() -> None:
    async with door() as here:
        many = [here.get("/read", token) for token in TOKENS for _ in range(MOST_FAILED)]
        assert {answer.status_code for answer in await asyncio.gather(*many)} == {200}


async def test_who_was_admitted_before_is_not_shut_out_by_a_neighbour() -> None:
    async with door() as here:
        assert (await here.get("/read", "anna")).status_code == 200
        for _ in range(MOST_FAILED + 5):
            await here.get("/read", "guess")
        assert (await here.get("/read", "guess")).status_code == 429
        assert (await here.get("/read", "anna")).status_code == 200


async def test_a_request_without_a_token_counts_as_no_attempt() -> None:
    async with door() as here:
        for _ in range(MOST_FAILED + 5):
            assert (await here.get("/read")).status_code == 401
        assert (await here.get("/read", "anna")).status_code == 200


async def test_while_nobody_can_say_who_it_is_the_answer_is_503() -> None:
    async with door() as here:
        here.keys.away = True
        answer = await here.get("/read", "anna")
        assert (answer.status_code, answer.json()["code"]) == (503, "records-away")
        assert "retry-after" in answer.headers


async def test_neighbours_in_one_network_of_ipv6_are_one_address() -> None:
    doorkeeper = Doorkeeper(FakeKeys(), HandClock())
    for number in range(MOST_FAILED):
        with pytest.raises(Problem):
            await doorkeeper.admit("guess", f"2001:db8::{number:x}:1")
    for address, status in (("2001:db8::ffff", 429), ("2001:db8:0:1::1", 401), ("fe80::1%x", 401)):
        with pytest.raises(Problem) as refused:
            await doorkeeper.admit("guess", address)
        assert refused.value.status == status, address


async def test_memory_of_attempts_is_bounded() -> None:
    keys, clock = FakeKeys(), HandClock()
    doorkeeper = Doorkeeper(keys, clock)
    for number in range(MOST_ADDRESSES + 10):
        with pytest.raises(Problem):
            await doorkeeper.admit("guess", f"2001:db8:{number:x}::1")
    assert len(doorkeeper._attempts._failed) == MOST_ADDRESSES
    for number in range(MOST_ADMITTED + 10):
        TOKENS[f"many{number}"] = TOKENS["anna"]
        await doorkeeper.admit(f"many{number}", "192.0.2.9")
        del TOKENS[f"many{number}"]
    assert len(doorkeeper._admitted) == MOST_ADMITTED


async def test_before_the_operator_has_a_token_nothing_is_there() -> None:
    async with door() as here:
        here.keys.operator = False
        hidden = await here.get("/read", "anna")
        assert hidden.status_code == 404
        here.keys.operator = True
        missing = await here.get("/nothing", "anna")
        assert hidden.json() == missing.json()
        assert dict(hidden.headers) == dict(missing.headers)


async def test_details_of_health_are_the_operators_once_there_is_one() -> None:
    async with door() as here:
        plain = {"status": "degraded"}
        assert (await here.get("/readyz")).json() == plain
        assert (await here.get("/readyz", "anna")).json() == plain
        assert (await here.get("/readyz", "wrong")).json() == plain
        whole = (await here.get("/readyz", "olga")).json()
        assert whole["degraded"] == [{"part": "records", "code": "away", "detail": "it is away"}]
        assert (await here.get("/metrics")).status_code == 401
        assert (await here.get("/metrics", "wrong")).status_code == 401
        assert (await here.get("/metrics", "anna")).json()["code"] == "operator-only"
        assert "sipagent_" in (await here.get("/metrics", "olga")).text
        here.keys.away = True
        answer = await here.get("/readyz", "olga")
        assert (answer.status_code, answer.json()) == (200, plain)


async def test_details_of_health_are_everybodys_before() -> None:
    keys = FakeKeys(operator=False)
    details = OperatorsDetails(keys, Doorkeeper(keys, HandClock()))
    for sight, shown, status in (
        (details, True, 200),
        (Everybodys(), True, 200),
        (Nobodys(), False, 404),
    ):
        app = FastAPI()
        problems.install(app)
        app.include_router(health_router(lambda: (), Metrics(), details=sight))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            assert ("reasons" in (await client.get("/readyz")).json()) is shown
            assert (await client.get("/metrics")).status_code == status


async def test_many_at_once_are_admitted_and_refused_alike() -> None:
    async with door() as here:
        answers = await asyncio.gather(*(here.get("/read", "anna") for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
