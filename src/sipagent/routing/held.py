"""Calls that are held when the operator orders where calls go. Pure: from what a call's plan says
of it, and the table of now."""

from dataclasses import dataclass
from typing import Final

from sipagent.model import AgentName, CallPlan, IncomingCall, Reachable, WebhookId
from sipagent.routing.circumstances import Circumstances, target_of
from sipagent.routing.controls import Controls, Order
from sipagent.routing.decide import timezone_of
from sipagent.routing.directory import Route
from sipagent.routing.moment import Moment
from sipagent.routing.table import RoutingTable
from sipagent.sip import Invite

_UNKNOWN: Final = WebhookId("")


@dataclass(frozen=True, slots=True)
class Sending:
    """A held call that the operator wants sent on: by which order, and the number that it came
    in by."""

    plan: CallPlan
    order: Order
    route: Route

    @property
    def name(self) -> str:
        """The order's: another one for each time that it is given."""
        assert self.order.live is not None
        return str(round(self.order.live * 1000))

    def way(self, table: RoutingTable, now: float) -> Reachable:
        """Where the call is sent at this time (unix seconds). Raises TemplateError, or LookupError
        for a destination that its tenant does not have."""
        order, plan, route = self.order, self.plan, self.route
        assert order.to is not None
        # Nothing that a caller or a carrier has written reaches a destination: the plan says all.
        call = IncomingCall(plan.call_id, _UNKNOWN, plan.account, Invite())
        trunk = None if plan.trunk is None else table.trunks.get(plan.trunk)
        moment = Moment(now, timezone_of(route, table))
        around = Circumstances(call, table, route, trunk, moment, plan.dialed)
        shared = table.destinations.get(order.to)
        destination = shared or around.answering_tenant.destinations[order.to]
        return Reachable(order.to, target_of(around, destination), None, destination.on_failure)


def sending(
    plan: CallPlan, agent: AgentName, table: RoutingTable, live: Controls, now: float
) -> Sending | None:
    """What `live` orders of the operator's make of a call that `agent` holds at this time; None
    where they leave it.

    Only orders about held calls count, the narrowest first: a number that is paused keeps no call
    from being sent on with all others.
    """
    route = _route_of(plan, table)
    if route is None:
        return None
    order = live.order_for(route.tenant, route.key, (plan.tenant, agent), now)
    return None if order is None else Sending(plan, order, route)


def _route_of(plan: CallPlan, table: RoutingTable) -> Route | None:
    """The number of the call, as the directory has it now."""
    directory, dialed = table.directory(plan.account), plan.dialed
    found = None if dialed is None else directory.listed(dialed) or directory.covering(dialed)
    return found or directory.default
