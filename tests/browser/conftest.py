"""One browser and one service for all tests of a run; a browser profile of its own for each."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.chromium import launched, where
from tests.browser.office import DENTAL, HOTEL, Office, running_office
from tests.browser.visiting import Visits, visiting

UNROUTED = "+17134810199"
TOOTHACHE = [
    {"caller": "Hi, I have a toothache. Can I come in today?"},
    {"agent": "I am sorry to hear that. What is your name?"},
    {"caller": "Dana Whitfield."},
    {"tool": {"name": "take_message", "arguments": {"message": "Dana Whitfield: a toothache"}}},
    {"agent": "Then I have written it down. Goodbye!"},
]
PARKING = [
    {"caller": "Where do I park my caravan?"},
    {"agent": "The valet takes it at the main door."},
]


@dataclass(frozen=True)
class History:
    """The calls that are over, by whose they are."""

    bright: str
    magnolia: str
    nowhere: str


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if where() is None:
        pytest.skip("there is no Chromium: make test-browser says how to get one")
    expect.set_options(timeout=15_000)
    with sync_playwright() as playwright, launched(playwright) as browser:
        yield browser


@pytest.fixture(scope="session")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with running_office(tmp_path_factory.mktemp("office")) as office:
        office.hire()
        yield office


@pytest.fixture(scope="session")
def history(office: Office) -> History:
    """Calls that are over, one of each tenant, with words."""
    bright = office.whole_call(DENTAL, from_="+14067704205", script=TOOTHACHE)
    magnolia = office.whole_call(HOTEL, from_="+15125550188", script=PARKING)
    nowhere = office.whole_call(UNROUTED)
    office.settled()
    return History(bright.call_id, magnolia.call_id, nowhere.call_id)


@pytest.fixture
def another_office(tmp_path: Path) -> Iterator[Office]:
    """One that a test may have for itself."""
    with running_office(tmp_path / "office") as office:
        office.hire()
        yield office


@pytest.fixture
def visit(browser: Browser, office: Office) -> Iterator[Visits]:
    with visiting(browser, office) as visits:
        yield visits
