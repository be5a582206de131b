"""Function calls, MCP servers and scripts that are played as they are written, in virtual time."""

from typing import Any

import pytest

from tests.simulator.support import ACCEPT, Table, assert_official

LOOK = {"type": "function", "name": "look", "parameters": {"type": "object"}}
CRM = {"type": "mcp", "server_label": "crm", "server_url": "https://crm.example/mcp"}


def session(*tools: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**ACCEPT, "tools": list(tools), **fields}


def played(
    script: list[dict[str, Any]], *tools: dict[str, Any], pace: float = 5, **fields: Any
) -> Table:
    return Table(
        script, as_written=True, stay=True, pace=pace, session=session(*tools, **fields)
    ).attach()


def notes(table: Table, kind: str) -> list[dict[str, Any]]:
    return [note for note in table.line.notes if note["type"] == kind]


def approve(table: Table, request_id: str, verdict: bool = True) -> None:
    item = {
        "type": "mcp_approval_response",
        "id": f"a{len(table.events)}",
        "approval_request_id": request_id,
        "approve": verdict,
    }
    table.send("conversation.item.create", item=item)


def asked_for_approval(tool: dict[str, Any]) -> Table:
    use = {"server": "crm", "name": "find", "arguments": {"n": 1}, "output": "[]"}
    table = Table([{"mcp": use}], stay=True, session=session(tool)).attach()
    return table.send("response.create").run()


def test_a_caller_who_speaks_cuts_the_arguments_of_a_call() -> None:
    script = [{"tool": {"name": "look", "arguments": {"words": "a long text " * 9}}}]
    table = played(script, LOOK).send("response.create")
    table.run(0.1)
    table.conversation.say("Stop", 0.1)
    (item,) = table.last("response.done")["response"]["output"]
    assert item["status"] == "incomplete"
    assert not item["arguments"].endswith("}")
    assert table.last("response.function_call_arguments.done")["arguments"] == item["arguments"]
    assert table.last("response.done")["response"]["status"] == "cancelled"
    assert notes(table, "tool")[0]["status"] == "incomplete"


def test_the_response_after_the_outputs_is_the_next_line() -> None:
    looks = [{"name": "look"}, {"name": "look"}]
    script: list[dict[str, Any]] = [{"tool": looks}, {"agent": "Two."}]
    table = played(script, LOOK).send("response.create").run()
    for call in table.last("response.done")["response"]["output"]:
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": "{}"}
        table.send("conversation.item.create", item=item)
    table.send("response.create").run()
    assert table.last("response.output_audio_transcript.done")["transcript"] == "Two."
    assert [note["index"] for note in notes(table, "step")] == [0, 1]


@pytest.mark.parametrize("choice", [{"tool_choice": "none"}, {"tool_choice": "none", "tools": []}])
def test_a_response_without_tools_takes_no_line_that_uses_one(choice: dict[str, Any]) -> None:
    table = played([{"tool": {"name": "look"}}], LOOK)
    table.send("response.create", response={"instructions": "Say that you look.", **choice}).run()
    assert table.last("response.output_audio_transcript.done")["transcript"] == "Say that you look."
    table.send("response.create").run()
    assert notes(table, "tool")[0]["name"] == "look"


def test_what_the_client_asks_to_say_takes_no_line_of_a_script_that_is_played_as_written() -> None:
    table = played([{"agent": "My line."}])
    asked = {"instructions": 'Say no more than this: "One moment."'}
    table.send("response.create", response=asked).run()
    table.send("response.create").run()
    said = [event["transcript"] for event in table.all("response.output_audio_transcript.done")]
    assert said == ["One moment.", "My line."]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"tool": {"name": "look"}}, {"name": "look", "offered": ["other"]}),
        ({"mcp": {"server": "crm", "name": "find"}}, {"name": "crm/find", "offered": ["other"]}),
    ],
)
def test_a_model_cannot_use_what_the_session_does_not_offer(
    step: dict[str, Any], told: dict[str, Any]
) -> None:
    other = {**LOOK, "name": "other"}
    table = played([step], other).send("response.create").run()
    (note,) = notes(table, "not_offered")
    assert {key: note[key] for key in told} == told
    kinds = [item["type"] for item in table.last("response.done")["response"]["output"]]
    assert kinds == ["message"]


def test_the_model_quotes_its_instructions() -> None:
    instructions = "# Role\n\nYou are Alex.\n- We open at\n  nine. Be kind."
    table = played([{"quotes": "we open"}, {"quotes": "Sunday"}], instructions=instructions)
    table.send("response.create").run()
    said = table.last("response.output_audio_transcript.done")["transcript"]
    assert said == "We open at nine."
    table.send("response.create").run()
    assert [note["words"] for note in notes(table, "not_instructed")] == ["Sunday"]


def test_servers_are_listed_when_the_session_has_them() -> None:
    table = Table([], stay=True, session=session({**CRM, "allowed_tools": ["find"]})).attach()
    assert table.kinds == [
        "mcp_list_tools.in_progress",
        "conversation.item.added",
        "conversation.item.done",
        "mcp_list_tools.completed",
    ]
    item = table.last("conversation.item.done")["item"]
    assert [tool["name"] for tool in item["tools"]] == ["find"]
    table.clear()
    update = {"type": "realtime", "tools": [CRM, {**CRM, "server_label": "erp"}]}
    table.send("session.update", session=update)
    assert table.kinds.count("mcp_list_tools.completed") == 1


@pytest.mark.parametrize(
    ("extra", "end"), [({"output": "[1]"}, "completed"), ({"error": "down"}, "failed")]
)
def test_a_server_is_used_without_a_word(extra: dict[str, Any], end: str) -> None:
    tool = {**CRM, "require_approval": "never"}
    script = [{"mcp": {"server": "crm", "name": "find", "arguments": {"n": 1}, **extra}}]
    table = Table(script, stay=True, session=session(tool)).attach().send("response.create").run()
    (item,) = table.last("response.done")["response"]["output"]
    assert (item["type"], item["name"], item["arguments"]) == ("mcp_call", "find", '{"n": 1}')
    assert item.get("output") == extra.get("output")
    assert table.kinds.count(f"response.mcp_call.{end}") == 1
    assert "output_audio_buffer.started" not in table.kinds
    for event in table.events:
        assert_official(event)


@pytest.mark.parametrize("rule", [None, "always", {"never": {"tool_names": ["other"]}}])
def test_an_approved_use_happens_in_a_response_of_its_own(rule: Any) -> None:
    table = asked_for_approval(CRM if rule is None else {**CRM, "require_approval": rule})
    (request,) = table.last("response.done")["response"]["output"]
    assert request["type"] == "mcp_approval_request"
    table.clear()
    approve(table, request["id"])
    assert table.kinds[:3] == [
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    (item,) = table.last("response.done")["response"]["output"]
    assert (item["type"], item["output"]) == ("mcp_call", "[]")
    assert item["approval_request_id"] == request["id"]
    for event in table.events:
        assert_official(event)


def test_an_approval_waits_until_no_response_is_active() -> None:
    use = {"server": "crm", "name": "find", "output": "[]"}
    script: list[dict[str, Any]] = [{"mcp": use}, {"agent": "One two three four five six."}]
    table = Table(script, stay=True, pace=2, session=session(CRM)).attach()
    table.send("response.create").run(1)
    (request,) = table.last("response.done")["response"]["output"]
    table.send("response.create")
    approve(table, request["id"])
    assert table.kinds.count("response.mcp_call.completed") == 0
    table.run()
    assert table.kinds.count("response.mcp_call.completed") == 1


def test_a_use_that_is_not_approved_does_not_happen() -> None:
    table = asked_for_approval(CRM)
    (request,) = table.last("response.done")["response"]["output"]
    approve(table, request["id"], verdict=False)
    assert "response.mcp_call.completed" not in table.kinds
    table.clear()
    for request_id in (request["id"], "mcpr_other"):
        approve(table, request_id)
    assert [event["error"]["param"] for event in table.all("error")] == [
        "item.approval_request_id"
    ] * 2


@pytest.mark.parametrize(
    ("tools", "extra", "words"),
    [
        ([{**LOOK, "parameters": {"type": "string"}}], {}, "got 'type: \"string\"'"),
        ([{**LOOK, "parameters": {"properties": {}}}], {}, "got 'type: null'"),
        ([LOOK, LOOK], {}, "must be unique"),
        ([LOOK], {"tool_choice": {"type": "function", "name": "f"}}, "'f' not found"),
        ([{**LOOK, "name": "a.b"}], {}, "tools[0].name"),
        ([{**LOOK, "name": "x" * 65}], {}, "maximum length 64"),
    ],
)
def test_tools_that_the_api_refuses(
    tools: list[dict[str, Any]], extra: dict[str, Any], words: str
) -> None:
    table = Table(stay=True).attach()
    table.send("session.update", session={"type": "realtime", "tools": tools, **extra})
    assert table.kinds == ["error"]
    assert words in table.last("error")["error"]["message"]
