"""Tenants' webhooks are told the trace where their host is named, and nobody else is."""

import pytest

from sipagent.model import CallId
from sipagent.model.trace import span_id_of, traceparent
from tests.service.test_webhooks_out import House
from tests.service.test_webhooks_out import house as house
from tests.service.test_webhooks_out import receiver as receiver
from tests.tracing.collector import Collector


@pytest.mark.parametrize("hosts", ["", "other.test", "127.0.0.1"])
async def test_a_webhook_is_told_the_trace_only_if_its_host_is_named(
    house: House, collector: Collector, monkeypatch: pytest.MonkeyPatch, hosts: str
) -> None:
    monkeypatch.setenv("SIPAGENT_TRACE_HOSTS", hosts)
    async with house.open():
        call_id = CallId(await house.call())
        await house.receiver.until("call.started", "call.ended")
    told = traceparent(call_id, span_id_of(call_id))
    assert house.receiver.traces == {told if hosts == "127.0.0.1" else None}
    await collector.until("invoke_workflow")
