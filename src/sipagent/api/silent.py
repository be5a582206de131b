"""FastAPI's own telemetry is off: its spans hold addresses as they are asked for, and in those
stand telephone numbers and words that are searched for. Our spans are in `tracing`."""

from typing import Final

from fastapi.telemetry import TelemetryConfig

SILENT: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False}
