"""What every page of the console is like: at a desk, on a phone, by keyboard, without scripts."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import History
from tests.browser.office import DENTAL, Office
from tests.browser.visiting import PHONE, Visits

PAGES = ("live", "history", "numbers", "usage", "config", "config/audit", "config/tokens", "talk")
_WIDEST = """[...document.querySelectorAll("main :not(thead *)")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth)
  .map((one) => one.outerHTML.slice(0, 120)).slice(0, 4)"""
_WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_no_page_is_wider_than_a_phone(visit: Visits, office: Office, history: History) -> None:
    call_id = office.call(DENTAL)
    page = visit(viewport=PHONE, is_mobile=True, has_touch=True)
    for path in (*PAGES, f"calls/{call_id}", f"calls/{history.bright}"):
        page.goto(f"/console/{path}")
        assert page.evaluate(_WIDER) == 0, path
    page.set_viewport_size({"width": 320, "height": 640})
    for path in (*PAGES, f"calls/{call_id}", f"calls/{history.bright}"):
        page.goto(f"/console/{path}")
        assert page.evaluate(_WIDER) == 0, (path, page.evaluate(_WIDEST))
    office.hang_up(call_id)


def test_a_chosen_theme_is_there_before_anything_is_drawn(visit: Visits) -> None:
    page = visit(color_scheme="light")
    page.goto("/console/live")
    light = _ground(page)
    page.get_by_role("button", name="Light or dark").click()
    dark = _ground(page)
    assert dark != light
    page.add_init_script(_FIRST_GROUND)
    page.goto("/console/history")
    assert page.evaluate("window.first") == dark == _ground(page)
    page.keyboard.press("d")
    assert _ground(page) == light


def test_the_systems_theme_holds_unless_one_is_chosen(visit: Visits) -> None:
    page = visit(color_scheme="dark")
    page.goto("/console/live")
    dark = _ground(page)
    page.emulate_media(color_scheme="light")
    assert _ground(page) != dark


def test_the_keyboard_leads_through_pages_and_rows(visit: Visits, history: History) -> None:
    page = visit()
    page.goto("/console/live")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    for key, title in (("h", "History"), ("n", "Numbers"), ("u", "Usage"), ("c", "Config")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1)).to_contain_text(title)
    page.keyboard.press("/")
    expect(page.get_by_role("heading", name="History", exact=True)).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_label("Caller")).to_be_focused()
    page.keyboard.type("gl")  # is written, and leads nowhere
    expect(page.get_by_label("Caller")).to_have_value("gl")
    page.locator("h1").click()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("[data-row]").nth(1).get_by_role("link")).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator("[data-row]").nth(0).get_by_role("link")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


@pytest.mark.parametrize("who", ["operator", "bright"])
def test_pages_work_without_scripts(visit: Visits, history: History, who: str) -> None:
    page = visit(who, java_script_enabled=False)
    page.goto("/console/history")
    page.get_by_label("Agent").fill("dental")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#calls")).to_contain_text(history.bright)
    page.get_by_role("link", name=history.bright).click()
    expect(page.locator("#lines .item").first).to_be_visible()
    page.get_by_role("link", name="Numbers", exact=True).click()
    page.get_by_label("Called number").fill(DENTAL)
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".verdict")).to_contain_text("dental")


def test_a_button_works_without_scripts(visit: Visits, office: Office) -> None:
    call_id = office.call()
    page = visit("bright", java_script_enabled=False)
    page.goto(f"/console/calls/{call_id}")
    page.get_by_label("after a goodbye").uncheck()
    page.get_by_role("button", name="Hang up").click()
    assert office.until(call_id, lambda call: call.ended).ended_by == "hangup"
    expect(page.locator("main")).to_be_visible()


def test_a_page_that_is_not_there_says_so(visit: Visits) -> None:
    visit.excuse("404")
    page = visit()
    page.goto("/console/nowhere")
    expect(page.locator("main")).to_contain_text("There is no such page.")
    expect(page.get_by_role("navigation")).to_be_visible()


def _ground(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


_FIRST_GROUND = """
new MutationObserver((_, watching) => {
  if (!document.body) return;
  window.first = getComputedStyle(document.body).backgroundColor;
  watching.disconnect();
}).observe(document, { childList: true, subtree: true });
"""
