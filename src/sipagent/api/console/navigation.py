"""The console's pages, in the one place that says their order, names and keys."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the navigation. `key` goes there after `g`."""

    path: str
    name: str
    key: str


NAVIGATION: Final = (
    Entry("/console/live", "Live", "l"),
    Entry("/console/history", "History", "h"),
    Entry("/console/numbers", "Numbers", "n"),
    Entry("/console/usage", "Usage", "u"),
    Entry("/console/config", "Config", "c"),
    Entry("/console/talk", "Talk", "t"),
)


def here(path: str) -> str:
    """The entry that a page of this path belongs to; calls belong to Live."""
    for entry in NAVIGATION:
        if path == entry.path or path.startswith(f"{entry.path}/"):
            return entry.path
    return NAVIGATION[0].path if path.startswith("/console/calls/") else ""
