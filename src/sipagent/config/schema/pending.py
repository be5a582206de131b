"""Keys that are checked as strictly as all others, and from which nothing follows yet."""

from collections.abc import Mapping
from typing import Final

_OF_PERSONAS: Final = ("tools", "silence", "max_duration", "on_failure")

NOT_IN_FORCE: Final[Mapping[str, tuple[str, ...]]] = {
    "agents": _OF_PERSONAS,
    "defaults": _OF_PERSONAS,
    "models": ("fallback",),
    "accounts": ("max_concurrent_calls",),
    "tenants": (
        "max_concurrent_calls",
        "reserved_calls",
        "budget",
        "privacy",
        "grants.secrets",
        "grants.http_hosts",
    ),
    "": ("fallback",),
    "destinations": ("hours", "on_failure"),
}
"""The keys of each section's items, of `defaults` itself, and of a file (""). docs/agents-yaml.md
has the same list."""
