"""The system's Chromium, driven by playwright, which downloads none of its own."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Browser, Playwright

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS: Final = (
    "--no-sandbox",  # containers have no user namespaces for it; pages are ours alone
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--font-render-hinting=none",
)


def where() -> str | None:
    """The path of a Chromium, or None. `SIPAGENT_TEST_CHROMIUM` names another one."""
    chosen = os.environ.get("SIPAGENT_TEST_CHROMIUM")
    return chosen or next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def launched(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=where(), args=_ARGUMENTS)
    try:
        yield browser
    finally:
        browser.close()


if __name__ == "__main__":
    sys.exit(where() is None)
