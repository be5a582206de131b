"""`sipagent tokens` and `sipagent audit`, on the records of a data directory."""

import asyncio
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from sqlalchemy import update

from sipagent.store import tables
from sipagent.store.location import location_of
from sipagent.store.opening import changed
from tests.cli.kept import keep, printable
from tests.cli.support import Place

TEXT = re.compile(r"sipa_([a-z0-9]{10})_[A-Za-z0-9_-]{43}")


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """A command logs to its own standard error, which ends with it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def kept(place: Place) -> Place:
    keep(place)
    return place


def made(place: Place, *words: str) -> str:
    """The id of a new token."""
    result = place.run("tokens", "create", "--name", "Anna", *words)
    match = TEXT.fullmatch(result.stdout.strip())
    assert match, result.output
    return match[1]


def spoil(place: Place, **values: Any) -> None:
    async def change() -> None:
        async with changed(location_of(None, place.data)) as engine, engine.begin() as connection:
            line = tables.audit.c.number == 2
            await connection.execute(update(tables.audit).where(line).values(values))

    asyncio.run(change())


def test_a_token_is_printed_once_and_listed_without_its_secret(kept: Place) -> None:
    result = kept.run("tokens", "create", "--name", "Anna", "--operator", "--scope", "admin")
    assert result.exit_code == 0
    match = TEXT.fullmatch(result.stdout.strip())
    assert match
    assert "cannot be shown again" in result.stderr
    listed = kept.run("tokens", "list").stdout
    assert match[0].split("_", 2)[2] not in listed + str(kept.json("tokens", "list"))
    (token,) = kept.json("tokens", "list")
    assert (token["id"], token["tenant"], token["scope"]) == (match[1], None, "admin")
    assert token["expires_at"] is not None
    assert re.search(rf"{match[1]}  Anna +\(operator\) +admin", listed)


def test_a_token_is_one_tenants_or_the_operators(kept: Place) -> None:
    made(kept, "--tenant", "acme", "--expires", "never")
    (token,) = kept.json("tokens", "list", "--tenant", "acme")
    assert (token["tenant"], token["scope"], token["expires_at"]) == ("acme", "read", None)
    assert kept.run("tokens", "list", "--tenant", "beta").stdout == "no tokens\n"
    for words in ((), ("--tenant", "acme", "--operator")):
        result = kept.run("tokens", "create", "--name", "x", *words)
        assert (result.exit_code, "--operator" in result.stderr) == (2, True)


def test_an_unknown_tenant_is_told_with_the_one_that_may_be_meant(kept: Place) -> None:
    result = kept.run("tokens", "create", "--name", "x", "--tenant", "acmee")
    assert result.exit_code == 2
    assert 'there is no tenant "acmee" (did you mean acme?)' in result.stderr


@pytest.mark.parametrize(
    "words",
    [("--scope", "admn"), ("--expires", "soon"), ("--name", " "), ("--name", "a\nb")],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_usage(kept: Place, words: tuple[str, ...]) -> None:
    result = kept.run("tokens", "create", "--name", "x", "--operator", *words)
    assert result.exit_code == 2
    assert kept.run("tokens", "list").stdout == "no tokens\n"


def test_a_revoked_token_is_listed_no_more(kept: Place) -> None:
    token = made(kept, "--operator")
    other = made(kept, "--operator")
    assert "is not there" not in kept.run("tokens", "revoke", other).stderr
    result = kept.run("tokens", "revoke", token)
    assert (result.stdout, "is not there" in result.stderr) == (f"revoked: {token}\n", True)
    assert kept.run("tokens", "list").stdout == "no tokens\n"
    assert "revoked" in kept.run("tokens", "list", "--all").stdout
    result = kept.run("tokens", "revoke", "nosuchtok1")
    assert (result.exit_code, "tokens list" in result.stderr) == (1, True)


def test_without_records_there_is_nothing_to_put_a_token_in(place: Place) -> None:
    result = place.run("tokens", "create", "--name", "x", "--operator")
    assert (result.exit_code, "is not there" in result.stderr) == (78, True)


def test_what_was_done_with_tokens_is_in_the_audit(kept: Place) -> None:
    operator, tenant = made(kept, "--operator"), made(kept, "--tenant", "acme")
    kept.run("tokens", "revoke", operator)
    every, acme = kept.json("audit", "list"), kept.json("audit", "list", "--tenant", "acme")

    assert [(one["action"], one["target"]) for one in every] == [
        ("tokens.revoke", operator),
        ("tokens.create", tenant),
        ("tokens.create", operator),
    ]
    assert [one["target"] for one in acme] == [tenant]
    assert "@" in every[0]["by"]
    text = kept.run("audit", "list").stdout
    assert printable(text)
    assert re.search(rf"\n2 .* tokens.create +{tenant} +acme ", text)
    before = kept.json("audit", "list", "--before", "2")
    assert [one["line"] for one in before] == [1]


def test_a_whole_audit_is_verified_and_a_changed_line_named(kept: Place) -> None:
    assert kept.run("audit", "verify").exit_code == 0
    for _ in range(3):
        made(kept, "--operator")
    whole = kept.run("audit", "verify")
    assert whole.stdout.startswith("the audit is whole: 3 lines, head 3:")
    head = whole.stdout.split()[-1]
    assert kept.run("audit", "verify", "--head", head).exit_code == 0
    assert kept.run("audit", "verify", "--head", f"3:{'0' * 64}").exit_code == 1
    assert kept.run("audit", "verify", "--head", f"4:{'0' * 64}").exit_code == 1
    assert kept.run("audit", "verify", "--head", "3").exit_code == 2
    spoil(kept, target="another")
    broken = kept.run("audit", "verify")
    assert (broken.exit_code, broken.stderr) == (
        1,
        "the audit is broken at line 2: the line is not as it was written\n",
    )
    told = kept.run("audit", "verify", "--format", "json")
    assert (told.exit_code, '"broken_at": 2' in told.stdout) == (1, True)
