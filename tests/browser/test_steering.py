"""A call on the console: it appears, is heard, and is led."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from sipagent.simulator.call import SimulatedCall
from tests.browser.office import DENTAL, HOTEL, Office
from tests.browser.visiting import Visits


def test_a_call_appears_without_loading_the_page_again(visit: Visits, office: Office) -> None:
    page = visit()
    page.goto("/console/live")
    expect(page.get_by_text("No calls now")).to_be_visible()
    page.evaluate("window.mark = 1")
    call_id = office.call()
    row = page.locator(f"[id='call-{call_id}']")
    expect(row).to_contain_text("connected")
    expect(row).to_contain_text("bright/quiet")
    office.says(call_id, "Good morning.")
    expect(row).to_contain_text("talking")
    office.hang_up(call_id)
    expect(page.get_by_text("No calls now")).to_be_visible()
    assert page.evaluate("window.mark") == 1


def test_both_sides_stream_and_the_call_is_hung_up_from_its_page(
    visit: Visits, office: Office
) -> None:
    page = visit("bright")
    page.goto("/console/live")
    call_id = office.call()
    page.locator(f"[id='call-{call_id}'] a").click()
    lines = page.locator("#lines")
    expect(page.get_by_role("heading", name="Step in")).to_be_visible()
    office.says(call_id, "Is my appointment on Tuesday?")
    expect(lines).to_contain_text("Is my appointment on Tuesday?")
    expect(lines.locator(".item.agent .text").last).to_have_text(re.compile(r"\w+"))
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_label("after a goodbye").uncheck()
    page.get_by_role("button", name="Hang up").click()
    call = office.until(call_id, lambda call: call.ended)
    assert call.ended_by == "hangup"
    expect(page.locator("#now")).to_contain_text("completed: operator hung up")
    expect(page.get_by_role("heading", name="Step in")).to_have_count(0)


def test_words_grow_while_they_are_spoken(visit: Visits, office: Office) -> None:
    call_id = office.call(pace=4)
    page = visit("bright")
    page.goto(f"/console/calls/{call_id}")
    spoken = page.locator("#now-agent")
    expect(spoken).to_be_empty()
    office.says(call_id, "Hello?")
    expect(spoken).not_to_be_empty()
    first = spoken.inner_text()
    expect(page.locator("#lines .item.agent .text").last).to_have_text(re.compile(re.escape(first)))
    expect(spoken).to_be_empty()
    office.hang_up(call_id)


def test_a_call_is_sent_on_from_its_page(visit: Visits, office: Office) -> None:
    call_id = office.call(DENTAL)
    page = visit("bright")
    page.goto(f"/console/calls/{call_id}")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Send on to").select_option("practice")
    page.get_by_role("button", name="Transfer").click()
    expect(page.locator("#toasts, #lines").first).to_be_attached()
    call = office.until(call_id, lambda call: call.ended)
    assert [one["target_uri"] for one in call.refers] == ["tel:+17135550110"]
    expect(page.locator("#lines")).to_contain_text("Transfer to practice")
    expect(page.locator("#now")).to_contain_text("completed: transferred")


def test_what_is_said_and_whispered_reaches_the_model(visit: Visits, office: Office) -> None:
    call_id = office.call()
    page = visit("bright")
    page.goto(f"/console/calls/{call_id}")
    _write(page, "Say to the caller", "The doctor is on the way.", "Say")
    expect(page.get_by_text("The agent says it.")).to_be_visible()
    office.until(call_id, lambda call: "The doctor is on the way." in _asked(call))
    expect(page.get_by_label("Say to the caller")).to_have_value("")
    _write(page, "Tell the model, unheard", "The caller is a regular.", "Whisper")
    expect(page.get_by_text("The model knows it.")).to_be_visible()
    call = office.until(call_id, lambda call: "The caller is a regular." in _asked(call))
    assert "The caller is a regular." not in str(call.transcript)
    page.get_by_role("button", name="Hold replies").click()
    expect(page.get_by_text("The agent says nothing until")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("The agent answers again.")).to_be_visible()
    office.hang_up(call_id)


def test_two_see_the_same_call(visit: Visits, office: Office) -> None:
    call_id = office.call(HOTEL)
    pages = [visit("magnolia"), visit("magnolia")]
    for page in pages:
        page.goto(f"/console/calls/{call_id}")
    office.says(call_id, "Is there a table free?")
    for page in pages:
        expect(page.locator("#lines")).to_contain_text("Is there a table free?")
    office.hang_up(call_id)
    for page in pages:
        expect(page.locator("#now")).to_contain_text("caller hung up")


def test_the_operator_opens_words_with_a_reason_and_the_tenant_sees_it(
    visit: Visits, office: Office
) -> None:
    call_id = office.call(HOTEL)
    office.says(call_id, "My name is Zebedee.")
    page = visit()
    page.goto(f"/console/calls/{call_id}")
    expect(page.locator("#lines .closed").first).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("Zebedee")
    page.get_by_label("Reason").fill("Ticket 4711")
    page.get_by_role("button", name="Open the words").click()
    expect(page.locator("#lines")).to_contain_text("Zebedee")
    tenant = visit("magnolia")
    tenant.goto("/console/config/audit")
    expect(tenant.locator("main")).to_contain_text("Ticket 4711")
    office.hang_up(call_id)


def test_who_may_only_look_has_no_buttons(visit: Visits, office: Office) -> None:
    call_id = office.call()
    page = visit("reader")
    page.goto(f"/console/calls/{call_id}")
    expect(page.get_by_role("heading", name="Conversation")).to_be_visible()
    expect(page.get_by_role("button", name="Hang up")).to_have_count(0)
    office.hang_up(call_id)


def _write(page: Page, label: str, text: str, button: str) -> None:
    page.get_by_label(label).fill(text)
    page.get_by_role("button", name=button, exact=True).click()


def _asked(call: SimulatedCall) -> str:
    events: list[Any] = call.client_events
    return str(events)
