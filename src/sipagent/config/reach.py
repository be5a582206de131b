"""Where calls may be sent, not back to this directory, and what may be asked: for a tenant's own
file only what it is granted."""

from collections.abc import Collection, Mapping
from typing import Final

from sipagent.config.findings import Complaint, Steps
from sipagent.config.gathering import Role
from sipagent.config.numbers import length_problem
from sipagent.config.places import may_come_back, targets
from sipagent.config.schema.base import given
from sipagent.config.schema.numbers import DestinationEntry
from sipagent.config.schema.operations import Grants
from sipagent.config.spaces import Named, Space
from sipagent.config.words import quoted
from sipagent.model import Destination, DestinationName
from sipagent.routing import Reach
from sipagent.routing.targets import number_of, toll

_NO_GRANTS: Final = Grants()


def verify_loops(
    space: Space, destinations: Mapping[DestinationName, Destination], own: Collection[str]
) -> None:
    """Complain of destinations that are numbers of the directory: a call would come back."""
    for name, target in targets(destinations):
        named = space.find("destinations", name)
        if named is None or number_of(target) not in own or may_come_back(named):
            continue
        hint = "a call sent there would come back; allow_own_number: true allows it"
        message = "this is a number of this directory"
        named.source.complain(Complaint(_steps_of(named), message, hint))


def verify_reach(space: Space, destinations: Mapping[DestinationName, Destination]) -> None:
    """Complain of destinations where nobody's calls are sent, and of those where the tenant's may
    not be. What the operator wrote out beside a tenant's own file is the operator's to choose."""
    reach = reach_of(space)
    for name, target in targets(destinations):
        named = space.find("destinations", name)
        if named is None:
            continue
        refusal = reach.refusal(target) if named.source is space.own else None
        if refusal is not None:
            hint = "the operator grants countries and SIP hosts under `tenants`"
            named.source.complain(Complaint(_steps_of(named), refusal, hint))
        elif not destinations[name].any_number and (refusal := toll(target)) is not None:
            odd = length_problem(number_of(target) or "")
            hint = "allow_any_number: true, in a file of the operator's, allows it"
            named.source.complain(Complaint(_steps_of(named), *(odd or (refusal, hint))))


def reach_of(space: Space) -> Reach:
    """Where the tenant's calls may be sent: in a file of its own, only to SIP hosts that the
    operator grants."""
    grants = grants_of(space)
    countries, hosts = given(grants.transfer_countries), given(grants.sip_hosts)
    if space.own.role is Role.TENANT:
        hosts = hosts or []
    return Reach(
        regions=None if countries is None else tuple(countries),
        hosts=None if hosts is None else tuple(hosts),
    )


def grants_of(space: Space) -> Grants:
    """What the operator grants the tenant."""
    entry = space.entry
    return _NO_GRANTS if entry is None else given(entry.grants) or _NO_GRANTS


def host_refusal(space: Space, host: str) -> tuple[str, str] | None:
    """Why nothing in the tenant's own file may ask this host, and what to do; None if it may."""
    if host in (given(grants_of(space).http_hosts) or ()):
        return None
    hint = "the operator grants hosts under `tenants`"
    return f"the tenant may not ask the host {quoted(host)}", hint


def _steps_of(named: Named) -> Steps:
    return (*named.steps, "to") if isinstance(named.value, DestinationEntry) else named.steps
