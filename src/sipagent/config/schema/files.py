"""The three kinds of files: the operator's main file, a namespace that files share, a tenant's."""

from typing import Annotated, Any

from pydantic import Field, Tag

from sipagent.config.hours import HOURS_SCHEMA
from sipagent.config.schema.base import (
    ABSENT,
    LIST,
    TEXT,
    Entry,
    Name,
    Reference,
    VariableName,
    Word,
    shaped,
)
from sipagent.config.schema.numbers import Destination, NumberEntry
from sipagent.config.schema.operations import Account, TenantEntry, TrunkEntry
from sipagent.config.schema.persona import (
    AgentEntry,
    Defaults,
    Model,
    TenantAgentEntry,
    Value,
)
from sipagent.config.schema.prices import Prices, PricesFile
from sipagent.config.schema.webhooks import TenantWebhookEntry

Hours = Annotated[Any, Field(json_schema_extra=HOURS_SCHEMA)]
"""Opening hours: judged by `config.hours`, which knows days and spans."""

Include = Annotated[
    Annotated[Word, Tag(TEXT)] | Annotated[list[Word], Tag(LIST)],
    shaped("a path or a list of paths"),
]

_HOURS = "Opening hours by name."
_DESTINATIONS = "The places that calls may be sent to, by name."


class AgentsFile(Entry):
    """config/agents.yaml."""

    version: int = Field(ge=1, le=1, description="The version of this format, always 1.")
    include: Include = Field(
        default=ABSENT, description="Files of tenants and of shared agents; * matches any name."
    )
    accounts: dict[Name, Account] = Field(
        default={}, description="Upstream projects by name; without any, the environment's."
    )
    trunks: dict[Name, TrunkEntry] = Field(default={}, description="Carriers' lines by name.")
    models: dict[Name, Model] = Field(default={}, description="Models by names of your own.")
    prices: Prices = Field(
        default=ABSENT, description="What models cost, where it is not what this release knows."
    )
    defaults: Defaults = Field(
        default=Defaults(), description="Leaves for every agent that does not write its own."
    )
    tenants: dict[Name, TenantEntry] = Field(default={}, description="Tenants by name.")
    vars: dict[VariableName, Value] = Field(
        default=ABSENT, description="Values of variables for the agents of this file."
    )
    hours: dict[Name, Hours] = Field(default={}, description=_HOURS)
    destinations: dict[Name, Destination] = Field(default={}, description=_DESTINATIONS)
    fallback: Reference = Field(
        default=ABSENT, description="The destination when agent, model or budget fails."
    )
    agents: dict[Name, AgentEntry] = Field(default={}, description="The agents by name.")
    numbers: dict[str, NumberEntry] = Field(description="What to do with a call to each number.")


class NamespaceFile(Entry):
    """Agents, hours and destinations that other files use as `namespace/name`."""

    version: int = Field(default=1, ge=1, le=1, description="The version of this format.")
    namespace: Name = Field(description="The name before the slash.")
    hours: dict[Name, Hours] = Field(default={}, description=_HOURS)
    destinations: dict[Name, Destination] = Field(default={}, description=_DESTINATIONS)
    agents: dict[Name, AgentEntry] = Field(default={}, description="The agents by name.")


class TenantFile(Entry):
    """A tenant's own file, which is untrusted."""

    version: int = Field(default=1, ge=1, le=1, description="The version of this format.")
    tenant: Name = Field(description="Whose file this is.")
    fallback: Reference = Field(
        default=ABSENT, description="The destination when agent, model or budget fails."
    )
    vars: dict[VariableName, Value] = Field(
        default=ABSENT, description="Values of variables for the agents of this file."
    )
    hours: dict[Name, Hours] = Field(default={}, description=_HOURS)
    destinations: dict[Name, Destination] = Field(default={}, description=_DESTINATIONS)
    agents: dict[Name, TenantAgentEntry] = Field(default={}, description="The agents by name.")
    webhooks: dict[Name, TenantWebhookEntry] = Field(
        default={}, description="Where the tenant is told of its calls, by name."
    )
    numbers: dict[str, NumberEntry] = Field(
        default={}, description="Rules for numbers that operations gave to the tenant."
    )


AnyFile = AgentsFile | NamespaceFile | TenantFile
Readable = AnyFile | PricesFile
SECTIONS = (
    "accounts",
    "trunks",
    "models",
    "tenants",
    "hours",
    "destinations",
    "agents",
    "numbers",
)
"""Open mappings, whose items are judged one by one."""
