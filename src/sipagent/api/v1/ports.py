"""What the control API needs of the service: Protocols, whose real ones `controlroom.py` has.

Awaitables keep their own deadlines. What reads or writes the records may raise what a database
raises; the API answers 503 then.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.errors import TalkError
from sipagent.model import CallId, DestinationName, Json, TenantName
from sipagent.model.access import Deed as Deed
from sipagent.model.access import Principal
from sipagent.model.live import LiveEvent
from sipagent.model.request import CallRequest, Reply
from sipagent.routing import AgentKey, Order, Route, RoutingTable
from sipagent.routing.talks import Talk
from sipagent.sessions.ports import Clock
from sipagent.sessions.talks import TalkBegun
from sipagent.sessions.webrtc import Issued


class Desk(Protocol):
    """Acts on held calls, whichever replica holds them."""

    async def ask(self, call_id: CallId, request: CallRequest, *, key: str = "") -> Reply:
        """Have this done with a call. The same `key` twice is one request. Raises EngineError where
        the engine is away."""


LiveBatches = AsyncIterator[Sequence[LiveEvent]]
"""Events as they come, those that have come together in one piece; an empty one if nothing has
happened for 15 seconds. Ends when the service closes."""


class Watch(Protocol):
    """Shows calls as they happen, whichever replica holds them. No call ever waits for a viewer:
    one that is too slow gets a GAP."""

    def lifecycle(
        self, tenant: TenantName | None, after: str | None = None, *, number: str | None = None
    ) -> AbstractAsyncContextManager[LiveBatches]:
        """Calls of this tenant, or of all, as they begin and end; those since the event with the id
        `after` first. With a `number` (E.164) those to it alone."""

    def call(
        self, call_id: CallId, after: str | None = None
    ) -> AbstractAsyncContextManager[LiveBatches]:
        """One call, turn by turn and word by word, to its end; what has been recorded of it since
        `after` first. Ends after ENDED."""

    async def settle(self, call_id: CallId) -> bool:
        """Whether the call is held here. What has happened to it until now is then in the records,
        unless that takes longer than a second."""

    async def whose(self, call_id: CallId) -> TenantName | None:
        """The tenant of a call that is held, or recorded; None if it is neither."""


class Keys(Protocol):
    """The tokens."""

    async def principal(self, token: str) -> Principal | None:
        """Whoever this token stands for; None for one that is unknown, over or revoked. A revoked
        one is refused within five seconds on all replicas."""

    async def any_operator(self) -> bool:
        """Whether there is an operator's token at all: without one there is no API."""


class Audit(Protocol):
    async def write(self, by: Principal, deed: Deed) -> None:
        """The deed is in the audit, chained to the one before. Raises what a database raises: what
        cannot be written down is not to be done."""

    def owe(self, by: Principal, deed: Deed) -> None:
        """The deed is in the log, and will be in the audit when that can be written: for what must
        be possible without it as well."""


@dataclass(frozen=True, slots=True)
class ReloadTold:
    """What came of a reload: `findings` as file:line:col lines; `changes` what is different now."""

    config_hash: str
    applied: bool
    findings: Sequence[str] = ()
    changes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that is asked about: who would answer it, and why. `dialed` is a number or a whole To
    value, `at` ISO 8601, in the number's zone without an offset, else now; `trunk` counts as
    proven. Headers are names and values as carriers send them."""

    dialed: str
    caller: str | None = None
    at: str | None = None
    headers: Sequence[tuple[str, str]] = ()
    trunk: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """Who would answer: `tenant` is whose number it is, None of one that leads nowhere; `told` is
    the decision with its trace, as `sipagent route --format json` has it."""

    tenant: TenantName | None
    told: Json


class ConfigDesk(Protocol):
    """The configuration in force, as far as it is asked for and changed from outside."""

    @property
    def table(self) -> RoutingTable: ...

    def status(self) -> Json:
        """What is loaded: hash, origin, when, findings, stale tenants, troubles."""

    async def reload(self) -> ReloadTold: ...

    async def diff(self) -> ReloadTold:
        """What a reload would change now: `applied` is whether there is anything to change, and
        the files can be used."""

    def explain(self, asked: Asked) -> Answered:
        """What would happen to a call. Raises QuestionError for what cannot be asked."""

    def rules(self, route: Route) -> str:
        """What happens to a number's calls, one rule after the other, in words."""

    def answering(self, route: Route) -> Sequence[AgentKey]:
        """Every agent that may answer this number's calls."""

    def key_of(self, number: str) -> str | None:
        """The directory's key of a number in any spelling; None if no directory lists it."""

    def destination(self, tenant: TenantName, name: str | None) -> DestinationName | None:
        """The destination of this name that the tenant's calls may be sent to by an order, or
        without a name the tenant's fallback; None if there is none."""

    async def orders(self) -> Sequence[Order]:
        """The orders in force, the narrowest first; none that a tenant's people gave on a number
        that is no longer theirs."""

    async def give(self, order: Order, by: Principal) -> None:
        """The order is in force, on all replicas within a second, in place of those that do the
        same. Raises TooManyOrdersError, and nothing has changed, where some have to be taken back
        first."""

    async def cancel(self, order: Order, by: Principal) -> bool:
        """No order of this scope and name is in force any more, a pause or none as this one is;
        False if none was. A tenant's people take back only what they have given themselves."""


class Records(Protocol):
    @property
    def engine(self) -> AsyncEngine: ...

    def forms_of(self, number: str, tenant: TenantName | None) -> tuple[str, ...]:
        """All forms in which a number may stand in these records: as it is written, as E.164, and
        as the tenant's records have it where they hide numbers."""


class Talks(Protocol):
    """Lets people at a browser talk to agents."""

    async def begin(self, talk: Talk, offer: str, *, who: str) -> TalkBegun:
        """The call of `who`, made of the browser's SDP offer, and held here. Raises TalkError."""

    async def client_secret(self, talk: Talk, lasts: int, *, without_tools: bool) -> Issued:
        """A secret with which another program may begin calls to the agent by itself, for so many
        seconds. Raises TalkError."""


class NoTalks:
    """Nobody talks here."""

    async def begin(self, talk: Talk, offer: str, *, who: str) -> TalkBegun:
        raise TalkError("no-account", "Nobody can talk to agents here.")

    async def client_secret(self, talk: Talk, lasts: int, *, without_tools: bool) -> Issued:
        raise TalkError("no-account", "Nobody can talk to agents here.")


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
    talks: Talks = field(default_factory=NoTalks)
