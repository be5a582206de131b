"""No page keeps anybody out, as far as a machine can tell: axe-core, by its own rules."""

from hashlib import sha256
from pathlib import Path
from typing import Final

from playwright.sync_api import Page

from tests.browser.conftest import History
from tests.browser.office import DENTAL, Office
from tests.browser.test_looks import PAGES
from tests.browser.visiting import DESKTOP, PHONE, Visits

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
SERIOUS = ("serious", "critical")

LOOKS: Final = (
    ("desktop, light", DESKTOP, "light", "{resultTypes: ['violations']}"),
    ("desktop, dark", DESKTOP, "dark", "{runOnly: ['color-contrast']}"),
    ("phone, light", PHONE, "light", "{resultTypes: ['violations']}"),
    ("phone, dark", PHONE, "dark", "{runOnly: ['color-contrast']}"),
)
"""A theme is colours alone: all other rules find in the dark what they find in the light."""


def test_the_checker_is_the_one_that_was_looked_at() -> None:
    assert sha256(AXE.read_bytes()).hexdigest() == SHA256


def test_nothing_serious_is_found_on_the_operators_pages(
    visit: Visits, office: Office, history: History
) -> None:
    call_id = office.call(DENTAL)
    office.says(call_id, "Good morning.")
    page = visit(reduced_motion="reduce")  # colours that change slowly are none of a theme
    found = [_violations(page, path) for path in (*PAGES, f"calls/{call_id}")]
    office.hang_up(call_id)
    found += [
        _violations(page, f"calls/{history.bright}"),
        _violations(visit(None, reduced_motion="reduce"), "sign-in"),
    ]
    assert not any(found), "\n".join(filter(None, found))


def test_nothing_serious_is_found_on_a_tenants_pages(
    visit: Visits, office: Office, history: History
) -> None:
    call_id = office.call(DENTAL)
    office.says(call_id, "Good morning.")
    page = visit("bright", reduced_motion="reduce")
    paths = (f"calls/{call_id}", f"calls/{history.bright}", "talk", "live?words=true")
    found = [_violations(page, path) for path in paths]
    office.hang_up(call_id)
    assert not any(found), "\n".join(filter(None, found))


def _violations(page: Page, path: str) -> str:
    """What is wrong with a page, in each of its looks; empty where nothing is."""
    page.goto(f"/console/{path}")
    page.wait_for_load_state("load")
    page.evaluate(AXE.read_text())  # by the debugger, which no policy of a page concerns
    told: list[str] = []
    for look, size, scheme, options in LOOKS:
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate(f"axe.run(document, {options})")
        told += [
            f"{path}, {look}: {one['impact']} {one['id']}"
            f" {[node['target'] for node in one['nodes']][:4]}"
            for one in found["violations"]
            if one["impact"] in SERIOUS
        ]
    return "\n".join(told)
