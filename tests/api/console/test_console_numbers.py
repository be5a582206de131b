"""*Numbers* shows whose each number is, says who would answer, and has the red button."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sipagent.model import Reason, TenantName
from sipagent.routing import Order, Scope
from sipagent.store.audit import AuditFilter, lines
from tests.api.console.house import NOW, TOKENS, House, Read, house
from tests.store.kept import BEGAN, CALLER, DIALED, HOSTILE, a_call, put, rejected

BETAS = "+17134810199"
NOWHERE = "+442079460018"


@pytest.fixture
async def home(sqlite_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with house(sqlite_url, tmp_path) as made:
        yield made


async def in_force(home: House) -> list[Order]:
    return list(await home.backend.config.orders())


async def test_the_directory_says_what_happens_to_each_numbers_calls(home: House) -> None:
    await put(
        home.engine,
        a_call("rtc_1", at=0),
        a_call("rtc_2", at=5, dialed_source="x-number"),
        a_call("rtc_3", at=9, tenant="beta"),
    )
    answer = await home.get("acme-control", "/console/numbers")
    page = Read(answer.text)
    assert page.faults() == []
    assert DIALED in page.text
    assert "when hours: weekdays: agent store, 25% store_next" in page.text
    assert "+1713482*" in page.text
    assert "twilio-us" in page.text
    assert BETAS not in answer.text
    assert "x-number" in page.text
    calls = [one.attributes["href"] for one in page.all("a")]
    assert "/console/calls/rtc_2" in calls
    assert "/console/calls/rtc_3" not in calls


async def test_an_operator_sees_all_numbers_or_those_of_one_tenant(home: House) -> None:
    every = Read((await home.get("operator", "/console/numbers")).text)
    assert DIALED in every.text
    assert BETAS in every.text
    assert every.faults() == []
    one = Read((await home.get("operator", "/console/numbers", tenant="beta")).text)
    assert DIALED not in one.text
    assert BETAS in one.text
    found = Read((await home.get("operator", "/console/numbers", q="0122")).text)
    assert "+17134810122" in found.text
    assert BETAS not in found.text
    trunk = Read((await home.get("operator", "/console/numbers", q="TWILIO")).text)
    assert "+17134810122" in trunk.text
    assert BETAS not in trunk.text


async def test_whoever_may_not_steer_has_no_buttons(home: House) -> None:
    answer = await home.get("acme-read", "/console/numbers")
    assert "/console/numbers/pause" not in answer.text
    assert "/console/numbers/divert" not in answer.text
    for path in ("pause", "resume", "divert"):
        refused = await home.post("acme-read", f"/console/numbers/{path}", number=DIALED)
        assert refused.status_code == 403
    assert await in_force(home) == []


async def test_a_number_is_paused_and_resumed(home: House) -> None:
    paused = await home.post("acme", "/console/numbers/pause", number=DIALED, **{"for": "3600"})
    assert (paused.status_code, paused.headers["location"]) == (303, "/console/numbers")
    assert await in_force(home) == [
        Order(
            Scope.NUMBER,
            DIALED,
            until=NOW + 3600,
            paused=True,
            by_tenant=True,
            tenant=TenantName("acme"),
        ),
    ]
    page = Read((await home.get("acme", "/console/numbers")).text)
    assert "paused until" in page.text
    assert page.faults() == []
    resumed = await home.post("acme", "/console/numbers/resume", number="1 (713) 481-0111")
    assert resumed.status_code == 303
    assert await in_force(home) == []
    again = await home.post("acme", "/console/numbers/resume", number=DIALED)
    assert again.status_code == 409
    told = await lines(home.engine, AuditFilter())
    assert [(one.deed.action, one.deed.target, one.deed.tenant) for one in told] == [
        ("numbers.resume", DIALED, "acme"),
        ("numbers.pause", DIALED, "acme"),
    ]


async def test_a_number_is_diverted_to_its_tenants_destination(home: House) -> None:
    fields = {"scope": "number", "name": DIALED, "to": "call_centre", "for": "", "live": "yes"}
    assert (await home.post("acme-control", "/console/numbers/divert", **fields)).status_code == 303
    (order,) = await in_force(home)
    assert (order.to, order.until, order.live) == ("call_centre", None, NOW)
    page = Read((await home.get("acme", "/console/numbers")).text)
    assert "diverted to call_centre, held calls too" in page.text
    assert (await home.post("acme", "/console/numbers/resume", number=DIALED)).status_code == 303
    assert await in_force(home) == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"scope": "number", "name": DIALED, "to": "nowhere", "for": ""}, 422),
        ({"scope": "number", "name": DIALED, "to": "call_centre", "for": "77"}, 422),
        ({"scope": "number", "name": BETAS, "to": "call_centre", "for": ""}, 404),
        ({"scope": "number", "name": NOWHERE, "to": "call_centre", "for": ""}, 404),
        ({"scope": "tenant", "name": "beta", "to": "call_centre", "for": ""}, 404),
        ({"scope": "tenant", "name": "nobody", "to": "call_centre", "for": ""}, 404),
        ({"scope": "agent", "name": "beta/night", "to": "call_centre", "for": ""}, 404),
        ({"scope": "agent", "name": "acme/nobody", "to": "call_centre", "for": ""}, 404),
        ({"scope": "all", "name": "", "to": "call_centre", "for": "", "sure": "yes"}, 404),
        ({"scope": "each", "name": "", "to": "call_centre", "for": ""}, 422),
        ({"scope": "number", "name": "\x00", "to": "call_centre", "for": ""}, 404),
    ],
    ids=str,
)
async def test_a_tenants_people_divert_nothing_that_is_not_theirs(
    home: House, fields: dict[str, str], status: int
) -> None:
    answer = await home.post("acme", "/console/numbers/divert", **fields)
    assert answer.status_code == status
    assert await in_force(home) == []
    assert home.deeds == []


@pytest.mark.parametrize(("scope", "name"), [("tenant", "acme"), ("agent", "acme/store")], ids=str)
async def test_more_than_a_number_is_diverted(home: House, scope: str, name: str) -> None:
    fields = {"scope": scope, "name": name, "to": "", "for": "900"}
    assert (await home.post("acme", "/console/numbers/divert", **fields)).status_code == 303
    (order,) = await in_force(home)
    assert (order.scope, order.name, order.to) == (scope, name, "call_centre")
    assert home.deeds[-1].action == "orders.divert"


async def test_all_calls_are_diverted_only_when_that_is_meant(home: House) -> None:
    home.main.write_text(home.main.read_text() + 'destinations:\n  desk: {to: "+1 800 555 0100"}\n')
    assert (await home.desk.reload()).applied
    fields = {"scope": "all", "name": "", "to": "desk", "for": "900"}
    unsure = await home.post("operator", "/console/numbers/divert", **fields)
    assert unsure.status_code == 409
    assert await in_force(home) == []
    sure = await home.post("operator", "/console/numbers/divert", **fields, sure="yes")
    assert sure.status_code == 303
    (order,) = await in_force(home)
    assert (order.scope, order.to) == (Scope.ALL, "desk")
    page = Read((await home.get("beta", "/console/numbers")).text)
    assert "diverted to desk" in page.text
    watched = await home.post("watcher", "/console/numbers/divert", **fields, sure="yes")
    assert watched.status_code == 403


async def test_what_cannot_be_audited_is_not_done(home: House) -> None:
    home.backend.audit.broken = True  # type: ignore[attr-defined]  # the audit of tests
    answer = await home.post("acme", "/console/numbers/pause", number=DIALED, **{"for": ""})
    assert answer.status_code == 503
    assert await in_force(home) == []


async def test_orders_that_cannot_be_written_are_told(home: House, tmp_path: Path) -> None:
    (tmp_path / "data" / "orders").write_text("no folder")
    answer = await home.post("acme", "/console/numbers/pause", number=DIALED, **{"for": ""})
    assert answer.status_code == 503
    assert "Nothing was changed" in answer.text


@pytest.mark.parametrize("path", ["pause", "resume", "divert", "explain"])
async def test_a_form_without_the_sessions_token_is_refused(home: House, path: str) -> None:
    answer = await home.post("acme", f"/console/numbers/{path}", csrf="x", number=DIALED)
    assert answer.status_code == 403
    assert await in_force(home) == []


async def test_who_would_answer_is_told_with_every_rule(home: House) -> None:
    asked = {"dialed": DIALED, "caller": "+14065550100", "at": "2026-12-25T22:00"}
    answer = await home.post("acme-read", "/console/numbers/explain", **asked)
    page = Read(answer.text)
    assert answer.status_code == 200
    assert page.faults() == []
    assert "The call is refused with 603: rule." in page.text
    assert "rule 1: when hours: weekdays: agent store" in page.text
    assert "the caller is listed" in page.text
    assert "not reached" in page.text
    values = [one.attributes.get("value") for one in page.all("input")]
    assert "2026-12-25T22:00" in values
    open_ = await home.post(
        "acme-read", "/console/numbers/explain", dialed=DIALED, at="2026-12-23T10:00"
    )
    assert "The agent acme/store" in Read(open_.text).text


@pytest.mark.parametrize(
    "fields",
    [{"dialed": ""}, {"dialed": DIALED, "at": "soon"}, {"dialed": DIALED, "trunk": "nobody"}],
    ids=str,
)
async def test_what_cannot_be_asked_is_told(home: House, fields: dict[str, str]) -> None:
    answer = await home.post("acme", "/console/numbers/explain", **fields)
    assert answer.status_code == 422


async def test_another_tenants_number_and_none_are_the_same(home: House) -> None:
    asked = [
        await home.post("acme", "/console/numbers/explain", dialed=dialed, at="2026-12-23T10:00")
        for dialed in (BETAS, NOWHERE)
    ]
    texts = [
        one.text.replace(dialed, "N") for one, dialed in zip(asked, (BETAS, NOWHERE), strict=True)
    ]
    assert texts[0] == texts[1]
    assert "No number of yours" in texts[0]
    assert "night" not in texts[0]
    theirs = await home.post("operator", "/console/numbers/explain", dialed=BETAS)
    assert "night" in theirs.text


async def night_for_the_rest(home: House) -> None:
    """Calls of which no rule holds come to an agent of beta's, those of acme's number as well."""
    acme = home.main.parent / "tenants" / "acme" / "tenant.yaml"
    acme.write_text(acme.read_text().replace("    - {forward: call_centre}\n", ""))
    main = home.main.read_text().replace(
        "default: {reject: 404}", "default: {tenant: beta, agent: night}"
    )
    home.main.write_text(main + 'destinations:\n  desk: {to: "+1 800 555 0100"}\n')
    told = await home.desk.reload()
    assert told.applied, told.findings


async def test_what_default_says_is_the_operators(home: House) -> None:
    await night_for_the_rest(home)
    asked = {"dialed": DIALED, "at": "2026-12-25T22:00"}
    page = await home.post("acme", "/console/numbers/explain", **asked)
    assert "the operator says where such calls go" in page.text
    assert "rule 1: when hours: weekdays" in Read(page.text).text
    assert "night" not in page.text
    assert "beta" not in page.text
    every = await home.post("operator", "/console/numbers/explain", **asked)
    assert "The agent beta/night answers" in Read(every.text).text
    order = Order(Scope.AGENT, "beta/night", code=503)
    await home.desk.give(order, TOKENS["token-operator"])
    page = await home.post("acme", "/console/numbers/explain", **asked)
    assert "refused with 503" in Read(page.text).text
    assert "night" not in page.text, "an order for the agent that default leads to"
    assert "beta" not in page.text


async def test_numbers_that_lead_nowhere_come_with_the_line_to_paste(home: House) -> None:
    await put(
        home.engine,
        rejected("rtc_1", dialed=NOWHERE, at=0),
        rejected("rtc_2", dialed=NOWHERE, at=5),
        rejected("rtc_3", dialed=None, dialed_source=None),
        rejected("rtc_4", dialed="h:hidden"),
        rejected("rtc_5", Reason.RULE, dialed="+442079460019"),
        rejected("rtc_6", dialed="+442079460020", at=-8 * 86400),
    )
    masked = await home.get("operator", "/console/numbers")
    assert NOWHERE not in masked.text
    assert "stored hidden" in masked.text
    assert home.deeds == []
    whole = await home.get("operator", "/console/numbers", whole="yes")
    page = Read(whole.text)
    assert f'"{NOWHERE}": AGENT' in page.text
    (copied,) = [one for one in page.all("button") if "data-copy" in one.attributes]
    assert copied.attributes["data-copy"] == f'  "{NOWHERE}": AGENT'
    assert "+442079460019" not in whole.text
    assert "+442079460020" not in whole.text
    assert home.deeds[-1].action == "calls.numbers"
    assert (await home.get("watcher", "/console/numbers", whole="yes")).status_code == 403
    assert NOWHERE not in (await home.get("acme", "/console/numbers", whole="yes")).text


async def test_what_a_carrier_sent_is_text_in_the_page(home: House) -> None:
    mark = '"><script>alert(1)</script>'
    await put(
        home.engine,
        rejected("rtc_1", dialed=f"{mark}{HOSTILE}", dialed_source=mark),
        a_call("rtc_2", dialed_source=mark),
    )
    answer = await home.get("operator", "/console/numbers", whole="yes", q="")
    assert "<script>alert" not in answer.text
    assert "\x1b" not in answer.text
    asked = await home.post("operator", "/console/numbers/explain", dialed=mark, caller=mark)
    assert "<script>alert" not in asked.text


async def test_pages_of_a_directory_follow_each_other(home: House) -> None:
    numbers = "".join(
        f'  "+1 713 600 {at:04}": {{tenant: acme, agent: store, trunk: any}}\n' for at in range(120)
    )
    home.main.write_text(home.main.read_text().replace("  default:", f"{numbers}  default:"))
    told = await home.desk.reload()
    assert told.applied, told.findings
    seen: list[str] = []
    path: str | None = "/console/numbers?q=1713600"
    while path is not None:
        page = Read((await home.get("acme", path)).text)
        seen += [one.text.strip() for one in page.all("th") if one.attributes.get("scope") == "row"]
        after = [one for one in page.all("a") if one.attributes.get("rel") == "next"]
        path = after[0].attributes["href"] if after else None
    assert seen == [f"+1713600{at:04}" for at in range(120)]
    assert (await home.get("acme", "/console/numbers", page="9" * 8)).status_code == 200


async def test_no_page_shows_another_tenants_numbers_or_calls(home: House) -> None:
    chance = random.Random(11)
    numbers = {tenant: f"+4420794{at:05}" for at, tenant in enumerate(["beta", "default", "cafe"])}
    for at in range(60):
        tenant = chance.choice([*numbers])
        make = chance.choice([a_call, rejected])
        dialed = chance.choice([numbers[tenant], DIALED])
        await put(home.engine, make(f"rtc_{at}", tenant=tenant, dialed=dialed, at=at))
    for asked in ({}, {"tenant": "beta"}, {"q": "199"}, {"whole": "yes"}, {"page": "1"}):
        answer = await home.get("acme", "/console/numbers", **asked)
        assert BETAS not in answer.text
        assert "rtc_" not in answer.text
        assert all(number not in answer.text for number in numbers.values())
        assert CALLER not in answer.text
        assert BEGAN  # the calls are of the time that is shown


async def test_an_agent_that_has_others_calls_is_the_operators_to_divert(home: House) -> None:
    await night_for_the_rest(home)
    fields = {"scope": "agent", "name": "beta/night", "to": "desk", "for": ""}
    refused = await home.post("beta", "/console/numbers/divert", **fields)
    assert refused.status_code == 403
    assert await in_force(home) == []
    done = await home.post("operator", "/console/numbers/divert", **fields)
    assert done.status_code == 303
