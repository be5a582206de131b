"""What was, and what would be: History, Numbers, Usage and Config in a browser."""

import re

from playwright.sync_api import expect

from tests.browser.conftest import UNROUTED, History
from tests.browser.office import DENTAL, HOTEL, Office
from tests.browser.visiting import Visits


def test_history_finds_a_call_by_filters(visit: Visits, history: History) -> None:
    page = visit()
    page.goto("/console/history")
    page.get_by_label("Tenant").first.fill("bright")
    page.get_by_label("Agent").fill("dental")
    page.get_by_label("Caller").fill("+1 406 770 4205")
    page.get_by_role("button", name="Show").click()
    rows = page.locator("#calls tr")
    expect(rows.filter(has_text=history.bright)).to_be_visible()
    expect(page.locator("#calls")).not_to_contain_text(history.magnolia)
    rows.filter(has_text=history.bright).get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("to")
    expect(page.locator(".picture svg rect").first).to_be_attached()


def test_history_finds_a_call_by_its_words(visit: Visits, history: History) -> None:
    page = visit("magnolia")
    page.goto("/console/history")
    page.get_by_label("Words that were said").fill("caravan")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#hits")).to_contain_text("Where do I park my caravan?")
    page.locator("#hits").get_by_role("link").first.click()
    expect(page.locator("#lines")).to_contain_text("The valet takes it at the main door.")


def test_history_is_exported_as_it_is_filtered(visit: Visits, history: History) -> None:
    page = visit("magnolia")
    page.goto("/console/history")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export these calls").click()
    text = download.value.path().read_text()
    assert history.magnolia in text
    assert history.bright not in text


def test_numbers_says_who_would_answer(visit: Visits) -> None:
    page = visit()
    page.goto("/console/numbers")
    page.get_by_label("Called number").fill(DENTAL)
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".verdict")).to_contain_text("dental")
    expect(page.locator("#trace tr").first).to_be_visible()
    page.get_by_label("Called number").fill(UNROUTED)
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".verdict")).to_contain_text("refused")


def test_an_unrouted_number_has_the_line_to_paste(
    visit: Visits, history: History, office: Office
) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.goto("/console/numbers")
    page.get_by_role("link", name=re.compile("Show the numbers")).click()
    row = page.get_by_role("row").filter(has_text=UNROUTED)
    row.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    assert UNROUTED in page.evaluate("navigator.clipboard.readText()")


def test_a_number_is_diverted_and_taken_back(visit: Visits, office: Office) -> None:
    page = visit("magnolia")
    page.goto("/console/numbers")
    row = page.get_by_role("row").filter(has_text=HOTEL)
    row.get_by_text("Change").click()
    row.get_by_label("Divert to").select_option("front_desk")
    row.get_by_role("button", name="Divert").click()
    expect(row).to_contain_text("diverted")
    call = office.until(
        office.do(office.simulator.place_call(HOTEL)), lambda call: call.refers or call.ended
    )
    assert [one["target_uri"] for one in call.refers] == ["tel:+17135550100"]
    row.get_by_text("Change").click()
    row.get_by_role("button", name="Resume").click()
    expect(row).to_contain_text("as ruled")


def test_a_bad_reload_shows_its_error_and_changes_nothing(visit: Visits, office: Office) -> None:
    main = office.folder / "agents.yaml"
    good = main.read_text()
    page = visit()
    page.goto("/console/config")
    try:
        main.write_text(good.replace("agent: quiet", "agent: nobody"))
        page.get_by_role("button", name="Reload now").click()
        told = page.locator(".told")
        expect(told).to_contain_text("Not reloaded")
        expect(told).to_contain_text(re.compile(r"agents\.yaml:\d+:\d+"))
        expect(told).to_contain_text('there is no agent "nobody"')
        office.hang_up(office.call())  # the quiet agent still answers
    finally:
        main.write_text(good)
        page.get_by_role("button", name="Reload now").click()
    expect(page.locator("main")).not_to_contain_text("nobody")


def test_usage_shows_what_calls_took(visit: Visits, history: History) -> None:
    page = visit("bright")
    page.goto("/console/usage")
    expect(page.locator("figure.chart").first).to_be_visible()
    expect(page.get_by_role("heading", name="Usage of bright")).to_be_visible()


def test_a_tenants_token_shows_nothing_of_another(
    visit: Visits, history: History, office: Office
) -> None:
    call_id = office.call()  # of bright
    page = visit("magnolia")
    for path in ("live", "history", "numbers", "usage", "config", "config/audit", "talk"):
        page.goto(f"/console/{path}")
        expect(page.locator("main")).not_to_contain_text(re.compile("bright|dental", re.I))
    visit.excuse("404")
    for other in (call_id, history.bright):
        answer = page.goto(f"/console/calls/{other}")
        assert answer is not None
        assert answer.status == 404
    office.hang_up(call_id)
