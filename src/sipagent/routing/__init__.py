"""From an incoming call to a decision: the number directory and the rules over it. Pure."""

from sipagent.routing.decide import decide
from sipagent.routing.directory import Action, AnswerWith, NumberDirectory, RejectWith, Route
from sipagent.routing.table import RoutingTable

__all__ = [
    "Action",
    "AnswerWith",
    "NumberDirectory",
    "RejectWith",
    "Route",
    "RoutingTable",
    "decide",
]
