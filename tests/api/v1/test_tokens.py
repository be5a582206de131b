"""Tokens by the control API: whose they are, and that nobody makes one with more than their own."""

import pytest

from sipagent.model.access import Scope
from sipagent.store import tokens
from sipagent.store.audit import Author
from tests.api.v1.standing import ACME, NOW, Standing

PATH = "/api/v1/tokens"
DAY = 86_400.0


async def test_a_tenants_admin_makes_and_uses_and_revokes_a_token(stands: Standing) -> None:
    async with stands.client("acme") as admin:
        made = (await admin.post(PATH, json={"name": "Anna", "scope": "control"})).json()
        assert (made["tenant"], made["scope"]) == ("acme", "control")
        theirs = {"Authorization": f"Bearer {made['token']}"}
        assert (await admin.get("/api/v1/calls", headers=theirs)).status_code == 200
        assert (await admin.get(PATH, headers=theirs)).status_code == 403
        listed = await admin.get(PATH)
        assert {one["name"] for one in listed.json()["tokens"]} == {"acme admin", "Anna"}
        assert made["token"].split("_", 2)[2] not in listed.text
        gone = await admin.delete(f"{PATH}/{made['id']}")
        assert gone.json()["revoked_at"] is not None
        still = [one["name"] for one in (await admin.get(PATH)).json()["tokens"]]
        assert still == ["acme admin"]
        every = (await admin.get(PATH, params={"revoked": "true"})).json()["tokens"]
        assert len(every) == 2

    told = await stands.audited("tokens.create", "tokens.revoke")
    assert [(one.by.name, one.deed.action) for one in told] == [
        ("root@here", "tokens.create"),
        ("acme admin", "tokens.create"),
        ("acme admin", "tokens.revoke"),
    ]


async def test_a_tenants_admin_has_to_do_with_its_own_tokens_alone(stand: Standing) -> None:
    await stand.token("beta")
    async with stand.client() as operator:
        every = (await operator.get(PATH)).json()["tokens"]
        others = [one["id"] for one in every if one["tenant"] != "acme"]
    assert len(others) == 2
    async with stand.client("acme") as admin:
        for token in (*others, "nosuchtok2"):
            assert (await admin.delete(f"{PATH}/{token}")).status_code == 404
        assert (await admin.get(PATH, params={"tenant": "beta"})).status_code == 404
        wanted = {"name": "x", "tenant": "beta"}
        assert (await admin.post(PATH, json=wanted)).status_code == 404
        refused = await admin.post(PATH, json={"name": "x", "operator": True})
        assert (refused.status_code, refused.json()["code"]) == (403, "more-than-own")


@pytest.mark.parametrize("scope", [Scope.READ, Scope.CONTROL])
async def test_only_an_admin_has_to_do_with_tokens(stand: Standing, scope: Scope) -> None:
    for tenant in ("acme", None):
        async with stand.client(tenant, scope) as client:
            assert (await client.get(PATH)).status_code == 403
            assert (await client.post(PATH, json={"name": "x"})).status_code == 403
            assert (await client.delete(f"{PATH}/nosuchtok2")).status_code == 403


async def test_the_operator_says_for_whom_a_token_is(stand: Standing) -> None:
    async with stand.client() as operator:
        for wanted, status in (
            ({}, 422),
            ({"tenant": "acme", "operator": True}, 422),
            ({"tenant": "nobody"}, 404),
            ({"tenant": "acme"}, 201),
            ({"operator": True}, 201),
        ):
            answer = await operator.post(PATH, json={"name": "x", **wanted})
            assert answer.status_code == status, wanted


async def test_no_token_outlasts_its_makers(stand: Standing) -> None:
    wanted = tokens.Wanted("Anna", ACME, Scope.ADMIN, NOW + 10 * DAY)
    anna = await tokens.create(stand.kept.opened, wanted, Author("me"), at=NOW)
    async with stand.client() as client:
        theirs = {"Authorization": f"Bearer {anna.text}"}
        for expires, status in (("11d", 403), ("never", 403), ("10d", 201), (None, 201)):
            body = {"name": "x", **({} if expires is None else {"expires_in": expires})}
            answer = await client.post(PATH, json=body, headers=theirs)
            assert answer.status_code == status, expires
        listed = await tokens.listed(stand.kept.opened, tenant=ACME)
        assert {one.expires_at for one in listed} == {NOW + 10 * DAY}
        mine = await client.post(PATH, json={"name": "x", "operator": True})
        assert mine.json()["expires_at"] is not None
        mine = await client.post(PATH, json={"name": "x", "operator": True, "expires_in": "never"})
        assert mine.json()["expires_at"] is None


async def test_a_token_is_kept_by_nobody_on_its_way(stand: Standing) -> None:
    async with stand.client("acme") as admin:
        answer = await admin.post(PATH, json={"name": "x"}, headers={"Idempotency-Key": "one"})
        again = await admin.post(PATH, json={"name": "x"}, headers={"Idempotency-Key": "one"})
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["token"] != again.json()["token"]


async def test_without_records_no_token_is_made(stand: Standing) -> None:
    async with stand.client("acme") as admin:
        await admin.get(PATH)
        with stand.records_away():
            assert (await admin.post(PATH, json={"name": "x"})).status_code == 503
            assert (await admin.get(PATH)).status_code == 503
