"""Where a call may be sent."""

from dataclasses import dataclass

from sipagent.model.facts import Schedule, Text
from sipagent.model.ids import DestinationName, TenantName


@dataclass(frozen=True, slots=True)
class Destination:
    """A telephone number or SIP URI by name. Only the operator and the tenant write `to`; values
    of a caller, a header or a model never reach it."""

    name: DestinationName
    tenant: TenantName
    to: Text
    hours: Schedule | None = None
