"""Who asks something of the control API, and what they may."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sipagent.model.ids import TenantName
from sipagent.model.json import Json


class Scope(StrEnum):
    """What a token lets its bearer do; each includes those before it.

    READ: see calls, numbers, agents, usage. CONTROL: act on calls and numbers that are live. ADMIN:
    tokens, reloads, exports, words of the tenant's own calls for good.
    """

    READ = "read"
    CONTROL = "control"
    ADMIN = "admin"

    def includes(self, other: "Scope") -> bool:
        return _RANKS[self] >= _RANKS[other]


_RANKS: Final = {scope: rank for rank, scope in enumerate(Scope)}


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever a token stands for: one person or program. `tenant` is whose data it may see; None is
    the operator, who sees all tenants' calls but not their words, unless a reason is given that the
    tenant gets to see. `expires_at` is in unix seconds."""

    token_id: str
    name: str
    tenant: TenantName | None
    scope: Scope
    expires_at: float | None = None

    @property
    def is_operator(self) -> bool:
        return self.tenant is None

    def may(self, scope: Scope) -> bool:
        return self.scope.includes(scope)

    def sees(self, tenant: TenantName) -> bool:
        return self.tenant is None or self.tenant == tenant


@dataclass(frozen=True, slots=True)
class Deed:
    """One line for the audit: what was done, to what, of whose data, and what is known besides (no
    secrets, no words of callers). `reason` is given by operators who open a tenant's words."""

    action: str
    target: str
    tenant: TenantName | None
    detail: Json | None = None
    reason: str | None = None
