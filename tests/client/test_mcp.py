"""`sipagent mcp`: the tools of a served API, and the command as a program starts it."""

import json
import os
import sys
from collections.abc import Iterator

import pytest
from mcp import Client as McpClient
from mcp import StdioServerParameters, stdio_client
from typer.testing import CliRunner

from sipagent.cli import app
from sipagent.client import AsyncClient
from sipagent.client.mcp import mcp_server
from tests.api.v1.serving import Served, served
from tests.api.v1.standing import ACME_NUMBER

ENDING = {
    "hang_up",
    "transfer",
    "switch_agent",
    "pause_number",
    "divert_number",
    "resume_number",
    "reload_config",
}
ACTING = {"say", "message", "hold", "resume"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("api")) as api:
        yield api


async def test_tools_say_whether_they_look_act_or_end(api: Served) -> None:
    async with AsyncClient(api.url, api.acme) as client, McpClient(mcp_server(client)) as host:
        tools = (await host.list_tools()).tools
    for tool in tools:
        assert tool.description
        hints = tool.annotations
        assert hints is not None
        assert hints.read_only_hint == (tool.name not in ENDING | ACTING), tool.name
        if not hints.read_only_hint:
            assert hints.destructive_hint == (tool.name in ENDING), tool.name
    assert {tool.name for tool in tools} >= ENDING | ACTING


@pytest.mark.parametrize(
    ("tool", "given", "told"),
    [
        ("who_am_i", {}, "acme admin"),
        ("list_calls", {"live": True}, "rtc_live"),
        ("get_call", {"call": "rtc_1"}, "completed.line_closed"),
        ("why_call", {"call": "rtc_1"}, "decided"),
        ("get_transcript", {"call": "rtc_1"}, "refund"),
        ("search_calls", {"text": "refund"}, "rtc_1"),
        ("list_numbers", {}, ACME_NUMBER),
        ("get_number", {"number": ACME_NUMBER}, "acme"),
        ("list_unrouted", {}, "[]"),
        ("list_agents", {}, "night"),
        ("get_agent", {"agent": "store"}, "marin"),
        ("explain", {"dialed": ACME_NUMBER}, "accept"),
        ("get_usage", {"first": "2026-09-22", "last": "2026-09-22"}, "acme"),
        ("get_latency", {}, "answered"),
        ("get_config", {}, "config_hash"),
        ("list_audit", {"limit": 1}, "hash"),
        ("say", {"call": "rtc_live", "text": "One moment."}, "done"),
        ("message", {"call": "rtc_live", "text": "It is shipped."}, "done"),
        ("hold", {"call": "rtc_live"}, "done"),
        ("resume", {"call": "rtc_live"}, "done"),
        ("hang_up", {"call": "rtc_live"}, "done"),
        ("transfer", {"call": "rtc_live", "destination": "office"}, "done"),
        ("switch_agent", {"call": "rtc_live", "agent": "night"}, "done"),
        ("pause_number", {"number": ACME_NUMBER, "duration": "30m"}, "paused"),
        ("divert_number", {"number": ACME_NUMBER, "to": "office"}, "diverted"),
        ("resume_number", {"number": ACME_NUMBER}, '"order": null'),
    ],
)
async def test_a_tool_does_what_it_is_named_for(
    api: Served, tool: str, given: dict[str, object], told: str
) -> None:
    async with AsyncClient(api.url, api.acme) as client, McpClient(mcp_server(client)) as host:
        result = await host.call_tool(tool, given)
    text = getattr(result.content[0], "text", "")
    assert not result.is_error, text
    assert told in text
    json.loads(text)


async def test_what_is_refused_is_told_to_the_model(api: Served) -> None:
    async with AsyncClient(api.url, api.acme) as client, McpClient(mcp_server(client)) as host:
        for tool, given, told in (
            ("get_call", {"call": "rtc_2"}, "There is no such call."),
            ("hang_up", {"call": "rtc_1"}, "The call is over."),
            ("reload_config", {}, "operator"),
        ):
            result = await host.call_tool(tool, given)
            assert result.is_error
            assert told in getattr(result.content[0], "text", "")


async def test_what_cannot_be_asked_is_told_to_the_model(api: Served) -> None:
    async with AsyncClient(api.url, api.acme) as client, McpClient(mcp_server(client)) as host:
        result = await host.call_tool("get_call", {"call": ".."})
    assert result.is_error
    assert "the name '..'" in getattr(result.content[0], "text", "")


@pytest.mark.parametrize(
    ("words", "token", "code", "told"),
    [
        ([], "t\u00e4st", 78, "SIPAGENT_TOKEN"),
        ([], " ", 78, "SIPAGENT_TOKEN"),
        (["--url", "http://[::1"], "sipa_x", 2, "--url"),
        (["--url", "sip.example"], "sipa_x", 2, "--url"),
    ],
)
def test_the_command_ends_with_words_where_it_cannot_ask(
    words: list[str], token: str, code: int, told: str
) -> None:
    result = CliRunner().invoke(app, ["mcp", *words], env={"SIPAGENT_TOKEN": token})
    assert result.exit_code == code, result.output
    assert told in result.output
    assert "Traceback" not in result.output


async def test_the_command_speaks_over_its_standard_input_and_output(api: Served) -> None:
    variables = {"PATH": os.environ["PATH"], "SIPAGENT_URL": api.url, "SIPAGENT_TOKEN": api.acme}
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "sipagent", "mcp"], env=variables
    )
    async with McpClient(stdio_client(command)) as host:
        result = await host.call_tool("who_am_i", {})
    assert "acme admin" in getattr(result.content[0], "text", "")
