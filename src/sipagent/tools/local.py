"""How an MCP server that runs beside us is started."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LocalServer:
    """How a server is started. It sees `environment`, and of ours only what every program needs
    (PATH, HOME ...): no credentials."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path | None = None
