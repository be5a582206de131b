"""Keys that are checked as strictly as all others, and from which nothing follows yet."""

from collections.abc import Mapping
from typing import Final

_OF_PERSONAS: Final = ("tools", "silence")

NOT_IN_FORCE: Final[Mapping[str, tuple[str, ...]]] = {
    "agents": _OF_PERSONAS,
    "defaults": _OF_PERSONAS,
    "tenants": (
        "grants.secrets",
        "grants.http_hosts",
    ),
    "destinations": ("hours", "on_failure"),
}
"""The keys of each section's items, of `defaults` itself, and of a file (""). docs/agents-yaml.md
has the same list."""
