"""Nobody gets at what is another tenant's, by whatever route there is: the description of the API
says which there are, so a new one is tried here without anybody's thinking of it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import insert

from sipagent.model.access import Scope
from sipagent.store import tables
from sipagent.store.tokens import presented
from tests.api.v1.standing import ACME_NUMBER, BETA_NUMBER, Standing
from tests.store.kept import a_call, a_live, a_turn, put

OTHERS = {"call": "rtc_beta", "number": BETA_NUMBER, "agent": "billing", "token": ""}
"""What is beta's, by the names of parameters of paths. A new name must be taught here."""

NOBODYS = {
    "call": "rtc_nobody",
    "number": "+17134810199",
    "agent": "nobody",
    "token": "nobodysown",
}
"""What does not exist."""

READ_BY_POST = {"explain"}
"""What is asked by POST and changes nothing."""

STATES = 1000


@dataclass(frozen=True)
class Operation:
    """One method of one path, as it is described."""

    method: str
    path: str
    described: dict[str, Any]
    schemas: dict[str, Any]

    @property
    def id(self) -> str:
        named: str = self.described["operationId"]
        return named

    def parameters(self, place: str) -> dict[str, dict[str, Any]]:
        found = self.described.get("parameters", ())
        return {one["name"]: one for one in found if one["in"] == place}

    def query(self) -> dict[str, str]:
        """Whatever must stand behind the question mark."""
        return {
            name: str(_example(one["schema"], self.schemas))
            for name, one in self.parameters("query").items()
            if one.get("required")
        }

    def body(self) -> Any:
        """A body as it is described; None where there is none."""
        wanted = self.described.get("requestBody")
        if wanted is None:
            return None
        return _example(wanted["content"]["application/json"]["schema"], self.schemas)

    def has(self, name: str) -> bool:
        """Whether the body has a field of this name."""
        body = self.described.get("requestBody", {}).get("content", {})
        return name in _fields(body.get("application/json", {}).get("schema", {}), self.schemas)

    async def ask(
        self, client: httpx.AsyncClient, named: dict[str, str], **changes: Any
    ) -> httpx.Response:
        query = self.query() | changes.get("query", {})
        body = self.body()
        if "body" in changes:
            body = (body or {}) | changes["body"]
        path = self.path.format_map({name: one.replace("+", "%2B") for name, one in named.items()})
        return await client.request(self.method, path, params=query, json=body)


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _fields(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    found: dict[str, Any] = dict(schema.get("properties", {}))
    for one in schema.get("anyOf", ()):
        found |= _fields(one, schemas)
    return found


def _example(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """A value that the schema describes: its example, or whatever is required of it."""
    if "$ref" in schema:
        return _example(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if schema.get("examples"):
        return schema["examples"][0]
    if "anyOf" in schema:
        return _example(schema["anyOf"][0], schemas)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            required = schema.get("required", ())
            return {name: _example(schema["properties"][name], schemas) for name in required}
        case "array":
            return []
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case "null":
            return None
    return "word"


def operations(stand: Standing) -> Iterator[Operation]:
    description = stand.app.openapi()
    schemas = description["components"]["schemas"]
    for path, methods in description["paths"].items():
        for method, described in methods.items():
            yield Operation(method.upper(), path, described, schemas)


@pytest.fixture
async def full(stand: Standing) -> Standing:
    """Both tenants have calls, of which some are held."""
    await put(
        stand.kept.opened,
        a_call("rtc_acme"),
        a_live("rtc_acme_live", at=1),
        a_call("rtc_beta_over", tenant="beta", dialed=BETA_NUMBER),
        a_live("rtc_beta", at=2, tenant="beta", dialed=BETA_NUMBER, agent="billing"),
    )
    return stand


async def test_whatever_is_anothers_is_answered_as_what_does_not_exist(full: Standing) -> None:
    made = presented(await full.token("beta"))
    assert made is not None
    others = OTHERS | {"token": made.id}
    tried = 0
    async with full.client("acme") as acme:
        for operation in operations(full):
            names = operation.parameters("path").keys()
            assert names <= OTHERS.keys(), f"teach the test what {names} of another tenant are"
            if not names:
                continue
            theirs = await operation.ask(acme, others)
            nobodys = await operation.ask(acme, NOBODYS)
            assert theirs.status_code == nobodys.status_code == 404, operation.id
            assert theirs.json() == nobodys.json(), operation.id
            assert "beta" not in theirs.text
            tried += 1
    assert tried >= 15
    assert not full.desk.asked, "nobody acted on another's call"
    assert not list(await full.backend.config.orders())
    done = [one.deed.action for one in await full.audited() if not one.by.operator]
    assert done == [], "what is not there leaves nothing behind"


async def test_whoever_names_another_tenant_is_told_that_there_is_none(full: Standing) -> None:
    tried = 0
    async with full.client("acme") as acme:
        for operation in operations(full):
            named = {"call": "rtc_acme_live", "number": ACME_NUMBER, "agent": "store"}
            for tenant in ("beta", "nobody"):
                if "tenant" in operation.parameters("query"):
                    answer = await operation.ask(acme, named, query={"tenant": tenant})
                elif operation.has("tenant"):
                    answer = await operation.ask(acme, named, body={"tenant": tenant})
                else:
                    continue
                assert answer.status_code == 404, (operation.id, answer.text)
                assert "beta" not in answer.text
                tried += 1
    assert tried >= 16


async def test_without_a_token_there_is_nothing(full: Standing) -> None:
    transport = httpx.ASGITransport(full.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://control") as nobody:
        for operation in operations(full):
            answer = await operation.ask(nobody, OTHERS | {"token": "nobodysown"})
            assert answer.status_code == 401, operation.id
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_whoever_may_read_changes_nothing(full: Standing) -> None:
    own = {"call": "rtc_acme_live", "number": ACME_NUMBER, "agent": "store", "token": "nobodysown"}
    async with full.client("acme", Scope.READ) as reader:
        for operation in operations(full):
            if operation.method != "GET" and operation.id not in READ_BY_POST:
                answer = await operation.ask(reader, own)
                assert (answer.status_code, answer.json()["code"]) == (403, "scope"), operation.id
    assert not full.desk.asked


async def test_every_answer_is_described_and_kept_by_nobody(full: Standing) -> None:
    own = {"call": "rtc_acme", "number": ACME_NUMBER, "agent": "store", "token": "nobodysown"}
    async with full.client("acme") as acme:
        for operation in operations(full):
            if operation.method == "GET" and "events" not in operation.path:
                answer = await operation.ask(acme, own)
                assert str(answer.status_code) in operation.described["responses"]
                assert answer.headers["Cache-Control"] == "no-store"
            assert operation.described["summary"], operation.id
            assert operation.described["tags"], operation.id


async def test_lists_never_mix_tenants_in_random_states(stand: Standing) -> None:
    """Each tenant's things have its name in them; no answer to another ever has."""
    chance = random.Random(7)
    mine: dict[str, set[str]] = {"acme": set(), "beta": set()}
    rows: list[dict[str, Any]] = []
    async with stand.client("acme") as acme, stand.client("beta") as beta:
        clients = {"acme": acme, "beta": beta}
        for state in range(STATES):
            tenant = chance.choice(("acme", "beta"))
            make = chance.choice((a_call, a_live))
            number = {"acme": ACME_NUMBER, "beta": BETA_NUMBER}[tenant]
            name = f"rtc_{tenant}_{state}"
            row = make(name, at=state, tenant=tenant, dialed=number, agent=f"{tenant}s")
            rows.append(row)
            mine[tenant].add(name)
            words = a_turn(name, text=f"said to {tenant}", tenant=tenant)
            async with stand.kept.opened.begin() as connection:
                await connection.execute(insert(tables.calls), [row])
                await connection.execute(insert(tables.turns), [words])
            asker, other = chance.choice((("acme", "beta"), ("beta", "acme")))
            path = chance.choice(LISTS)
            answer = await clients[asker].get(path)
            assert answer.status_code == 200, (path, answer.text)
            assert other not in answer.text.replace(str(stand.folder), ""), path
        for tenant, client in clients.items():
            assert await _all_calls(client) == mine[tenant]


LISTS = (
    "/api/v1/calls?limit=200",
    "/api/v1/calls?live=true",
    "/api/v1/calls?outcome=completed&limit=20",
    f"/api/v1/calls?since={'2026-09-22T00:00:00Z'}&trunk=twilio-us",
    "/api/v1/calls?caller=%2B14065550100&numbers=full",
    f"/api/v1/calls?dialed=%2B{BETA_NUMBER[1:]}",
    f"/api/v1/calls?dialed=%2B{ACME_NUMBER[1:]}",
    "/api/v1/calls/search?text=said",
    "/api/v1/numbers",
    "/api/v1/agents",
    "/api/v1/unrouted",
    "/api/v1/usage?from=2026-09-20&to=2026-09-25",
    "/api/v1/usage/latency?from=2026-09-20&to=2026-09-25",
    "/api/v1/audit",
    "/api/v1/config",
    "/api/v1/me",
)


async def _all_calls(client: httpx.AsyncClient) -> set[str]:
    found: list[str] = []
    query: dict[str, Any] = {"limit": 97}
    while True:
        page = (await client.get("/api/v1/calls", params=query)).json()
        found += [call["call_id"] for call in page["calls"]]
        if page["next"] is None:
            assert len(found) == len(set(found))
            return set(found)
        query["after"] = page["next"]
