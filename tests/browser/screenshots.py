"""`make screenshots`: every page of the console, light and dark, at a desk and on a phone.

Time stands still in them: calls are held and over at the same times whenever they are taken.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import structlog
import time_machine
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from tests.browser.chromium import launched
from tests.browser.hurrying import FastClock, FastLoop
from tests.browser.office import DENTAL, Office, running_office
from tests.browser.scenes import NOW, TALK, Scene, history
from tests.browser.visiting import DESKTOP, PHONE, Visits

IMAGES: Final = Path(__file__).parents[2] / "docs" / "images"
MOMENT: Final = datetime(2026, 11, 24, 16, 42, tzinfo=UTC)
"""A Tuesday morning in Chicago."""

SPEED: Final = 6.0
AT_ONCE: Final = 10
PACE: Final = 3.0
LONG: Final = 180.0

_TIMES: Final = {
    "calls": ("created_at", "began_at", "answered_at", "attached_at", "heard_at", "ended_at"),
    "turns": ("at",),
    "happenings": ("at",),
    "usage": ("at",),
    "transfers": ("at",),
    "tool_calls": ("at",),
    "messages": ("at",),
}


@dataclass
class Stage:
    """The office, whose clock can be set."""

    office: Office
    loop: FastLoop
    clock: FastClock
    traveller: Any
    placed: int = 0

    def place(self, scene: Scene, **more: Any) -> str:
        self.placed += 1
        name = sha256(f"call {self.placed}".encode()).hexdigest()[:32]
        self.traveller.move_to(self.clock.wall())
        script = list(scene.script)
        manner = {"pace": PACE, "reaction": 0.7, "script": script, "call_id": f"rtc_{name}"}
        options = {**manner, **scene.more, **more}
        placed = self.office.simulator.place_call(scene.number, scene.caller, **options)
        return self.office.do(placed)

    def play(self, scenes: list[Scene]) -> None:
        """These calls are over, and began when they say."""
        for at in range(0, len(scenes), AT_ONCE):
            several = scenes[at : at + AT_ONCE]
            placed = [self.place(scene) for scene in several]
            for call_id, scene in zip(placed, several, strict=True):
                self.office.until(call_id, lambda call: call.ended, LONG)
                while not self.office.do(self._over(call_id)):
                    time.sleep(0.02)
                self.began(call_id, scene.ago)

    def stand(self, after: float = 0.0) -> None:
        """It is the moment of the pictures, or so many seconds later."""
        self.clock.set_wall(MOMENT.timestamp() + after)
        self.traveller.move_to(MOMENT.timestamp() + after)

    def began(self, call_id: str, ago: float) -> None:
        """The call began so long before the moment of the pictures."""
        self.office.settled()
        for attempt in range(20):
            try:
                self.office.do(self._moved(call_id, MOMENT.timestamp() - ago))
            except OperationalError:  # the service writes at the same time
                if attempt == 19:
                    raise
                time.sleep(0.1)
            else:
                return

    async def _over(self, call_id: str) -> bool:
        assert self.office.service.house is not None
        async with self.office.service.house.writer.engine.connect() as connection:
            query = text("SELECT ended_at FROM calls WHERE call_id = :id")
            return await connection.scalar(query, {"id": call_id}) is not None

    async def _moved(self, call_id: str, began: float) -> None:
        assert self.office.service.house is not None
        async with self.office.service.house.writer.engine.begin() as connection:
            which = {"id": call_id}
            was = await connection.scalar(
                text("SELECT began_at FROM calls WHERE call_id = :id"), which
            )
            assert was is not None, call_id
            for table, columns in _TIMES.items():
                sets = ", ".join(f"{name} = {name} + :by" for name in columns)
                moved = text(f"UPDATE {table} SET {sets} WHERE call_id = :id")  # noqa: S608 - names of ours
                await connection.execute(moved, {**which, "by": began - was})


@contextmanager
def a_stage(folder: Path) -> Iterator[Stage]:
    loop = FastLoop(SPEED)
    clock = FastClock(loop, MOMENT.timestamp() - 1800)
    with (
        time_machine.travel(MOMENT, tick=True) as traveller,
        running_office(folder, lambda: loop, clock) as office,
    ):
        office.hire(quietly=True)
        yield Stage(office, loop, clock, traveller)


def take(browser: Browser, stage: Stage) -> None:
    """All pictures."""
    stage.play(list(history()))
    held = {scene.number: stage.place(scene, stay=True) for scene in NOW}
    for call_id, scene in zip(held.values(), NOW, strict=True):
        lines = len(scene.script) + sum("tool" in step for step in scene.script)
        stage.office.until(call_id, lambda call, lines=lines: len(call.transcript) > lines, LONG)
    time.sleep(10 / SPEED)  # until the last one is spoken
    stage.loop.run_at(1.0)
    for call_id, scene in zip(held.values(), NOW, strict=True):
        stage.began(call_id, scene.ago)
    every = [
        Shots(Visits(browser, stage.office), stage, size, scheme)
        for size in ("desktop", "phone")
        for scheme in ("light", "dark")
    ]
    for shots in every:
        shots.pages(held[DENTAL])
    for shots in every:
        shots.broken()
        shots.talk()
        shots.visits.close()


@dataclass
class Shots:
    """The pictures of one size and theme."""

    visits: Visits
    stage: Stage
    size: str
    scheme: str

    def pages(self, held: str) -> None:
        operator, tenant = self._visit("operator"), self._visit("bright")
        self._shoot(self._visit(None), "sign-in", "sign-in")
        self._shoot(operator, "live", "live")
        self._shoot(tenant, f"calls/{held}", "call", whole=True)
        self._shoot(operator, "history", "history")
        self._shoot(operator, "numbers", "numbers")
        self._shoot(operator, "usage", "usage", whole=True)
        self._shoot(operator, "config/audit", "audit")
        tenant.goto("/console/history?caller=%2B14067704205&outcome=completed.agent_hung_up")
        tenant.locator("#calls a").first.click()
        self._shoot(tenant, None, "call-over", whole=True)
        operator.goto("/console/numbers")
        operator.get_by_label("Called number").fill("+1 602 481 0144")
        operator.get_by_role("button", name="Explain").click()
        operator.locator("#explain").scroll_into_view_if_needed()
        self._shoot(operator, None, "explain", of=lambda page: page.locator("#explain"))

    def broken(self) -> None:
        """The configuration with a mistake in it, which is mended then."""
        main = self.stage.office.folder / "agents.yaml"
        good = main.read_text()
        page = self._visit("operator")
        page.goto("/console/config")
        main.write_text(good.replace("agent: quiet", "agent: nobody"))
        self._reload(page)
        self._shoot(page, None, "config")
        main.write_text(good)
        self._reload(page)

    def _reload(self, page: Page) -> None:
        page.get_by_role("button", name="Reload now").click()
        page.wait_for_load_state()
        page.locator(".told").wait_for()

    def talk(self) -> None:
        self.stage.stand(after=60.0)
        self.stage.loop.run_at(SPEED)
        self.stage.office.simulator.set_talks(script=TALK, pace=PACE, reaction=0.7)
        page = self._visit("bright", permissions=["microphone"])
        page.goto("/console/talk")
        page.get_by_label("Agent").select_option("dental")
        page.get_by_label("As if called at").fill(DENTAL)
        page.get_by_test_id("talk-start").click()
        page.get_by_text("What is your name?").wait_for()
        self._shoot(page, None, "talk")
        page.get_by_test_id("talk-hang-up").click()
        self.stage.loop.run_at(1.0)

    def _visit(self, who: str | None, **more: Any) -> Page:
        size = DESKTOP if self.size == "desktop" else PHONE
        page = self.visits(who, viewport=size, color_scheme=self.scheme, **more)
        page.clock.set_fixed_time(MOMENT)
        return page

    def _shoot(
        self,
        page: Page,
        path: str | None,
        name: str,
        *,
        whole: bool = False,
        of: Callable[[Page], Any] | None = None,
    ) -> None:
        self.stage.stand()
        if path is not None:
            page.goto(f"/console/{path}")
        page.wait_for_load_state("load")
        page.evaluate("document.fonts.ready")
        if of is not None:
            page.evaluate("element => element.scrollIntoView()", of(page).element_handle())
        file = IMAGES / f"{name}-{self.size}-{self.scheme}.png"
        whole = whole and self.size == "desktop"
        page.screenshot(path=file, full_page=whole, animations="disabled", caret="hide")


def main() -> int:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        patch("sipagent.storehouse.replica_name", return_value="sipagent-1"),
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
        launched(playwright) as browser,
        contextlib.chdir(folder),
        a_stage(Path("config")) as stage,  # pages show this path
    ):
        take(browser, stage)
    size = sum(one.stat().st_size for one in IMAGES.glob("*.png"))
    print(f"{len(list(IMAGES.glob('*.png')))} pictures, {size / 1e6:.1f} MB, in {IMAGES}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
