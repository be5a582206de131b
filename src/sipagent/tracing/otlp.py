"""The OpenTelemetry SDK, as far as it is needed: the environment's sampler, resource and exporter,
and our spans in its form. It is imported when traces are wanted, and nowhere else."""

import logging
import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from sipagent import __version__
from sipagent.model import CallId
from sipagent.model.trace import trace_id_of
from sipagent.tracing.span import Span

_SERVICE = "service.name"
_SCOPE = InstrumentationScope("sipagent", __version__)
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_DEFAULT_ENDPOINT = "http://localhost:4318"
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class Otlp:
    """Sends spans to the collector that the environment names (`OTEL_...`)."""

    def __init__(self, replica: str) -> None:
        """`replica` tells processes apart. Raises ValueError for what cannot be used."""
        # Its errors quote what a collector answers: `Outgoing` says that something is wrong.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        found = Resource.create({"service.version": __version__, "service.instance.id": replica})
        if str(found.attributes.get(_SERVICE, "")).startswith("unknown_service"):
            found = found.merge(Resource({_SERVICE: "sipagent"}))
        self._resource = found
        self._sampler = TracerProvider(resource=found, shutdown_on_exit=False).sampler
        self._exporter = OTLPSpanExporter()

    @property
    def collector(self) -> str:
        """Its host and port, as the environment has them; the rest may hold credentials."""
        named = next(filter(None, map(os.environ.get, _ENDPOINTS)), _DEFAULT_ENDPOINT)
        return urlsplit(named).netloc.rpartition("@")[2]

    def sampled(self, call_id: CallId) -> bool:
        """Whether the call is to be traced: all who are asked of it say the same."""
        trace_id = int(trace_id_of(call_id), 16)
        result = self._sampler.should_sample(None, trace_id, "invoke_workflow")
        return result.decision is Decision.RECORD_AND_SAMPLE

    def send(self, spans: Sequence[Span]) -> bool:
        """Send spans within the exporter's time; whether the collector has taken them."""
        result = self._exporter.export([self._readable(span) for span in spans])
        return result is SpanExportResult.SUCCESS

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            span.name,
            context=_context(span.call_id, span.span_id),
            parent=None if span.parent_id is None else _context(span.call_id, span.parent_id),
            resource=self._resource,
            attributes=span.attributes,
            events=[Event(one.name, one.attributes, _nanoseconds(one.at)) for one in span.events],
            kind=SpanKind.CLIENT if span.outward else SpanKind.INTERNAL,
            status=Status(StatusCode.UNSET if span.error is None else StatusCode.ERROR, span.error),
            start_time=_nanoseconds(span.began),
            end_time=_nanoseconds(span.ended),
            instrumentation_scope=_SCOPE,
        )


def _context(call_id: CallId, span_id: str) -> SpanContext:
    return SpanContext(
        int(trace_id_of(call_id), 16), int(span_id, 16), is_remote=False, trace_flags=_SAMPLED
    )


def _nanoseconds(at: float) -> int:
    return int(at * 1e9)
