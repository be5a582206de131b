"""What docs/tools.md shows is as it says."""

import json
import re
from pathlib import Path
from typing import Any

from sipagent.model import Effects, PythonCall, ToolStatus
from sipagent.tools.addresses import Allow
from sipagent.tools.circuit import FAILURES, LONGEST_PAUSE, SHORTEST_PAUSE
from sipagent.tools.egress import CONNECT_WITHIN, LARGEST_ANSWER, LARGEST_BODY, MOST_AT_ONCE
from sipagent.tools.output import MOST_BYTES
from sipagent.tools.python import PythonTools, described
from sipagent.tools.targets import DANGEROUS_PORTS
from tests.tools.support import a_request

PAGE = (Path(__file__).parents[2] / "docs" / "tools.md").read_text("utf-8")


def block(language: str, at: int = 0) -> str:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found[at]


async def test_the_function_that_is_shown_is_a_tool() -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)  # noqa: S102  # our own page
    function = described("order_status", names["order_status"])
    assert (function.effects, function.timeout) == (Effects.NONE, 3)
    tools = PythonTools(lambda: ())
    tools._loaded["order_status"] = function
    does = PythonCall("order_status")
    found = await tools.run(a_request(does, {"order_no": "A-1001"}), does)
    assert json.loads(found.output) == {"state": "shipped"}
    unknown = await tools.run(a_request(does, {"order_no": "A-1002"}), does)
    assert (unknown.status, unknown.detail) == (ToolStatus.FAILED, "ToolError")


def test_the_list_that_is_shown_can_be_read() -> None:
    lines = block("sh", 1).strip()
    allow = Allow.parse(lines.removeprefix("SIPAGENT_HTTP_TOOLS_ALLOW="))
    assert (len(allow.networks), len(allow.names)) == (2, 2)


def test_the_bounds_are_the_documented_ones() -> None:
    text = " ".join(PAGE.split())
    for words in (
        f"{CONNECT_WITHIN:.0f} seconds for a connection",
        f"{LARGEST_ANSWER // 1024} KiB for an answer",
        f"{LARGEST_BODY // 1024**2} MiB for a request",
        f"{MOST_AT_ONCE} requests at once",
        f"failed {FAILURES} times in a row",
        f"alone for {SHORTEST_PAUSE:.0f} seconds",
        f"at most {MOST_BYTES // 1024} KiB, without control",
    ):
        assert words in text, words
    assert LONGEST_PAUSE == 60
    assert {6379, 5432, 2375} <= DANGEROUS_PORTS
