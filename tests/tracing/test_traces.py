"""Calls as traces, from the webhook to a collector on a real socket."""

import re
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from sipagent.errors import SettingsError
from sipagent.model import Privacy
from sipagent.model.trace import span_id_of, trace_id_of
from sipagent.routing import RoutingTable
from sipagent.tracing import otlp
from tests.service.conftest import AGENTS as GREETED
from tests.service.conftest import BUSY, RECEPTION, UNKNOWN, Open
from tests.service.test_tools import AGENTS, talk, uses
from tests.tools.support import Wire
from tests.tracing.collector import Collector

CANARY = "canary-5531-of-the-caller"
CARD = "4111 1111 1111 1111"
ALLOW = {"SIPAGENT_HTTP_TOOLS_ALLOW": "127.0.0.0/8"}
SCRIPT: tuple[dict[str, Any], ...] = (
    {"caller": f"Where is order A1? {CANARY}, my card is {CARD}."},
    uses("order_status", {"order_no": "A1"}),
    {"agent": "It is shipped."},
)


async def test_a_call_is_one_trace_from_webhook_to_outcome(
    house: Open, collector: Collector
) -> None:
    async with Wire() as wire, house(AGENTS.format(port=wire.port), **ALLOW) as home:
        await talk(home, *SCRIPT)
        (outcome,) = home.records.outcomes
    (root,) = await collector.until("invoke_workflow")
    call_id = outcome.call_id
    assert {span.trace_id for span in collector.spans} == {trace_id_of(call_id)}
    assert (root.span_id, root.parent_id, root.error) == (span_id_of(call_id), "", "")
    assert root.attributes["sipagent.outcome"] == "completed.agent_hung_up"
    assert (root.began, root.ended) == pytest.approx((outcome.began_at, outcome.ended_at))
    (agent,) = collector.named("invoke_agent clerk")
    accept, attach = collector.one("accept"), collector.one("attach")
    assert {one.parent_id for one in (agent, accept, attach)} == {root.span_id}
    assert root.began <= accept.began <= accept.ended == attach.began <= attach.ended
    tool = collector.one("execute_tool order_status")
    assert (tool.parent_id, tool.error) == (agent.span_id, "")
    assert tool.attributes["sipagent.tool.status"] == "done"
    for span in collector.spans:
        assert root.began - 0.1 <= span.began <= span.ended <= root.ended + 0.1
        assert span.attributes["gen_ai.conversation.id"] == call_id
        assert span.resource["service.name"] == "sipagent"


async def test_each_response_says_which_model_was_asked_and_what_it_took(
    house: Open, collector: Collector
) -> None:
    async with Wire() as wire, house(AGENTS.format(port=wire.port), **ALLOW) as home:
        await talk(home, *SCRIPT)
        usages = {usage.source_id: usage for usage in home.records.usages}
    await collector.until("invoke_workflow")
    responses = collector.named("generate_content gpt-realtime-2.1")
    assert len(responses) >= 4
    (agent,) = collector.named("invoke_agent")
    for span in responses:
        told = span.attributes
        usage = usages[told["gen_ai.response.id"]]
        tokens = usage.bill.tokens
        assert told["gen_ai.operation.name"] == "generate_content"
        assert told["gen_ai.provider.name"] == "openai"
        assert told["gen_ai.request.model"] == told["gen_ai.response.model"] == "gpt-realtime-2.1"
        assert told["gen_ai.usage.output_audio_tokens"] == tokens.audio_out
        assert (
            told["gen_ai.usage.input_tokens"] + told["gen_ai.usage.output_tokens"] == tokens.total
        )
        assert span.parent_id == agent.span_id
        assert span.kind == 3
    finishes = [span.attributes["gen_ai.response.finish_reasons"] for span in responses]
    assert ["tool_call"] in finishes
    assert ["stop"] in finishes
    assert any("sipagent.turn_latency" in span.attributes for span in responses)


async def test_by_default_no_word_number_or_secret_is_in_a_span_a_metric_or_a_line(
    house: Open, collector: Collector
) -> None:
    with capture_logs() as lines:
        async with Wire() as wire, house(AGENTS.format(port=wire.port), **ALLOW) as home:
            await talk(home, *SCRIPT)
            metrics = (await home.client.get("/metrics")).text
    await collector.until("invoke_workflow")
    sent = b"".join(collector.bodies).decode("latin-1")
    for secret in (
        CANARY,
        "shipped",
        "A1",
        "4111",
        "4067704205",
        "7134810111",
        "sk-test",
        "whsec_",
    ):
        assert secret not in sent, secret
        assert secret not in str(lines), secret
    for secret in (CANARY, "4067704205", "7134810111", "rtc_", "sk-test"):
        assert secret not in metrics, secret


async def test_words_are_told_where_they_are_wanted_and_as_records_keep_them(
    house: Open, collector: Collector
) -> None:
    async with (
        Wire() as wire,
        house(AGENTS.format(port=wire.port), **ALLOW, SIPAGENT_TRACE_CONTENT=True) as home,
    ):
        await talk(home, *SCRIPT)
    await collector.until("invoke_workflow")
    (agent,) = collector.named("invoke_agent")
    assert CANARY in agent.attributes["gen_ai.input.messages"]
    assert "It is shipped." in agent.attributes["gen_ai.output.messages"]
    tool = collector.one("execute_tool order_status")
    assert tool.attributes["gen_ai.tool.call.arguments"] == '{"order_no": "A1"}'
    assert "shipped" in tool.attributes["gen_ai.tool.call.result"]
    assert b"4111" not in b"".join(collector.bodies)


@pytest.mark.parametrize("privacy", [Privacy(transcripts=0.0), Privacy(hmac=True)], ids=repr)
async def test_words_of_a_tenant_that_keeps_none_are_never_told(
    house: Open, collector: Collector, privacy: Privacy
) -> None:
    def shaped(table: RoutingTable) -> RoutingTable:
        tenants = {name: replace(one, privacy=privacy) for name, one in table.tenants.items()}
        return replace(table, tenants=tenants)

    async with (
        Wire() as wire,
        house(AGENTS.format(port=wire.port), shaped, **ALLOW, SIPAGENT_TRACE_CONTENT=True) as home,
    ):
        await talk(home, *SCRIPT)
    await collector.until("invoke_workflow")
    assert CANARY.encode() not in b"".join(collector.bodies)
    assert b"A1" not in b"".join(collector.bodies)


async def test_a_tool_is_told_the_trace_only_if_its_host_is_named(
    house: Open, collector: Collector
) -> None:
    for hosts in ("", "other.test", "127.0.0.1"):
        async with (
            Wire() as wire,
            house(AGENTS.format(port=wire.port), **ALLOW, SIPAGENT_TRACE_HOSTS=hosts) as home,
        ):
            await talk(home, *SCRIPT)
            (seen,), (outcome,) = wire.seen, home.records.outcomes
        header = dict(seen.headers).get("traceparent")
        if hosts != "127.0.0.1":
            assert header is None
            continue
        tool = (await collector.until("execute_tool order_status", 3))[-1]
        assert header == f"00-{trace_id_of(outcome.call_id)}-{tool.span_id}-01"


@pytest.mark.parametrize("number", [BUSY, UNKNOWN])
async def test_a_call_that_is_refused_is_a_trace_of_one_span(
    house: Open, collector: Collector, number: str
) -> None:
    async with house(GREETED) as home:
        await home.simulator.place_call(number)
        (outcome,) = await home.outcomes()
    (root,) = await collector.until("invoke_workflow")
    assert [span.name for span in collector.spans] == [root.name]
    assert root.attributes["sipagent.outcome"] == outcome.name
    assert root.attributes["sipagent.sip_code"] == outcome.sip_code


async def test_the_sampler_of_the_environment_decides(
    house: Open, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.0")
    async with house(GREETED) as home:
        await home.simulator.place_call(RECEPTION, script=[])
        await home.outcomes()
    assert collector.bodies == []


@pytest.mark.parametrize(
    "settings", [{"SIPAGENT_TRACES": "off"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}]
)
async def test_there_are_no_traces_where_none_are_wanted(
    house: Open, collector: Collector, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    async with house(GREETED) as home:
        await home.simulator.place_call(RECEPTION, script=[])
        await home.outcomes()
    assert collector.bodies == []


@pytest.mark.parametrize("trouble", ["away", "silent", "failing"])
async def test_a_collector_that_does_not_take_spans_delays_no_call_and_no_end(
    house: Open, collector: Collector, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    collector.silent, collector.status = trouble == "silent", 503 if trouble == "failing" else 200
    if trouble == "away":
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    async with house(GREETED) as home:
        for _ in range(3):
            await home.simulator.place_call(RECEPTION, script=[])
        outcomes = await home.outcomes(3)
        ended = time.monotonic()
    assert time.monotonic() - ended < 6
    assert {one.name for one in outcomes} == {"completed.line_closed"}
    assert collector.spans == []


async def test_how_long_callers_wait_is_measured_without_traces(house: Open) -> None:
    async with Wire() as wire, house(AGENTS.format(port=wire.port), **ALLOW) as home:
        await talk(home, *SCRIPT)
        metrics = (await home.client.get("/metrics")).text
    (line,) = re.findall(r"^sipagent_turn_latency_seconds_count .*$", metrics, re.MULTILINE)
    assert float(line.split()[1]) >= 2


async def test_without_the_extra_it_is_said_what_to_install(
    house: Open, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sipagent.tracing.otlp", None)
    with pytest.raises(SettingsError, match=r"sipagent\[otel\]"):
        async with house(GREETED):
            pass


async def test_what_cannot_be_used_is_told_without_its_value(
    house: Open, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unusable() -> None:
        raise ValueError("s3cret")  # a later SDK may be stricter than this one

    monkeypatch.setattr(otlp, "OTLPSpanExporter", unusable)
    with pytest.raises(SettingsError) as refused:
        async with house(GREETED):
            pass
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_process_without_traces_imports_nothing_of_the_sdk() -> None:
    asked = "import sipagent.app, sys; print('opentelemetry.sdk' in sys.modules)"
    command = [sys.executable, "-c", asked]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
