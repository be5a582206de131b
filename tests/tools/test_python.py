"""An operator's own functions: what may be one, what the model sees of it, what it can do wrong."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import EntryPoint
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from structlog.testing import capture_logs

from sipagent.model import Effects, Json, PythonCall, ToolResult, ToolStatus
from sipagent.sessions.ports import ToolRequest
from sipagent.toolkit import ToolCall, ToolError, tool
from sipagent.tools.python import PythonTools, UnusableError, described
from tests.tools.support import a_request


class Place(BaseModel):
    street: str
    number: int = 1


@tool(effects="once", timeout=2.5)
async def typed(
    call: ToolCall,
    order_no: Annotated[str, Field(description="Such as A-1.", max_length=8)],
    count: int = 1,
    *,
    json: Literal["a", "b"] | None = None,
    when: date = date(2026, 1, 1),
    place: Place | None = None,
) -> dict[str, Any]:
    """Do something.

    With a second line.
    """
    return {"order": order_no, "count": count, "json": json, "when": when, "place": place}


async def bare(call: ToolCall) -> str:
    """Do it."""
    return "done\nit"


def result(function: Any, arguments: Json | None = None, **kwargs: Any) -> Awaitable[ToolResult]:
    tools = PythonTools(lambda: ())
    tools._loaded["mine"] = described("mine", function)
    does = PythonCall("mine")
    return tools.run(a_request(does, arguments, **kwargs), does)


def error_in(given: ToolResult) -> Any:
    return json.loads(given.output)["error"]


def test_a_function_is_described_by_its_signature() -> None:
    function = described("typed", typed)
    assert function.description == "Do something.\n\nWith a second line."
    assert (function.effects, function.timeout) == (Effects.ONCE, 2.5)
    schema = dict(function.parameters)
    definitions = schema.pop("$defs")
    assert definitions["Place"]["required"] == ["street"]
    assert schema == {
        "type": "object",
        "additionalProperties": False,
        "required": ["order_no"],
        "properties": {
            "order_no": {"type": "string", "maxLength": 8, "description": "Such as A-1."},
            "count": {"type": "integer", "default": 1},
            "json": {
                "anyOf": [{"enum": ["a", "b"], "type": "string"}, {"type": "null"}],
                "default": None,
            },
            "when": {"type": "string", "format": "date", "default": "2026-01-01"},
            "place": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}], "default": None},
        },
    }


def test_a_function_without_arguments_has_a_schema_too() -> None:
    function = described("bare", bare)
    assert function.parameters == {
        "type": "object",
        "additionalProperties": False,
        "properties": {},
    }
    assert (function.effects, function.timeout) == (Effects.IDEMPOTENT, 10.0)


async def no_docstring(call: ToolCall) -> str:
    return ""


async def no_call(order_no: str) -> str:
    """Do it."""
    return order_no


async def untyped(call: ToolCall, order_no) -> str:  # type: ignore[no-untyped-def]
    """Do it."""
    return str(order_no)


async def many(call: ToolCall, *orders: str, **more: str) -> str:
    """Do it."""
    return ""


async def odd(call: ToolCall, what: Callable[[], int]) -> str:
    """Do it."""
    return ""


async def unknown(call: ToolCall, what: "Nowhere") -> str:  # type: ignore[name-defined]  # noqa: F821
    """Do it."""
    return ""


def plain(call: ToolCall) -> str:
    """Do it."""
    return ""


@dataclass
class Opaque:
    lock: object


async def opaque(call: ToolCall, what: asyncio.Lock) -> str:
    """Do it."""
    return ""


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (plain, "no async function"),
        (5, "no async function"),
        (no_docstring, "no docstring"),
        (no_call, "ToolCall as its first parameter"),
        (untyped, "of which type order_no is"),
        (many, "no name of its own"),
        (odd, "no JSON Schema"),
        (opaque, "no JSON Schema"),
        (unknown, "types that cannot be read"),
    ],
)
def test_what_is_no_tool_says_why(function: Any, reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        described("mine", function)


async def test_arguments_are_converted() -> None:
    arguments = {
        "order_no": "A-1",
        "json": "b",
        "when": "2026-11-29",
        "place": {"street": "Main", "number": "7"},
    }
    given = await result(typed, arguments)
    assert given.status is ToolStatus.DONE
    assert json.loads(given.output) == {
        "order": "A-1",
        "count": 1,
        "json": "b",
        "when": "2026-11-29",
        "place": {"street": "Main", "number": 7},
    }
    assert (await result(bare)) == ToolResult(ToolStatus.DONE, "done it")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"order_no": 5},
        {"order_no": "canary-too-long"},
        {"order_no": "A-1", "count": "canary"},
        {"order_no": "A-1", "canary": 1},
        {"order_no": "A-1", "when": "canary"},
        {"order_no": "A-1", "place": {"street": ["canary"]}},
    ],
)
async def test_arguments_that_do_not_fit_are_refused_before_it_runs(arguments: Json) -> None:
    given = await result(typed, arguments)
    assert (given.status, given.detail) == (ToolStatus.REFUSED, "arguments")
    problems = json.loads(given.output)["problems"]
    assert problems
    assert "canary-" not in given.output


async def test_the_call_is_told() -> None:
    seen: list[ToolCall] = []

    async def looks(call: ToolCall) -> str:
        """Look."""
        seen.append(call)
        return ""

    await result(looks)
    (call,) = seen
    assert (call.id, call.call_id, call.tenant, call.agent) == (
        "call_1",
        "rtc_1",
        "default",
        "reception",
    )


async def test_what_goes_wrong_in_it_stays_in_it() -> None:
    def raising(error: BaseException) -> Any:
        async def function(call: ToolCall) -> str:
            """Do it."""
            raise error

        return function

    with capture_logs() as lines:
        for error in (
            ValueError("canary"),
            TimeoutError("canary"),
            SystemExit("canary"),
            RecursionError("canary"),
            ExceptionGroup("canary", [ValueError("canary")]),
        ):
            given = await result(raising(error))
            assert given == ToolResult(
                ToolStatus.FAILED, '{"error":"the tool failed"}', type(error).__name__
            )
        once = await result(raising(OSError("canary")), effects=Effects.ONCE)
        assert (once.detail, "not known whether" in once.output) == ("OSError", True)
    assert "canary" not in str(lines)
    assert {line["function"].rpartition(".")[2] for line in lines} == {"function"}


async def test_it_may_say_what_the_model_is_to_do() -> None:
    async def asks(call: ToolCall) -> str:
        """Do it."""
        raise ToolError("ask the caller\nfor the order's number")

    given = await result(asks)
    assert (given.status, given.detail) == (ToolStatus.FAILED, "ToolError")
    assert error_in(given) == "ask the caller for the order's number"


async def test_it_has_its_time() -> None:
    cancelled = asyncio.Event()

    async def hangs(call: ToolCall) -> str:
        """Do it."""
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ""

    once = await result(hangs, timeout=0.01, effects=Effects.ONCE)
    assert (once.status, cancelled.is_set()) == (ToolStatus.TIMED_OUT, True)
    assert "not known whether it was done" in once.output
    again = await result(hangs, timeout=0.01)
    assert error_in(again) == "no answer in time"


async def test_what_it_gives_may_be_no_json() -> None:
    async def gives(call: ToolCall) -> Any:
        """Do it."""
        return {"lock": object(), "canary": 1}

    with capture_logs() as lines:
        given = await result(gives)
    assert (given.status, given.detail) == (ToolStatus.FAILED, "no JSON")
    assert "canary" not in str(lines)


async def test_an_entry_point_that_is_not_there_fails_the_tool() -> None:
    tools, does = PythonTools(lambda: ()), PythonCall("gone")
    given = await tools.run(a_request(does), does)
    assert (given.status, given.detail) == (ToolStatus.FAILED, "not loaded")


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, "sipagent.tools")


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([], "is no entry point"),
        ([entry("other", "json:dumps")], "is no entry point"),
        ([entry("mine", "no_such_package:f")], "cannot be imported: ModuleNotFoundError"),
        ([entry("mine", "json:no_such_name")], "cannot be imported: AttributeError"),
        ([entry("mine", "json:dumps"), entry("mine", "json:loads")], "more than one package"),
        ([entry("mine", "json:dumps")], "is no async function"),
    ],
)
def test_an_entry_point_that_cannot_be_used(entries: list[EntryPoint], reason: str) -> None:
    with pytest.raises(UnusableError, match=reason):
        PythonTools(lambda: entries).function("mine")


@pytest.mark.parametrize("timeout", [0, -1, 301])
def test_a_timeout_has_bounds(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        tool(timeout=timeout)


def test_a_request_shows_no_arguments() -> None:
    request: ToolRequest = a_request(PythonCall("mine"), {"a": "canary"})
    assert "canary" not in repr(request)
