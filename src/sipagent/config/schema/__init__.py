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
    TenantFile,
)
from sipagent.config.schema.leaves import ForcedTool, Transcription, TurnDetection
from sipagent.config.schema.persona import AgentEntry, AgentLeaves, Defaults, SpokenGreeting

__all__ = [
    "SECTIONS",
    "AgentEntry",
    "AgentLeaves",
    "AgentsFile",
    "AnyFile",
    "Defaults",
    "Entry",
    "Expandable",
    "ForcedTool",
    "Hidden",
    "NamespaceFile",
    "SpokenGreeting",
    "TenantFile",
    "TextFile",
    "Transcription",
    "TurnDetection",
]
