"""Signing in and out, in a browser."""

from playwright.sync_api import Browser, Page, expect

from tests.browser.office import Office
from tests.browser.visiting import Visits, visiting


def test_signing_in_leads_where_one_wanted_to_go_and_out_again(
    visit: Visits, office: Office
) -> None:
    page = visit(None)
    page.goto("/console/numbers")
    expect(page).to_have_title("Sign in · sipagent")
    enter(page, office.tokens["bright"])
    expect(page.get_by_role("heading", name="Numbers", exact=True)).to_be_visible()
    (kept,) = [one for one in page.context.cookies() if one["name"] == "sipagent-console"]
    assert (kept["httpOnly"], kept["sameSite"], kept["path"]) == (True, "Strict", "/console")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_title("Sign in · sipagent")
    page.goto("/console/numbers")
    expect(page).to_have_title("Sign in · sipagent")


def test_a_wrong_token_is_told(visit: Visits) -> None:
    visit.excuse("403")
    page = visit(None)
    page.goto("/console/sign-in")
    enter(page, "sipa_nobody_nothing")
    expect(page.get_by_role("alert")).to_have_text("This token is unknown, over, or revoked.")
    expect(page.get_by_label("Token")).to_have_value("")


def test_too_many_wrong_tokens_have_to_wait_and_who_is_in_stays(
    browser: Browser, another_office: Office
) -> None:
    with visiting(browser, another_office) as visit:
        visit.excuse("403|429")
        inside = visit("bright")
        inside.goto("/console/live")
        page = visit(None)
        page.goto("/console/sign-in")
        for _ in range(11):
            enter(page, "sipa_nobody_nothing")
            expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_role("alert")).to_contain_text("Too many")
        inside.reload()
        expect(inside.get_by_role("heading", name="Live")).to_be_visible()


def test_a_revoked_token_ends_what_it_has_opened(visit: Visits, office: Office) -> None:
    office.tokens["leaver"] = office.token("Lea", "bright", "read")
    page = visit("leaver")
    page.goto("/console/history")
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    office.run("tokens", "revoke", office.tokens.pop("leaver").split("_")[1])

    def signed_out() -> bool:
        page.goto("/console/history")
        return page.title() == "Sign in · sipagent"

    for _ in range(40):
        if signed_out():
            return
        page.wait_for_timeout(250)
    raise AssertionError("a revoked token still opens the console after ten seconds")


def enter(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()
