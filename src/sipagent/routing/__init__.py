"""From an incoming call to a decision: the number directory and the rules over it. Pure.

A *route* is one line of the number directory: a number and its ordered *rules*. A *trunk* is the
carrier's line that a call came by, its *arrival* what is known of that. *Controls* are the
operator's orders, which precede all rules. The *moment* is the time in the number's zone.
"""

from sipagent.routing.advising import advice_of
from sipagent.routing.callers import CallerList, Callers
from sipagent.routing.controls import Controls, Order, Scope
from sipagent.routing.decide import decide
from sipagent.routing.directory import NumberDirectory, Route
from sipagent.routing.limits import within_process
from sipagent.routing.rules import (
    Action,
    AnswerWith,
    Condition,
    ConsultWith,
    DuringHours,
    ForwardTo,
    FromCaller,
    OnDates,
    RejectWith,
    Rule,
    WithHeader,
)
from sipagent.routing.table import FORWARDS, AgentKey, RoutingTable, TenantProfile
from sipagent.routing.targets import Reach
from sipagent.routing.trunks import Arrival, Trunk, arrival, attestation_header, invite_of

__all__ = [
    "FORWARDS",
    "Action",
    "AgentKey",
    "AnswerWith",
    "Arrival",
    "CallerList",
    "Callers",
    "Condition",
    "ConsultWith",
    "Controls",
    "DuringHours",
    "ForwardTo",
    "FromCaller",
    "NumberDirectory",
    "OnDates",
    "Order",
    "Reach",
    "RejectWith",
    "Route",
    "RoutingTable",
    "Rule",
    "Scope",
    "TenantProfile",
    "Trunk",
    "WithHeader",
    "advice_of",
    "arrival",
    "attestation_header",
    "decide",
    "invite_of",
    "within_process",
]
