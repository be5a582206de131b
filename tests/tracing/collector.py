"""A collector of OpenTelemetry traces by OTLP over HTTP, as far as one takes part in tests."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.listening import listening
from tests.waiting import eventually


@dataclass(frozen=True, slots=True)
class Told:
    """A span as a collector gets it; times are unix seconds."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began: float
    ended: float
    kind: int
    error: str
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    resource: dict[str, Any]


@dataclass
class Collector:
    """What has come. `status` is what it answers, `silent` that it never does."""

    spans: list[Told] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[bytes] = field(default_factory=list)
    status: int = 200
    silent: bool = False
    url: str = ""

    async def until(self, name: str, many: int = 1, within: float = 30.0) -> list[Told]:
        """The spans of this name, once there are so many."""
        await eventually(lambda: len(self.named(name)) >= many, within)
        return self.named(name)

    def named(self, name: str) -> list[Told]:
        """The spans whose names begin so, in the order in which they ended."""
        found = [span for span in self.spans if span.name.startswith(name)]
        return sorted(found, key=lambda span: span.ended)

    def one(self, name: str) -> Told:
        (found,) = self.named(name)
        return found

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def _answer(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        fields = dict(
            line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line
        )
        body = await reader.readexactly(int(fields[b"content-length"]))
        if fields.get(b"content-encoding", b"").strip() == b"gzip":
            body = gzip.decompress(body)
        self.headers.append(head)
        self.bodies.append(body)
        if self.silent:
            await asyncio.Event().wait()
        if self.status == 200:
            self._take(ExportTraceServiceRequest.FromString(body))
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % self.status)
        await writer.drain()

    def _take(self, request: Any) -> None:
        for of_resource in request.resource_spans:
            resource = attributes(of_resource.resource.attributes)
            for scope in of_resource.scope_spans:
                self.spans += [told(span, resource) for span in scope.spans]


def told(span: Any, resource: dict[str, Any]) -> Told:
    return Told(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        span.kind,
        span.status.message if span.status.code == 2 else "",
        attributes(span.attributes),
        [(event.name, attributes(event.attributes)) for event in span.events],
        resource,
    )


def attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: value(pair.value) for pair in pairs}


def value(found: Any) -> Any:
    kind = found.WhichOneof("value")
    if kind == "array_value":
        return [value(one) for one in found.array_value.values]
    return getattr(found, kind)


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a free port; its `url` is what OTEL_EXPORTER_OTLP_ENDPOINT wants."""
    collector = Collector()
    async with listening(collector.serve) as server:
        collector.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield collector
