"""Numbers: whose each is, what is ordered of it, and those that lead nowhere."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sipagent.config.reload.orders import OrderFile
from sipagent.errors import StoreError
from sipagent.model.access import Scope
from sipagent.routing import Order
from sipagent.routing import Scope as Whom
from tests.api.v1.standing import ACME, ACME_NUMBER, BETA_NUMBER, MAIN, NOW, Standing
from tests.store.kept import a_call, put, rejected

PATH = f"/api/v1/numbers/%2B{ACME_NUMBER[1:]}"


async def test_numbers_are_told_with_their_rules_agents_and_last_calls(stands: Standing) -> None:
    await put(
        stands.kept.opened,
        a_call("rtc_1"),
        a_call("rtc_2", at=5, dialed_source="diversion"),
        a_call("rtc_3", at=9, tenant="beta"),
    )
    async with stands.client("acme", Scope.READ) as acme:
        told = (await acme.get("/api/v1/numbers")).json()["numbers"]
    assert [one["number"] for one in told] == [ACME_NUMBER, "+17134810133"]
    first = told[0]
    assert (first["calls"], first["agents"], first["order"]) == ("agent store", ["store"], None)
    assert (first["last_call"]["call_id"], first["last_call"]["header"]) == ("rtc_2", "diversion")
    assert told[1]["last_call"] is None


async def test_pages_of_numbers_follow_each_other(stand: Standing) -> None:
    async with stand.client() as operator:
        first = (await operator.get("/api/v1/numbers?limit=2")).json()
        after = first["next"].replace("+", "%2B")
        rest = (await operator.get(f"/api/v1/numbers?limit=2&after={after}")).json()
    found = [one["number"] for one in (*first["numbers"], *rest["numbers"])]
    assert found == [ACME_NUMBER, BETA_NUMBER, "+17134810133"]
    assert rest["next"] is None


@pytest.mark.parametrize("spelling", ["%2B17134810111", "%2B1%20713%20481%200111"])
async def test_a_number_is_found_in_any_spelling(stand: Standing, spelling: str) -> None:
    async with stand.client("acme", Scope.READ) as acme:
        answer = await acme.get(f"/api/v1/numbers/{spelling}")
    assert answer.json()["number"] == ACME_NUMBER


async def test_a_pause_holds_at_once_until_it_is_taken_back(stand: Standing) -> None:
    async with stand.client("acme", Scope.CONTROL) as acme:
        paused = (await acme.post(f"{PATH}/pause", json={"code": 480, "for": "30m"})).json()
        assert paused["order"] == {
            "kind": "paused",
            "scope": "number",
            "code": 480,
            "to": None,
            "until": "2026-09-23T14:23:20.000+00:00",
            "live": False,
            "by": "tenant",
        }
        (order,) = _controls(stand)
        paused_by_it = Order(Whom.NUMBER, ACME_NUMBER, code=480, until=NOW + 1800, paused=True)
        assert order == replace(paused_by_it, by_tenant=True, tenant=ACME)
        resumed = (await acme.post(f"{PATH}/resume")).json()
    assert resumed["order"] is None
    assert _controls(stand) == ()
    done = await stand.audited("numbers.pause", "numbers.resume")
    assert [(one.deed.action, one.deed.target) for one in done] == [
        ("numbers.pause", ACME_NUMBER),
        ("numbers.resume", ACME_NUMBER),
    ]
    told = (stand.folder / "data" / "audit.jsonl").read_text().splitlines()
    assert all("acme control (token " in json.loads(line)["by"] for line in told)


async def test_a_diversion_goes_to_a_destination_of_the_tenants_or_to_its_fallback(
    stand: Standing,
) -> None:
    async with stand.client("acme", Scope.CONTROL) as acme:
        named = (await acme.post(f"{PATH}/divert", json={"to": "front_desk", "live": True})).json()
        assert (named["order"]["to"], named["order"]["live"]) == ("front_desk", True)
        assert (await acme.post(f"{PATH}/resume")).json()["order"] is None
        fallback = (await acme.post(f"{PATH}/divert")).json()
        assert (fallback["order"]["kind"], fallback["order"]["to"]) == ("diverted", "office")
        refused = await acme.post(f"{PATH}/divert", json={"to": "nowhere"})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"pointer": "#/to", "detail": "There is no such destination."}
    ]


@pytest.mark.parametrize(
    "order",
    [
        Order(Whom.TENANT, "acme", code=480),
        Order(Whom.NUMBER, ACME_NUMBER, code=480),
        Order(Whom.NUMBER, ACME_NUMBER, code=480, paused=True),
    ],
    ids=["of the tenant", "of the number", "its pause"],
)
async def test_a_tenant_lifts_no_order_of_the_operators(stand: Standing, order: Order) -> None:
    """Neither does it send elsewhere what the operator refuses."""
    store = OrderFile(stand.folder / "data")
    store.add(order, by="root@here", at=NOW)
    await stand.backend.config.reload()
    async with stand.client("acme", Scope.CONTROL) as acme:
        diverted = (await acme.post(f"{PATH}/divert", json={"to": "front_desk"})).json()
        told = (await acme.post(f"{PATH}/resume")).json()
    for one in (diverted, told):
        assert (one["order"]["scope"], one["order"]["code"]) == (order.scope.value, 480)
        assert one["order"]["by"] == "operator"
    assert _controls(stand) == (order,)
    async with stand.client(None, Scope.CONTROL) as operator:
        await operator.post(f"{PATH}/resume")
    assert _controls(stand) == (() if order.scope is Whom.NUMBER else (order,))


async def test_a_shortened_pause_does_not_come_back(stand: Standing) -> None:
    async with stand.client("acme", Scope.CONTROL) as acme:
        for duration in ("8h", "90m", "10m"):
            told = (await acme.post(f"{PATH}/pause", json={"for": duration})).json()
        assert told["order"]["until"] == "2026-09-23T14:03:20.000+00:00"
        assert len(_controls(stand)) == 1
        stand.clock.now = NOW + 1200
        assert (await acme.get(PATH)).json()["order"] is None


async def test_a_diversion_holds_again_after_a_pause(stand: Standing) -> None:
    async with stand.client("acme", Scope.CONTROL) as acme:
        await acme.post(f"{PATH}/divert", json={"to": "office"})
        paused = (await acme.post(f"{PATH}/pause", json={"for": "10m"})).json()
        stand.clock.now = NOW + 1200
        after = (await acme.get(PATH)).json()
    assert (paused["order"]["kind"], after["order"]["kind"]) == ("paused", "diverted")


async def test_too_many_orders_are_refused_until_some_are_taken_back(stand: Standing) -> None:
    store = OrderFile(stand.folder / "data")
    for code in range(480, 496):
        order = Order(Whom.NUMBER, ACME_NUMBER, code, by_tenant=True, tenant=ACME)
        store.add(order, by="ana", at=NOW)
    before = _controls(stand)
    async with stand.client("acme", Scope.CONTROL) as acme, stand.client() as operator:
        refused = await acme.post(f"{PATH}/pause")
        assert (refused.status_code, refused.json()["code"]) == (409, "too-many-orders")
        assert "resume" in refused.json()["detail"]
        assert "controls.json" not in refused.text
        assert _controls(stand) == before
        assert (await operator.post(f"{PATH}/pause")).status_code == 200
        assert (await operator.post(f"{PATH}/resume")).json()["order"] is None
        assert (await acme.post(f"{PATH}/pause")).status_code == 200


async def test_a_number_that_moves_leaves_the_orders_of_its_last_tenant_behind(
    stand: Standing,
) -> None:
    main = stand.folder / "agents.yaml"
    moved = MAIN.replace(f'"{ACME_NUMBER}": {{tenant: acme', f'"{ACME_NUMBER}": {{tenant: beta')
    async with stand.client("acme", Scope.CONTROL) as acme:
        await acme.post(f"{PATH}/pause")
    (old,) = _controls(stand)
    main.write_text(moved)
    assert (await stand.backend.config.reload()).applied
    async with stand.client("beta", Scope.CONTROL) as beta:
        assert (await beta.get(PATH)).json()["order"] is None
        listed = (await beta.get("/api/v1/numbers")).json()["numbers"]
        assert [one["order"] for one in listed] == [None, None]
        assert await stand.backend.config.orders() == ()
        explained = await beta.post("/api/v1/explain", json={"dialed": ACME_NUMBER})
        assert "paused" not in explained.text
        assert (await beta.post(f"{PATH}/pause")).json()["order"]["by"] == "tenant"
        assert len(_controls(stand)) == 2
        assert (await beta.post(f"{PATH}/resume")).json()["order"] is None
    assert _controls(stand) == (old,)
    async with stand.client() as operator:
        await operator.post(f"{PATH}/resume")
    assert _controls(stand) == ()


async def test_orders_that_cannot_be_written_are_told_and_not_in_force(
    stand: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreError("controls.json", "cannot be written: the disk is full")

    monkeypatch.setattr(OrderFile, "add", full)
    async with stand.client("acme", Scope.CONTROL) as acme:
        answer = await acme.post(f"{PATH}/pause")
        assert (answer.status_code, answer.json()["code"]) == (503, "orders-away")
        assert "controls.json" not in answer.text
        assert (await acme.get(PATH)).json()["order"] is None


async def test_unrouted_numbers_come_with_their_lines_for_whoever_may_see_them(
    stands: Standing,
) -> None:
    await put(
        stands.kept.opened,
        rejected("rtc_1", dialed="+17134810199"),
        rejected("rtc_2", at=5, dialed="+17134810199"),
        rejected("rtc_3", at=9, dialed=None),
    )
    async with stands.client() as operator, stands.client("acme") as acme:
        masked = await operator.get("/api/v1/unrouted")
        whole = (await operator.get("/api/v1/unrouted?numbers=full")).json()["unrouted"]
        assert (await acme.get("/api/v1/unrouted")).json()["unrouted"] == []
    assert "+17134810199" not in masked.text
    assert [(one["dialed"], one["calls"], one["line"]) for one in whole] == [
        ("+17134810199", 2, '"+17134810199": AGENT'),
        (None, 1, None),
    ]


def _controls(stand: Standing) -> tuple[Order, ...]:
    return OrderFile(Path(stand.folder) / "data").read().orders


@pytest.mark.parametrize(
    ("asked", "tenant"), [("%2B1713482*", "acme"), ("default", "beta"), ("%2B17134820000", None)]
)
async def test_prefixes_and_the_default_are_lines_of_their_own(
    stand: Standing, asked: str, tenant: str | None
) -> None:
    more = """\
  "+1713482*": {tenant: acme, agent: store}
  default: {tenant: beta, agent: store}
"""
    (stand.folder / "agents.yaml").write_text(MAIN + more)
    assert (await stand.backend.config.reload()).applied
    async with stand.client("acme") as acme, stand.client("beta") as beta:
        for name, client in (("acme", acme), ("beta", beta)):
            answer = await client.get(f"/api/v1/numbers/{asked}")
            assert answer.status_code == (200 if name == tenant else 404)
