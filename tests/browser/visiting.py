"""People before a browser. Whatever a page must never do fails the test that saw it."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from sipagent.api.console import session
from tests.browser.office import Office

DESKTOP: Final = {"width": 1280, "height": 800}
PHONE: Final = {"width": 390, "height": 844}

_VIOLATIONS: Final = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


@dataclass
class Visits:
    """Opens pages, each for one person in a browser profile of its own, and watches them."""

    browser: Browser
    office: Office
    wrong: list[str] = field(default_factory=list)
    opened: list[BrowserContext] = field(default_factory=list)
    excused: list[str] = field(default_factory=list)

    def __call__(self, who: str | None = "operator", **options: Any) -> Page:
        """A page of somebody who is signed in; None is a stranger."""
        context = self.context(**options)
        if who is not None:
            self.sign_in(context, self.office.tokens[who])
        return context.new_page()

    def context(self, **options: Any) -> BrowserContext:
        chosen = {"viewport": DESKTOP, "base_url": self.office.url, "locale": "en-GB", **options}
        context = self.browser.new_context(timezone_id="America/Chicago", **chosen)
        context.set_default_timeout(15_000)
        context.add_init_script(_VIOLATIONS)
        context.on("console", self._told)
        context.on("weberror", lambda error: self.wrong.append(f"script: {error.error}"))
        context.on("request", self._asked)
        self.opened.append(context)
        return context

    def sign_in(self, context: BrowserContext, token: str) -> None:
        """As the form does, without the form."""
        kept = session.begin(token, time.time())
        cookie = {"name": session.PLAIN, "value": kept, "sameSite": "Strict", "httpOnly": True}
        host = urlsplit(self.office.url).hostname
        context.add_cookies([{**cookie, "domain": host, "path": session.PATH}])

    def excuse(self, text: str) -> None:
        """What the browser's console may say in this test."""
        self.excused.append(text)

    def close(self) -> None:
        """Raises AssertionError for what pages have done wrong."""
        for context in self.opened:
            context.close()
        self.opened.clear()
        found = [
            one for one in self.wrong if not any(re.search(text, one) for text in self.excused)
        ]
        assert not found, found

    def _told(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.office.url}/", "data:", "blob:")):
            self.wrong.append(f"request elsewhere: {request.url}")


@contextmanager
def visiting(browser: Browser, office: Office) -> Iterator[Visits]:
    visits = Visits(browser, office)
    try:
        yield visits
    finally:
        visits.close()
