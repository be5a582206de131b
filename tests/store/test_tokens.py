"""Tokens as they stand in the records: told once, never stored, over at their time."""

import re

from sqlalchemy import select, text

from sipagent.model import TenantName
from sipagent.model.access import Scope
from sipagent.store import audit, tables, tokens
from sipagent.store.audit import AuditFilter, Author, verify
from sipagent.store.tokens import Presented, Wanted, presented
from tests.store.support import opened

ACME, BETA = TenantName("acme"), TenantName("beta")
ME = Author("root@here")


def wanted(name: str = "Anna", tenant: TenantName | None = ACME, **more: float) -> Wanted:
    return Wanted(name, tenant, Scope.CONTROL, more.get("expires_at"))


async def test_a_token_is_told_once_and_its_secret_is_nowhere(records_url: str) -> None:
    async with opened(records_url) as engine:
        made = await tokens.create(engine, wanted(), ME, at=1000.0)
        _, id_, secret = made.text.split("_", 2)
        async with engine.connect() as connection:
            row = (await connection.execute(select(tables.tokens))).one()
            lines = (await connection.execute(text("SELECT * FROM audit"))).all()

        assert re.fullmatch(r"sipa_[a-z0-9]{10}_[A-Za-z0-9_-]{43}", made.text)
        assert id_ == made.token.id
        assert secret not in f"{row} {lines} {made} {made.token}"
        assert row.secret not in repr(made)


async def test_a_token_is_who_it_says(records_url: str) -> None:
    async with opened(records_url) as engine:
        made = await tokens.create(engine, wanted(), ME, at=1000.0)
        other = await tokens.create(engine, wanted("Bert"), ME, at=1001.0)
        sent, its = presented(made.text), presented(other.text)
        assert sent is not None
        assert its is not None
        there = await tokens.found(engine, sent.id)

        assert there is not None
        assert there.is_of(sent)
        assert not there.is_of(Presented(sent.id, its.digest))
        assert (there.principal.name, there.principal.tenant) == ("Anna", ACME)


def test_what_is_no_token_is_none() -> None:
    good = f"sipa_abcdefgh12_{'s' * 43}"
    assert presented(good) is not None
    for bad in ("", "sipa__", good[:-1], f"{good}\n", f"{good} ", good.upper(), f"x{good}"):
        assert presented(bad) is None, bad


async def test_a_revoked_token_does_not_hold_and_both_are_audited(records_url: str) -> None:
    async with opened(records_url) as engine:
        made = await tokens.create(engine, wanted(), ME, at=1000.0)
        for at in (1001.0, 1002.0):
            gone = await tokens.revoke(engine, made.token.id, ME, at=at)
            assert gone is not None
            assert gone.revoked_at == 1001.0
            assert not gone.holds(1002.0)

        told = await audit.lines(engine, AuditFilter(tenant=ACME))
        assert [(line.deed.action, line.deed.target) for line in told] == [
            ("tokens.revoke", made.token.id),
            ("tokens.create", made.token.id),
        ]
        assert (await verify(engine)).broken_at is None


async def test_a_tenant_revokes_its_own_tokens_alone(records_url: str) -> None:
    async with opened(records_url) as engine:
        made = await tokens.create(engine, wanted(), ME, at=1000.0)
        assert await tokens.revoke(engine, made.token.id, ME, at=1001.0, tenant=BETA) is None
        assert await tokens.revoke(engine, "nothing", ME, at=1001.0) is None
        (there,) = await tokens.listed(engine)
        assert there.revoked_at is None
        assert await tokens.revoke(engine, made.token.id, ME, at=1001.0, tenant=ACME) is not None


async def test_a_token_holds_until_its_time(records_url: str) -> None:
    async with opened(records_url) as engine:
        made = await tokens.create(engine, wanted(expires_at=2000.0), ME, at=1000.0)

        assert made.token.holds(1999.9)
        assert not made.token.holds(2000.0)


async def test_tokens_are_listed_by_tenant(records_url: str) -> None:
    async with opened(records_url) as engine:
        names = (("Anna", ACME), ("Bert", BETA), ("Olga", None))
        made = [
            await tokens.create(engine, wanted(name, tenant), ME, at=1000.0 + number)
            for number, (name, tenant) in enumerate(names)
        ]
        await tokens.revoke(engine, made[1].token.id, ME, at=1010.0)

        assert [one.name for one in await tokens.listed(engine)] == ["Anna", "Olga"]
        assert [one.name for one in await tokens.listed(engine, every=True)] == [
            "Anna",
            "Bert",
            "Olga",
        ]
        assert not await tokens.listed(engine, tenant=BETA)


async def test_an_operator_is_there_until_the_last_token_is_revoked(records_url: str) -> None:
    async with opened(records_url) as engine:
        await tokens.create(engine, wanted(), ME, at=1000.0)
        assert not await tokens.operators(engine)
        over = await tokens.create(engine, wanted("Olga", None, expires_at=1.0), ME, at=1000.0)
        assert await tokens.operators(engine)
        await tokens.revoke(engine, over.token.id, ME, at=1001.0)
        assert not await tokens.operators(engine)


async def test_use_is_noted_once_a_minute(records_url: str) -> None:
    async with opened(records_url) as engine:
        made = await tokens.create(engine, wanted(), ME, at=1000.0)
        noted = []
        for at in (1001.0, 1030.0, 1062.0):
            await tokens.note_used(engine, made.token.id, at=at)
            (there,) = await tokens.listed(engine)
            noted.append(there.last_used_at)

        assert noted == [1001.0, 1001.0, 1062.0]
