"""Talking to an agent from the browser, over WebRTC with the simulator, and by typing."""

from playwright.sync_api import expect

from tests.browser.office import Office
from tests.browser.visiting import Visits

SCRIPT = [
    {"caller": "Are you open on Sunday?"},
    {"agent": "No, we are closed on Sunday."},
    {"agent": "From nine to six."},
]


def test_a_talk_over_webrtc_shows_its_words(visit: Visits, office: Office) -> None:
    office.simulator.set_talks(script=SCRIPT)
    page = visit("bright", permissions=["microphone"])
    page.goto("/console/talk")
    page.get_by_label("Agent").select_option("dental")
    page.get_by_test_id("talk-start").click()
    lines = page.get_by_test_id("talk-lines")
    expect(lines).to_contain_text("Are you open on Sunday?")
    expect(lines).to_contain_text("No, we are closed on Sunday.")
    call_id = page.locator("#talk").get_attribute("data-call")
    assert call_id is not None
    call = office.until(call_id, lambda call: call.attachments == 1)
    assert call.order.browser
    assert len(call.creates) == 1
    # The simulator has no sound.
    expect(page.get_by_test_id("talk-state")).to_contain_text("No sound", timeout=20_000)
    page.get_by_test_id("talk-mute").click()
    expect(page.get_by_test_id("talk-mute")).to_have_attribute("aria-pressed", "true")
    page.get_by_test_id("talk-hang-up").click()
    expect(page.get_by_test_id("talk-state")).to_have_text("You have hung up.")
    office.until(call_id, lambda call: call.ended)
    expect(page.get_by_test_id("talk-start")).to_be_visible()


def test_a_typed_line_is_answered(visit: Visits, office: Office) -> None:
    office.simulator.set_talks(script=SCRIPT[1:])
    page = visit("bright")
    page.goto("/console/talk")
    page.get_by_label("Agent").select_option("dental")
    page.get_by_test_id("talk-typing").check()
    page.get_by_test_id("talk-start").click()
    page.get_by_label("Say it by typing").fill("Are you open on Sunday?")
    page.get_by_test_id("talk-send").click()
    lines = page.get_by_test_id("talk-lines")
    expect(lines).to_contain_text("Are you open on Sunday?")
    expect(lines).to_contain_text("No, we are closed on Sunday.")
    page.get_by_test_id("talk-hang-up").click()
    expect(page.get_by_test_id("talk-state")).to_have_text("You have hung up.")


def test_who_may_only_look_cannot_talk(visit: Visits) -> None:
    page = visit("reader")
    page.goto("/console/talk")
    expect(page.get_by_text("Your token may only look")).to_be_visible()
    expect(page.get_by_test_id("talk-start")).to_have_count(0)
