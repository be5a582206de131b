"""Who answers: an agent profile, compiled from agents.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sipagent.model.facts import Template, Text
from sipagent.model.failure import ON_FAILURE, FailureStep
from sipagent.model.ids import AgentName, TenantName
from sipagent.model.json import Json
from sipagent.model.limit import Ceilings
from sipagent.model.price import Prices


@dataclass(frozen=True, slots=True)
class Greeting:
    """The agent's first words, spoken as soon as the call's socket is attached."""

    say: str
    interruptible: bool = True


@dataclass(frozen=True, slots=True)
class Edition:
    """A persona in one language.

    `session` is the Realtime session of the provider's API (`type`, `model`, `audio`, ...) as the
    profile has it, with `audio.input.turn_detection` always spelled out, because a greeting
    changes it for a moment and must know what to restore. Its instructions are those of every
    call, unless `instructions` is set, which each call renders anew. `disclosure` comes before
    the greeting, and neither can be interrupted then. `fallback_session` is the same with the model
    that answers where the provider refuses this one.
    """

    language: str | None
    session: Json
    instructions: Template | None = None
    greeting: Text | None = None
    interruptible: bool = True
    disclosure: Text | None = None
    prices: Prices = field(default=Prices())
    fallback_session: Json | None = None
    fallback_prices: Prices = field(default=Prices())


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """One persona, in one or several languages; the first is what a caller hears by default.

    `vars` are the values that the defaults, the tenant and the agent give, without the number's.
    `on_failure` is what is tried when the model fails, `ceilings` what each call may take.
    """

    name: AgentName
    tenant: TenantName
    editions: tuple[Edition, ...]
    vars: Mapping[str, str] = field(default_factory=dict)
    ceilings: Ceilings = field(default=Ceilings())
    on_failure: tuple[FailureStep, ...] = ON_FAILURE

    def edition(self, language: str | None) -> Edition:
        """The edition in this language, or the first one."""
        if language is not None:
            for edition in self.editions:
                if edition.language == language:
                    return edition
        return self.editions[0]
