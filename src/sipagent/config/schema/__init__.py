"""What may be written in agents.yaml and the files that it includes.

One frozen model for each mapping, strict and closed. The models know shapes, words and ranges;
what must fit together is said in `config.rules` and its neighbours.
"""

from sipagent.config.schema.base import Entry, Expandable, Hidden, TextFile
from sipagent.config.schema.files import (
    SECTIONS,
    AgentsFile,
    AnyFile,
    NamespaceFile,
    Readable,
    TenantFile,
)
from sipagent.config.schema.leaves import ForcedTool, Transcription, TurnDetection
from sipagent.config.schema.limits import Budget, Limited, Spending
from sipagent.config.schema.persona import AgentEntry, AgentLeaves, Defaults, SpokenGreeting
from sipagent.config.schema.prices import PricesFile

__all__ = [
    "SECTIONS",
    "AgentEntry",
    "AgentLeaves",
    "AgentsFile",
    "AnyFile",
    "Budget",
    "Defaults",
    "Entry",
    "Expandable",
    "ForcedTool",
    "Hidden",
    "Limited",
    "NamespaceFile",
    "PricesFile",
    "Readable",
    "Spending",
    "SpokenGreeting",
    "TenantFile",
    "TextFile",
    "Transcription",
    "TurnDetection",
]
