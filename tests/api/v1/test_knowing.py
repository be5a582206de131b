"""Agents, explanations, the configuration, usage, the audit and the page of the API itself."""

import json
import re

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from sipagent.model.access import Principal, Scope
from sipagent.routing import Order
from sipagent.routing import Scope as Whom
from tests.api.v1.standing import ACME_NUMBER, BETA_NUMBER, MAIN, SECRET_WORDS, Standing
from tests.store.kept import a_call, a_live, failed, put


async def test_an_agent_is_told_without_its_texts(stand: Standing) -> None:
    async with stand.client("acme", Scope.READ) as acme:
        listed = (await acme.get("/api/v1/agents")).json()["agents"]
        answer = await acme.get("/api/v1/agents/store")
    assert [(one["name"], one["numbers"]) for one in listed] == [
        ("night", []),
        ("store", [ACME_NUMBER]),
    ]
    told = answer.json()
    assert (told["voice"], told["greets"]) == ("marin", True)
    assert [(tool["name"], tool["targets"]) for tool in told["tools"]] == [
        ("transfer", ["office"]),
        ("hang_up", []),
    ]
    assert told["session"]["audio"]["output"] == {"voice": "marin"}
    assert SECRET_WORDS not in answer.text
    assert "instructions" not in answer.text


async def test_an_agents_name_that_several_tenants_use_needs_the_tenants(stand: Standing) -> None:
    async with stand.client() as operator:
        several = await operator.get("/api/v1/agents/store")
        one = await operator.get("/api/v1/agents/store?tenant=beta")
    assert (several.status_code, several.json()["code"]) == (409, "ambiguous")
    assert one.json()["tenant"] == "beta"


async def test_it_is_said_who_would_answer_and_why(stand: Standing) -> None:
    async with stand.client("acme", Scope.READ) as acme:
        answer = await acme.post(
            "/api/v1/explain", json={"dialed": ACME_NUMBER, "at": "2026-12-25T10:00"}
        )
        others = await acme.post("/api/v1/explain", json={"dialed": BETA_NUMBER})
        nobodys = await acme.post("/api/v1/explain", json={"dialed": "+17134810199"})
    told = answer.json()
    assert (told["verdict"], told["tenant"], told["agent"]) == ("accept", "acme", "store")
    assert told["at"] == "2026-12-25T10:00:00+00:00"
    assert told["trace"][-1]["held"]
    assert others.json() == nobodys.json()
    assert others.status_code == 404


@pytest.mark.parametrize("ordered", [False, True])
async def test_what_default_says_is_the_operators(stand: Standing, ordered: bool) -> None:
    rules = "rules: [{when: {hours: night}, agent: store}]"
    number = f'  "{ACME_NUMBER}":\n    tenant: acme\n    {rules}\n'
    main = MAIN.replace(f'  "{ACME_NUMBER}": {{tenant: acme, agent: store}}\n', number)
    more = "  default: {tenant: beta, agent: billing}\nhours: {night: {mon: '00:00-00:01'}}\n"
    (stand.folder / "agents.yaml").write_text(main + more)
    async with stand.client() as operator, stand.client("acme", Scope.READ) as acme:
        assert (await operator.post("/api/v1/config/reload")).json()["applied"]
        if ordered:
            order = Order(Whom.AGENT, "beta/billing", code=503)
            by = Principal("tok1", "Anna", None, Scope.ADMIN)
            await stand.backend.config.give(order, by)
        whole = await operator.post("/api/v1/explain", json={"dialed": ACME_NUMBER})
        answer = await acme.post("/api/v1/explain", json={"dialed": ACME_NUMBER})
    assert "billing" in whole.text
    assert "rule 1: when hours: night" in answer.text
    assert "billing" not in answer.text
    assert "beta" not in answer.text
    assert answer.json()["verdict"] == ("reject" if ordered else "accept")


@pytest.mark.parametrize(
    "body",
    [
        {"dialed": ACME_NUMBER, "trunk": "nothing"},
        {"dialed": ACME_NUMBER, "trunk": "wavix"},
        {"dialed": ACME_NUMBER, "account": "nothing"},
        {"dialed": ACME_NUMBER, "at": "never"},
    ],
)
async def test_a_tenant_learns_of_no_trunk_or_account(stand: Standing, body: object) -> None:
    async with stand.client("acme", Scope.READ) as acme:
        answer = await acme.post("/api/v1/explain", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "unusable")
    assert "wavix" not in answer.text


async def test_the_operator_may_explain_any_number(stand: Standing) -> None:
    async with stand.client() as operator:
        unknown = await operator.post("/api/v1/explain", json={"dialed": "+17134810199"})
        by_trunk = await operator.post(
            "/api/v1/explain",
            json={
                "dialed": BETA_NUMBER,
                "trunk": "wavix",
                "headers": [{"name": "X-Thing", "value": "1"}],
            },
        )
    assert (unknown.json()["verdict"], unknown.json()["code"]) == ("reject", 404)
    assert (by_trunk.json()["tenant"], by_trunk.json()["trunk_proven"]) == ("beta", True)


async def test_a_reload_swaps_whole_or_says_where_it_is_wrong(stand: Standing) -> None:
    main = stand.folder / "agents.yaml"
    async with stand.client() as operator:
        before = (await operator.get("/api/v1/config")).json()
        main.write_text(MAIN.replace("reject: 486", "reject: 480"))
        ahead = (await operator.get("/api/v1/config/diff")).json()
        assert (ahead["applied"], ahead["changes"]) == (True, ["1 number changed: calls"])
        assert (await operator.get("/api/v1/config")).json() == before, "a diff changes nothing"
        done = (await operator.post("/api/v1/config/reload")).json()
        assert (done["applied"], done["changes"]) == (True, ["1 number changed: calls"])
        assert done["config_hash"] == ahead["config_hash"] != before["config_hash"]
        main.write_text(MAIN.replace("agent: store}", "agent: stor}"))
        ahead = (await operator.get("/api/v1/config/diff")).json()
        refused = (await operator.post("/api/v1/config/reload")).json()
        assert (refused["applied"], refused["config_hash"]) == (False, done["config_hash"])
        assert re.search(r"agents\.yaml:\d+:\d+: ", refused["findings"][0])
        assert ahead["findings"] == refused["findings"]
        told = (await operator.get("/api/v1/config")).json()
    assert (told["usable"], told["findings"]) == (False, refused["findings"])
    assert len(await stand.audited("config.reload")) == 2


async def test_a_tenant_is_told_of_its_own_files_only(stand: Standing) -> None:
    for tenant in ("acme", "beta"):
        path = stand.folder / "tenants" / tenant / "tenant.yaml"
        path.write_text(path.read_text().replace("voice: marin", "voice: {}"))
    async with stand.client() as operator, stand.client("acme") as acme:
        done = (await operator.post("/api/v1/config/reload")).json()
        assert done["applied"], "tenants whose files are wrong go on with their last ones"
        assert len(done["findings"]) == 2
        every = (await operator.get("/api/v1/config")).json()
        assert list(every["stale"]) == ["acme", "beta"]
        told = await acme.get("/api/v1/config")
        for method, path in (("POST", "reload"), ("GET", "diff")):
            answer = await acme.request(method, f"/api/v1/config/{path}")
            assert (answer.status_code, answer.json()["code"]) == (403, "operator-only")
    assert list(told.json()["stale"]) == ["acme"]
    assert "beta" not in told.text.replace(str(stand.folder), "")
    assert told.json()["file"] is None


async def test_usage_is_summed_by_tenant_and_day(stands: Standing) -> None:
    await put(
        stands.kept.opened,
        a_call("rtc_1"),
        failed("rtc_2", at=5),
        a_live("rtc_3", at=9),
        a_call("rtc_4", at=9, tenant="beta"),
    )
    days = "from=2026-09-22&to=2026-09-22"
    async with stands.client() as operator, stands.client("acme", Scope.READ) as acme:
        every = (await operator.get(f"/api/v1/usage?{days}")).json()["days"]
        (own,) = (await acme.get(f"/api/v1/usage?{days}")).json()["days"]
        waited = (await acme.get(f"/api/v1/usage/latency?{days}")).json()
    assert [(one["tenant"], one["calls"]) for one in every] == [("acme", 3), ("beta", 1)]
    assert own == every[0]
    assert own["outcomes"] == {
        "completed.line_closed": 1,
        "failed.provider_error": 1,
        "live": 1,
    }
    assert (own["cost"], own["complete"]) == (42_690, False)
    assert waited["answered"] == {"calls": 3, "p50": 1.0, "p90": 1.0, "p95": 1.0, "p99": 1.0}
    assert waited["first_sound"]["p50"] == 3.0


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("from=2026-09-23&to=2026-09-22", "?from"),
        ("from=2026-01-01&to=2026-09-22", "?from"),
        ("to=9999-12-31", "?to"),
        ("from=2026-9-1", "?from"),
    ],
)
async def test_days_that_cannot_be_summed_are_pointed_at(
    stand: Standing, query: str, pointer: str
) -> None:
    async with stand.client() as operator:
        answer = await operator.get(f"/api/v1/usage?{query}")
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


async def test_the_audit_is_read_page_by_page(stand: Standing) -> None:
    await put(stand.kept.opened, a_call("rtc_1"))
    async with stand.client("acme") as acme:
        for _ in range(3):
            await acme.get("/api/v1/calls/rtc_1/transcript")
        first = (await acme.get("/api/v1/audit?limit=2")).json()
        rest = (await acme.get(f"/api/v1/audit?limit=2&after={first['next']}")).json()
    actions = [one["action"] for one in (*first["lines"], *rest["lines"])]
    assert actions == ["calls.transcript"] * 3 + ["tokens.create"]
    assert rest["next"] is None
    assert len({one["hash"] for one in (*first["lines"], *rest["lines"])}) == 4


async def test_the_page_of_the_api_asks_nobody_for_anything(stand: Standing) -> None:
    async with stand.client() as anybody:
        page = await anybody.get("/docs")
        description = (await anybody.get("/openapi.json")).json()
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in page.headers["Content-Security-Policy"]
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page.text)
    assert "<script" not in page.text
    for methods in description["paths"].values():
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page.text


async def test_every_part_of_the_description_is_explained(stand: Standing) -> None:
    description = stand.app.openapi()
    for path, methods in description["paths"].items():
        for operation in methods.values():
            assert {"401", "403", "422", "503"} <= operation["responses"].keys(), path
            for parameter in operation.get("parameters", ()):
                assert parameter.get("description"), (path, parameter["name"])
    named = [one["operationId"] for it in description["paths"].values() for one in it.values()]
    assert len(named) == len(set(named))
    assert json.dumps(description)


async def test_no_address_is_told_to_a_tracer(
    stand: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    async with stand.client("acme") as acme:
        await acme.get("/api/v1/calls/search?text=refund&reason=x")
        await acme.get(f"/api/v1/numbers/%2B{ACME_NUMBER[1:]}")
    assert not spans.get_finished_spans(), "search words and numbers stand in addresses"
