"""What measures a process from within: the event loop's pulse, and its calls' traces where they are
wanted."""

import asyncio
import socket
import uuid
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from sipagent.errors import SettingsError
from sipagent.metrics import Metrics
from sipagent.model import AccountName, CallId, TenantName
from sipagent.providers.accounts import AccountSpec
from sipagent.pulse import Pulse
from sipagent.routing import RoutingTable
from sipagent.sessions.logbook import Looks
from sipagent.sessions.ports import Clock, Records
from sipagent.settings import Settings
from sipagent.store.fanout import EachOf
from sipagent.tracing.outgoing import Outgoing
from sipagent.tracing.records import TraceRecords
from sipagent.tracing.telling import hosts_of, trace_headers

FLUSHED_WITHIN: Final = 3.0
"""Seconds for the last spans, when the process ends."""

_PROVIDERS: Final = {"openai": "openai", "azure": "azure.ai.openai"}
"""The providers' names by the conventions."""


class InForce(Protocol):
    """The configuration in force."""

    @property
    def table(self) -> RoutingTable: ...


class Specs(Protocol):
    """The accounts that there are."""

    @property
    def specs(self) -> tuple[AccountSpec, ...]: ...


@dataclass(frozen=True, slots=True)
class Traces:
    """The traces of one process's calls."""

    records: TraceRecords
    outgoing: Outgoing
    sampled: Callable[[CallId], bool]
    hosts: frozenset[str]

    def headers(self, call_id: CallId, span: tuple[str, ...], url: str) -> Mapping[str, str]:
        """What a request of the call's to this URL says of its trace."""
        return trace_headers(call_id, span, url, self.hosts, self.sampled)


class Instruments:
    """As a context they measure until the block ends; what is to be sent then has a moment for
    it."""

    def __init__(self, metrics: Metrics, traces: Traces | None) -> None:
        self.traces = traces
        waited = metrics.calls.turn_latency.observe
        self.looks = Looks(waited) if traces is None else Looks(waited, traces.records.look)
        self._pulse = Pulse(metrics.loop_lag.observe)
        self._stack = AsyncExitStack()

    def beside(self, records: Records) -> Records:
        """These records, and the traces beside them."""
        return records if self.traces is None else EachOf(records, self.traces.records)

    def headers(self, call_id: CallId, span: tuple[str, ...], url: str) -> Mapping[str, str]:
        """What a request of the call's to this URL, within this span, says of its trace."""
        return {} if self.traces is None else self.traces.headers(call_id, span, url)

    async def __aenter__(self) -> Self:
        if self.traces is not None:
            self._stack.push_async_callback(self._flush, self.traces.outgoing)
        await self._stack.enter_async_context(self._pulse)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _flush(self, outgoing: Outgoing) -> None:
        await asyncio.to_thread(outgoing.close, FLUSHED_WITHIN)


def instruments_of(
    settings: Settings, metrics: Metrics, clock: Clock, in_force: InForce, accounts: Specs
) -> Instruments:
    """The instruments that the settings want. Raises SettingsError for traces that cannot be
    made."""
    if not settings.traced:
        return Instruments(metrics, None)
    try:
        from sipagent.tracing.otlp import Otlp  # the SDK takes 150 ms, and is an extra
    except ImportError:
        advice = "SIPAGENT_TRACES: needs the extra otel: pip install 'sipagent[otel]'"
        raise SettingsError((advice,)) from None
    try:
        otlp = Otlp(f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}")
    except (ValueError, OSError) as error:
        # Its text may quote the environment, where credentials stand.
        problem = f"OTEL_...: the exporter cannot be made of it ({type(error).__name__})"
        raise SettingsError((problem,)) from None

    def provider(account: AccountName) -> str:
        kinds = (one.provider for one in accounts.specs if one.name == account)
        return _PROVIDERS.get(next(kinds, "openai"), "openai")

    def worded(tenant: TenantName) -> bool:
        privacy = in_force.table.privacy(tenant)
        # Numbers that nobody may see in records can be said, and stand in words.
        return settings.trace_content and privacy.transcripts > 0 and not privacy.hmac

    outgoing = Outgoing(otlp.send, metrics.trace_spans, to=otlp.collector)
    records = TraceRecords(outgoing.put, otlp.sampled, provider, worded, clock)
    return Instruments(
        metrics, Traces(records, outgoing, otlp.sampled, hosts_of(settings.trace_hosts))
    )
