"""All that a decision is made from: one valid version of the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass

from sipagent.model import AgentName, AgentProfile
from sipagent.routing.directory import NumberDirectory


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Numbers and personas as one version of agents.yaml has them.

    Every agent that a route names is in `agents`. `region` (ISO 3166-1 alpha-2) is whose national
    spellings carriers send. `config_hash` names this version in plans, records and logs.
    """

    directory: NumberDirectory
    agents: Mapping[AgentName, AgentProfile]
    config_hash: str
    region: str | None = None
