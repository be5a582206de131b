"""Who answers: an agent profile, compiled from agents.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sipagent.model.ids import AgentName, TenantName

Json = Mapping[str, Any]
"""A JSON object that nobody changes after it has been built."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """The agent's first words, spoken as soon as the call's socket is attached."""

    say: str
    interruptible: bool = True


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """One persona.

    `session` is the Realtime session of the provider's API (`type`, `model`, `audio`, ...) as the
    profile has it, with `audio.input.turn_detection` always spelled out, because a greeting
    changes it for a moment and must know what to restore.
    """

    name: AgentName
    tenant: TenantName
    session: Json
    greeting: Greeting | None = None
