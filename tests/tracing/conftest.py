"""A house whose calls are traced, beside a collector."""

from collections.abc import AsyncIterator

import pytest

from tests.service.conftest import house as house
from tests.tracing.collector import Collector, collecting


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    """A collector that the environment names."""
    async with collecting() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        yield made
