"""Who answers: an agent profile, compiled from agents.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sipagent.errors import TemplateError
from sipagent.model.aftercall import AfterCall
from sipagent.model.attestation import AttestationRule
from sipagent.model.facts import CallFacts, Template, Text
from sipagent.model.failure import ON_FAILURE, FailureStep
from sipagent.model.ids import AgentName, DestinationName, TenantName
from sipagent.model.json import Json
from sipagent.model.limit import Ceilings
from sipagent.model.price import Prices
from sipagent.model.skills import WATCH, McpServer, Silence, Tongue
from sipagent.model.tool import HttpRequest, Requirement, SwitchAgent, Tool, TransferTo


@dataclass(frozen=True, slots=True)
class Greeting:
    """The agent's first words, spoken as soon as the call's socket is attached."""

    say: str
    interruptible: bool = True


@dataclass(frozen=True, slots=True)
class ToolTemplate:
    """A tool as its agent has it. Each call renders `bind` and `headers` of its request anew, the
    headers without a word of a caller's; `pin` is the variable whose value a caller must press."""

    tool: Tool
    bind: Mapping[str, Template] = field(default_factory=dict)
    headers: Mapping[str, Template] = field(default_factory=dict)
    pin: str | None = None

    @property
    def fixed(self) -> bool:
        """Whether all calls have the same tool."""
        return not self.bind and not self.headers and self.pin is None

    def for_call(self, facts: CallFacts, trusted: CallFacts) -> Tool:
        """The tool for this call; `trusted` are its facts without what a caller has written.

        Raises TemplateError where it cannot be made: the call does without it.
        """
        tool = self.tool
        if isinstance(tool.does, HttpRequest) and (self.bind or self.headers):
            bind = {name: template.render(facts) for name, template in self.bind.items()}
            headers = {name: template.render(trusted) for name, template in self.headers.items()}
            if not all(value.isascii() and value.isprintable() for value in headers.values()):
                raise TemplateError("a header's value cannot stand in a header")
            request = replace(
                tool.does,
                bind={**tool.does.bind, **bind},
                headers={**tool.does.headers, **headers},
            )
            tool = replace(tool, does=request)
        return tool if self.pin is None else replace(tool, requires=self._requirement(trusted))

    def _requirement(self, trusted: CallFacts) -> Requirement:
        """What a caller must prove, with the PIN of this call's number."""
        assert self.pin is not None
        pin = "".join(trusted.vars.get(self.pin, "").split())
        if not (pin.isascii() and pin.isdigit()):
            raise TemplateError(f"vars.{self.pin} is no PIN")
        return replace(self.tool.requires or Requirement(), pin=pin)


@dataclass(frozen=True, slots=True)
class Edition:
    """A persona in one language.

    `session` is the Realtime session of the provider's API (`type`, `model`, `audio`, ...) as the
    profile has it, with `audio.input.turn_detection` always spelled out, because a greeting
    changes it for a moment and must know what to restore. Its instructions are those of every
    call, unless `instructions` is set, which each call renders anew. `disclosure` comes before
    the greeting, and neither can be interrupted then. `fallback_session` is the same with the model
    that answers where the provider refuses this one. `silence` is as in all calls, unless `asks` is
    set, which each call renders anew. `tongue` is there where the agent can change its language,
    with the instructions of every call.
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
    silence: Silence | None = None
    asks: Template | None = None
    tongue: Tongue | None = None


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """One persona, in one or several languages; the first is what a caller hears by default.

    `vars` are the values that the defaults, the tenant and the agent give, without the number's.
    `on_failure` is what is tried when the model fails, `ceilings` what each call may take. `tools`,
    and the `servers` of the provider's, are what every session offers; `keys` are destinations by
    the key that sends a caller there, `watch` are the seconds that each transfer is given.
    `declares` are the variables that the agent reads, each with the type of its values;
    `attestation` is what the carrier must say of its callers, `after_call` what is made of a call
    when it is over.
    """

    name: AgentName
    tenant: TenantName
    editions: tuple[Edition, ...]
    vars: Mapping[str, str] = field(default_factory=dict)
    ceilings: Ceilings = field(default=Ceilings())
    on_failure: tuple[FailureStep, ...] = ON_FAILURE
    tools: tuple[ToolTemplate, ...] = ()
    servers: tuple[McpServer, ...] = ()
    keys: Mapping[str, DestinationName] = field(default_factory=dict)
    watch: float = WATCH
    declares: Mapping[str, str] = field(default_factory=dict)
    attestation: AttestationRule | None = None
    after_call: AfterCall | None = None

    @property
    def transfers(self) -> tuple[DestinationName, ...]:
        """The destinations that the agent, or a key, sends callers to."""
        named = [
            name
            for template in self.tools
            if isinstance(template.tool.does, TransferTo)
            for name in template.tool.does.destinations
        ]
        return tuple(dict.fromkeys((*named, *self.keys.values())))

    @property
    def colleagues(self) -> tuple[AgentName, ...]:
        """The agents that this one hands calls to."""
        return tuple(
            name
            for template in self.tools
            if isinstance(template.tool.does, SwitchAgent)
            for name in template.tool.does.agents
        )

    def edition(self, language: str | None) -> Edition:
        """The edition in this language, or the first one."""
        if language is not None:
            for edition in self.editions:
                if edition.language == language:
                    return edition
        return self.editions[0]
