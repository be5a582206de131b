"""Where a call may be sent."""

from dataclasses import dataclass

from sipagent.model.facts import Text
from sipagent.model.ids import DestinationName, TenantName


@dataclass(frozen=True, slots=True)
class Destination:
    """A telephone number or SIP URI by name. Only the operator and the tenant write `to`; values
    of a caller, a header or a model never reach it. `hours` names the tenant's hours in which it
    can be reached; `on_failure` are the steps that follow when nobody takes the call there.
    `purpose` tells the model what it is for. It is an ordinary number, unless the operator has
    said that it may be `any_number`."""

    name: DestinationName
    tenant: TenantName
    to: Text
    hours: Text | None = None
    on_failure: tuple[str, ...] = ()
    purpose: str | None = None
    any_number: bool = False
