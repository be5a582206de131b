"""*Config* shows what is in force and what is wrong, and takes back what was ordered."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sipagent.model import TenantName
from sipagent.model.access import Deed, Scope
from sipagent.routing import Order
from sipagent.routing import Scope as Whom
from sipagent.store import tokens
from sipagent.store.audit import Author
from tests.api.console.house import NOW, TOKENS, House, Read, house
from tests.store.kept import DIALED

HANS = Author("hans", None)
BETAS = "+17134810199"


@pytest.fixture
async def home(sqlite_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with house(sqlite_url, tmp_path) as made:
        yield made


def ruin(path: Path, text: str = "\nnonsense: [") -> None:
    path.write_text(path.read_text() + text)


async def test_what_is_loaded_is_told(home: House) -> None:
    answer = await home.get("operator", "/console/config")
    page = Read(answer.text)
    assert page.faults() == []
    assert home.desk.table.config_hash in page.text
    assert str(home.main) in page.text
    assert "acme 4 " not in page.text
    assert "acme 3 2 as its file says" in page.text


async def test_a_reload_shows_what_it_has_changed(home: House) -> None:
    home.main.write_text(home.main.read_text().replace("Say good night.", "Say good morning."))
    ahead = await home.get("operator", "/console/config/diff")
    assert "night" in Read(ahead.text).text
    assert "What a reload would change now" in Read(ahead.text).text
    before = home.desk.table.config_hash
    answer = await home.post("operator", "/console/config/reload")
    page = Read(answer.text)
    assert (answer.status_code, page.faults()) == (200, [])
    assert home.desk.table.config_hash != before
    assert "Reloaded" in page.text
    assert "instructions" in page.text
    assert home.deeds == [Deed("config.reload", "config", None)]
    again = await home.get("operator", "/console/config/diff")
    assert "Nothing is different" in again.text


async def test_a_bad_reload_shows_its_error_and_changes_nothing(home: House) -> None:
    before = home.desk.table.config_hash
    ruin(home.main, "agnts: {}\n")
    answer = await home.post("operator", "/console/config/reload")
    page = Read(answer.text)
    assert "Not reloaded" in page.text
    line = len(home.main.read_text().splitlines())
    assert f"{home.main.name}:{line}:1:" in page.text
    assert home.desk.table.config_hash == before
    later = Read((await home.get("operator", "/console/config")).text)
    assert f"{home.main.name}:{line}:1:" in later.text
    assert "the files cannot be used" in later.text


async def test_what_is_wrong_with_the_operators_files_is_the_operators(home: House) -> None:
    ruin(home.main, "agnts: {}\n")
    await home.desk.reload()
    for path in ("", "/diff"):
        answer = await home.get("acme", f"/console/config{path}")
        assert "agnts" not in answer.text
        assert str(home.main) not in answer.text
    assert (await home.get("acme", "/console/config/diff")).status_code == 403
    assert (await home.post("acme", "/console/config/reload")).status_code == 403
    assert (await home.post("watcher", "/console/config/reload")).status_code == 403
    assert home.deeds == []


async def test_a_tenant_with_a_bad_file_sees_its_own_mistake(home: House) -> None:
    ruin(home.main.parent / "tenants" / "acme" / "tenant.yaml", "nonsense: 1\n")
    told = await home.desk.reload()
    assert told.applied
    mine = Read((await home.get("acme", "/console/config")).text)
    assert "goes on with its last good file" in mine.text
    assert "tenant.yaml:" in mine.text
    theirs = Read((await home.get("beta", "/console/config")).text)
    assert "tenant.yaml" not in theirs.text
    assert "acme" not in theirs.text
    every = Read((await home.get("operator", "/console/config")).text)
    assert "tenant.yaml:" in every.text


async def test_orders_are_shown_to_whom_they_concern_and_cancelled_by_them(home: House) -> None:
    by = TOKENS["token-operator"]
    for order in (
        Order(Whom.ALL, code=503, until=NOW + 60),
        Order(Whom.TENANT, "beta", code=480),
        Order(Whom.TENANT, "acme", code=480),
        Order(Whom.NUMBER, "+19990001122", paused=True),
    ):
        await home.desk.give(order, by)
    for order in (
        Order(Whom.NUMBER, DIALED, paused=True),
        Order(Whom.AGENT, "acme/store", code=486),
    ):
        await home.desk.give(order, TOKENS["token-acme-control"])
    every = await home.get("operator", "/console/config")
    assert Read(every.text).faults() == []
    assert every.text.count("/console/config/orders/cancel") == 6
    mine = await home.get("acme-control", "/console/config")
    assert mine.text.count("/console/config/orders/cancel") == 2
    assert "all calls" in mine.text
    assert "tenant beta" not in mine.text
    assert "tenant acme" in mine.text
    assert "+19990001122" not in mine.text
    assert (await home.get("acme-read", "/console/config")).text.count("orders/cancel") == 0
    path = "/console/config/orders/cancel"
    for fields in (
        {"scope": "all", "name": "", "paused": "no"},
        {"scope": "tenant", "name": "beta", "paused": "no"},
        {"scope": "tenant", "name": "acme", "paused": "no"},
        {"scope": "number", "name": DIALED, "paused": "no"},
        {"scope": "number", "name": "+19990001122", "paused": "yes"},
    ):
        assert (await home.post("acme", path, **fields)).status_code == 404, fields
    assert len(await home.desk.orders()) == 6
    done = await home.post("acme-control", path, scope="number", name=DIALED, paused="yes")
    assert done.status_code == 303
    gone = await home.post("operator", path, scope="number", name="+19990001122", paused="yes")
    assert gone.status_code == 303
    left = {(one.scope.value, one.name) for one in await home.desk.orders()}
    assert left == {("all", ""), ("tenant", "beta"), ("tenant", "acme"), ("agent", "acme/store")}
    assert [one.action for one in home.deeds] == ["numbers.resume", "numbers.resume"]


async def test_the_audit_shows_a_tenant_its_own_lines(home: House) -> None:
    write = home.backend.audit.write
    by = TOKENS["token-operator"]
    await write(by, Deed("calls.transcript", "rtc_1", TenantName("acme"), None, "<b>ticket</b>"))
    await write(by, Deed("calls.transcript", "rtc_2", TenantName("beta"), {"a": 1}, "other"))
    await write(by, Deed("config.reload", "config", None))
    mine = await home.get("acme-read", "/console/config/audit")
    page = Read(mine.text)
    assert page.faults() == []
    assert "calls.transcript rtc_1 acme" in page.text
    assert "&lt;b&gt;ticket" in mine.text
    assert "rtc_2" not in mine.text
    assert "config.reload" not in mine.text
    asked = await home.get("acme", "/console/config/audit", tenant="beta")
    assert "rtc_2" not in asked.text
    every = Read((await home.get("operator", "/console/config/audit")).text)
    assert "config.reload" in every.text
    assert "rtc_2" in every.text
    one = await home.get("operator", "/console/config/audit", tenant="beta", action="none")
    assert "Nothing yet" in one.text


async def test_pages_of_the_audit_follow_each_other(home: House) -> None:
    by = TOKENS["token-acme"]
    for at in range(120):
        await home.backend.audit.write(by, Deed("calls.say", f"rtc_{at:03}", TenantName("acme")))
    seen: list[str] = []
    path: str | None = "/console/config/audit?action=calls.say"
    while path is not None:
        page = Read((await home.get("acme", path)).text)
        seen += [one.text for one in page.all("span") if one.text.startswith("rtc_")]
        older = [one for one in page.all("a") if one.attributes.get("rel") == "next"]
        path = older[0].attributes["href"] if older else None
    assert seen == [f"rtc_{at:03}" for at in reversed(range(120))]
    assert (await home.get("acme", "/console/config/audit", before="x")).status_code == 200


async def test_tokens_are_listed_and_revoked_by_their_admins(home: House) -> None:
    made = {}
    for name, tenant in (("Ann", "acme"), ("<i>Bea</i>", "beta"), ("Olga", None)):
        whose = None if tenant is None else TenantName(tenant)
        wanted = tokens.Wanted(name, whose, Scope.READ, None)
        made[name] = await tokens.create(home.engine, wanted, HANS, at=NOW)
    mine = await home.get("acme", "/console/config/tokens")
    assert Read(mine.text).faults() == []
    assert "Ann" in mine.text
    assert "Bea" not in mine.text
    assert made["Ann"].text not in mine.text
    every = await home.get("operator", "/console/config/tokens")
    assert "&lt;i&gt;Bea" in every.text
    assert (await home.get("acme-control", "/console/config/tokens")).status_code == 403
    path = "/console/config/tokens/revoke"
    for name in ("<i>Bea</i>", "Olga"):
        answer = await home.post("acme", path, token=made[name].token.id)
        assert answer.status_code == 404
    refused = await home.post("acme-control", path, token=made["Ann"].token.id)
    assert refused.status_code == 403
    assert len(await tokens.listed(home.engine)) == 3
    done = await home.post("acme", path, token=made["Ann"].token.id)
    assert (done.status_code, done.headers["location"]) == (303, "/console/config/tokens")
    assert {one.name for one in await tokens.listed(home.engine)} == {"<i>Bea</i>", "Olga"}
    assert (await home.post("acme", path, token="\x00nobody")).status_code == 404


@pytest.mark.parametrize("path", ["reload", "orders/cancel", "tokens/revoke"])
async def test_a_form_without_the_sessions_token_is_refused(home: House, path: str) -> None:
    answer = await home.post("operator", f"/console/config/{path}", csrf="x")
    assert answer.status_code == 403
