"""What takes calls and holds them: books, gate, supervisor, intake, and the metrics that look at
them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sipagent.api.server import ConnectionStats
from sipagent.config.reload.live import LiveConfiguration
from sipagent.engine.embedded import EmbeddedEngine
from sipagent.errors import SecretError
from sipagent.instruments import Instruments
from sipagent.metrics import Metrics
from sipagent.model import CallId, SecretName, TenantName, TrunkName
from sipagent.providers.registry import Accounts
from sipagent.providers.secrets import SecretSource
from sipagent.routing import Controls, RoutingTable
from sipagent.sessions.breaker import Breakers
from sipagent.sessions.gate import Gate, RecordsGate, WatchedRecords
from sipagent.sessions.headroom import Headroom
from sipagent.sessions.intake import Intake
from sipagent.sessions.logbook import Looks
from sipagent.sessions.ports import Claims, Clock, Engine, Records, Tap, ToolRunner, Words
from sipagent.sessions.recent import RecentEnds
from sipagent.sessions.supervisor import Supervisor, Surroundings
from sipagent.sessions.talks import Ports, Talks
from sipagent.settings import Settings
from sipagent.store.fanout import EachOf
from sipagent.storehouse import Storehouse
from sipagent.tools.consulting import EndpointConsultant
from sipagent.tools.egress import Egress
from sipagent.tools.local import LocalServer
from sipagent.watchroom import Watchroom


class Unwatched:
    """A tap that nobody listens to."""

    def watched(self, call_id: CallId) -> bool:
        return False

    def publish(self, words: Words) -> None:
        """Never called: no call is watched."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A configuration that never changes."""

    table: RoutingTable
    controls: Controls = field(default_factory=Controls)
    trunk_secrets: Mapping[TrunkName, Sequence[bytes]] = field(default_factory=dict)
    webhook_secrets: Mapping[tuple[TenantName, str], SecretSource] = field(default_factory=dict)
    servers: Mapping[str, LocalServer] = field(default_factory=dict)

    def secret(self, tenant: TenantName, name: SecretName) -> str:
        """Raises SecretError: nobody is granted one."""
        raise SecretError(f"the secret {name}", "is not granted")


@dataclass(frozen=True, slots=True)
class Books:
    """Where it is written who holds which call, and what became of them."""

    engine: Engine
    records: Records
    recent: RecentEnds
    clock: Clock
    tap: Tap
    watching: Watchroom | None = None


def books_of(
    house: Storehouse | None, records: Records, tap: Tap | None, metrics: Metrics, clock: Clock
) -> Books:
    """The house's, if there is one, and these records. Whoever watches the calls of a house does so
    through its hub."""
    recent = RecentEnds(clock)
    if house is None:
        engine = EmbeddedEngine(clock)
        return Books(engine, EachOf(records, recent), recent, clock, tap or Unwatched())
    house.forget = recent.forget
    watching = Watchroom(house, metrics)
    kept = watching.beside(EachOf(house.records, records, recent))
    return Books(house.engine, kept, recent, clock, tap or watching.hub, watching)


def _intake(
    settings: Settings,
    fixed: LiveConfiguration | Fixed,
    supervisor: Supervisor,
    books: Books,
    door: Claims,
    egress: Egress,
) -> Intake:
    """Where announced calls come in."""
    return Intake(
        configuration=fixed,
        engine=door,
        supervisor=supervisor,
        records=books.records,
        ring_window=settings.ring_window,
        clock=books.clock,
        process=settings.process_quota,
        consultant=EndpointConsultant(egress, fixed.secret, books.clock),
        recent=books.recent,
    )


def _door(gate: Gate, house: Storehouse | None, settings: Settings) -> Claims:
    """The gate, behind that of the records where no call is to be taken without them."""
    if house is None or settings.without_records == "take":
        return gate
    return RecordsGate(gate, lambda: house.writer.away)


def _supervisor(
    providers: Accounts,
    books: Books,
    gate: Gate,
    tools: ToolRunner,
    looks: Looks,
) -> Supervisor:
    """All calls, with the gate told how they end and what is left of their accounts' limits."""
    watched = WatchedRecords(books.records, gate.breakers)
    limits = gate.headroom.heed
    return Supervisor(
        Surroundings(
            providers,
            books.engine,
            watched,
            books.tap,
            books.clock,
            limits=limits,
            tools=tools,
            looks=looks,
        )
    )


def _observe(
    metrics: Metrics, supervisor: Supervisor, connections: ConnectionStats, accounts: Accounts
) -> None:
    """Have what is true at the moment read whenever metrics are asked for."""
    metrics.observe_active(lambda: supervisor.live)
    metrics.observe_closings(lambda: connections.closings)
    metrics.observe_accounts(
        lambda: {name: health.healthy for name, health in accounts.health().items()}
    )


def _observe_gate(metrics: Metrics, accounts: Accounts, gate: Gate) -> None:
    """Have the metrics show which accounts take new calls now."""

    def breakers() -> Mapping[str, bool]:
        opened = gate.breakers.opened()
        return {name: name in opened for name in accounts.health()}

    def lowered() -> Mapping[str, bool]:
        return {name: gate.headroom.lowered(name) is not None for name in accounts.health()}

    metrics.observe_breakers(breakers)
    metrics.observe_headroom(gate.headroom.shares, lowered)


@dataclass(frozen=True, slots=True)
class Callroom:
    """The calls of one process, and what lets them in."""

    gate: Gate
    supervisor: Supervisor
    intake: Intake
    talks: Talks
    connections: ConnectionStats


def call_room(
    settings: Settings,
    fixed: LiveConfiguration | Fixed,
    providers: Accounts,
    house: Storehouse | None,
    books: Books,
    egress: Egress,
    tools: ToolRunner,
    instruments: Instruments,
    metrics: Metrics,
) -> Callroom:
    """The calls of this configuration, looked at by the metrics."""
    clock, connections = books.clock, ConnectionStats()
    gate = Gate(books.engine, Breakers(clock), Headroom(clock))
    supervisor = _supervisor(providers, books, gate, tools, instruments.looks)
    door = _door(gate, house, settings)
    intake = _intake(settings, fixed, supervisor, books, door, egress)
    ports = Ports(fixed, providers, door, supervisor, books.records, clock)
    talks = Talks(ports, intake.closed, settings.process_quota)
    _observe(metrics, supervisor, connections, providers)
    _observe_gate(metrics, providers, gate)
    return Callroom(gate, supervisor, intake, talks, connections)
