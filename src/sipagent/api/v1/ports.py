"""What the control API needs of the service: Protocols, whose real ones `controlroom.py` has.

Awaitables keep their own deadlines. What reads or writes the records may raise what a database
raises; the API answers 503 then.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.model import CallId, Json, TenantName
from sipagent.model.access import Principal
from sipagent.model.live import LiveEvent
from sipagent.model.request import CallRequest, Reply
from sipagent.routing import Order, RoutingTable
from sipagent.sessions.ports import Clock


class Desk(Protocol):
    """Acts on held calls, whichever replica holds them."""

    async def ask(self, call_id: CallId, request: CallRequest, *, key: str = "") -> Reply:
        """Have this done with a call. The same `key` twice is one request. Raises EngineError where
        the engine is away."""


class Watch(Protocol):
    """Shows calls as they happen, whichever replica holds them. No call ever waits for a viewer:
    one that is too slow gets a GAP."""

    def lifecycle(
        self, tenant: TenantName | None, after: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[LiveEvent]]:
        """Calls of this tenant, or of all, as they begin and end; those since the event with the id
        `after` first."""

    def call(
        self, call_id: CallId, after: str | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[LiveEvent]]:
        """One call, turn by turn and word by word, to its end; what has been recorded of it since
        `after` first. Ends after ENDED."""


class Keys(Protocol):
    """The tokens."""

    async def principal(self, token: str) -> Principal | None:
        """Whoever this token stands for; None for one that is unknown, over or revoked. A revoked
        one is refused within five seconds on all replicas."""

    async def any_operator(self) -> bool:
        """Whether there is an operator's token at all: without one there is no API."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One line for the audit: what was done, to what, of whose data, and what is known besides (no
    secrets, no words of callers). `reason` is given by operators who open a tenant's words."""

    action: str
    target: str
    tenant: TenantName | None
    detail: Mapping[str, Json] | None = None
    reason: str | None = None


class Audit(Protocol):
    async def write(self, by: Principal, deed: Deed) -> None:
        """The deed is in the audit, chained to the one before. Raises what a database raises: what
        cannot be written down is not to be done."""


@dataclass(frozen=True, slots=True)
class ReloadTold:
    """What came of a reload: `findings` as file:line:col lines; `changes` what is different now."""

    config_hash: str
    applied: bool
    findings: Sequence[str] = ()
    changes: Sequence[str] = ()


class ConfigDesk(Protocol):
    """The configuration in force, as far as it is asked for and changed from outside."""

    @property
    def table(self) -> RoutingTable: ...

    def status(self) -> Mapping[str, Json]:
        """What is loaded: hash, origin, when, findings, stale tenants, troubles."""

    async def reload(self) -> ReloadTold: ...

    async def diff(self) -> Sequence[str]:
        """What a reload would change now."""

    async def orders(self) -> Sequence[Order]:
        """The operator's orders in force."""

    async def give(self, order: Order, by: Principal) -> None:
        """The order is in force, on all replicas within a second."""

    async def cancel(self, order: Order, by: Principal) -> bool:
        """The order of this scope and name is not in force any more; False if none was."""


class Records(Protocol):
    @property
    def engine(self) -> AsyncEngine: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """All that the control API and the console stand on."""

    records: Records
    desk: Desk
    watch: Watch
    keys: Keys
    audit: Audit
    config: ConfigDesk
    clock: Clock
