"""A process that goes on with a call goes on with its trace."""

from pathlib import Path

from sipagent.model import CallId
from sipagent.model.trace import span_id_of, trace_id_of
from sipagent.simulator import running_simulator
from tests.process.running import RECEPTION, SECRET, environment, held, start
from tests.tracing.collector import collecting


async def test_whoever_takes_a_call_over_goes_on_with_its_trace(tmp_path: Path) -> None:
    async with running_simulator(SECRET) as simulator, collecting() as collector:
        variables = environment(
            tmp_path, simulator.base_url, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url
        )
        simulator.deliver_to = f"http://127.0.0.1:{variables['PORT']}/webhooks/openai"
        first = await start(tmp_path, variables)
        second = None
        try:
            await first.ready()
            call_id = CallId(await held(simulator, RECEPTION))
            (greeting,) = await collector.until("generate_content")
            await first.kill()
            second = await start(tmp_path, variables)
            await second.ready()
            await simulator.until(call_id, lambda call: call.attachments == 2, timeout=30)
            simulator.hang_up(call_id)
            (root,) = await collector.until("invoke_workflow")
            lines = second.log
        finally:
            await first.kill()
            if second is not None:
                await second.kill()
    assert {span.trace_id for span in collector.spans} == {trace_id_of(call_id)}
    assert (root.span_id, root.parent_id) == (span_id_of(call_id), "")
    assert root.began <= greeting.began <= greeting.ended < root.ended
    replicas = [span.resource["service.instance.id"] for span in (greeting, root)]
    assert len(set(replicas)) == 2
    of_call = [line for line in lines if line.get("call_id") == call_id]
    assert {"call adopted", "call ended"} <= {line["event"] for line in of_call}
    assert {line["trace_id"] for line in of_call} == {trace_id_of(call_id)}
