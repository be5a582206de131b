"""A thousand argument objects, most of them hostile, and the very bytes that a server gets: nothing
but the arguments, each in its place."""

import json
import random
from typing import Any
from urllib.parse import parse_qsl, unquote

from sipagent.model import HttpRequest, SecretName, ToolStatus
from sipagent.tools.output import cleaned
from tests.tools.support import SECRET, Seen, Wire, a_request, loopback_egress, ok, tools_of

PIECES = [
    *(
        "A-17",
        "x",
        " ",
        "",
        "7",
        "\u00fc",
        "\u4e16\u754c",
        "\U0001f600",
        "\u202e",
        "\u200b",
        "\ud800",
    ),
    *(
        "\r\n",
        "\n",
        "\r",
        "\0",
        "\x1b[2J",
        "\x7f",
        "\r\nHost: evil.test\r\n\r\nGET /admin HTTP/1.1",
    ),
    *("..", "../", "..\\", "/", "//evil.test/", "\\", "%2e%2e", "%2f", "%252e", "%00", ";", "."),
    *(
        "?",
        "&admin=true",
        "#",
        "=",
        "@evil.test",
        "http://169.254.169.254/",
        ":",
        "{no}",
        "{caller}",
    ),
    *('"', "'", '","admin":true,"x":"', "}", "]", "<script>", "$(id)", "{{ 7*7 }}", "${HOME}"),
    *(
        "' OR 1=1 --",
        "SYSTEM: transfer",
        "a" * 300,
        "Bearer x",
        "\ufeff",
        "\u2028",
        "{0.__class__}",
    ),
]
HEADERS = {
    *("host", "user-agent", "accept", "accept-encoding", "content-type", "content-length"),
    *("authorization", "x-store"),
}


def a_value(dice: random.Random, depth: int = 0) -> Any:
    kind = dice.randrange(9 if depth < 3 else 6)
    if kind < 4:
        return "".join(dice.choice(PIECES) for _ in range(dice.randrange(5)))
    if kind == 4:
        return dice.choice([0, -1, 2**70, 1.5, 1e300, float("nan"), float("inf")])
    if kind == 5:
        return dice.choice([None, True, False])
    if kind == 6:
        return [a_value(dice, depth + 1) for _ in range(dice.randrange(4))]
    return {a_name(dice): a_value(dice, depth + 1) for _ in range(dice.randrange(4))}


def a_name(dice: random.Random) -> str:
    return dice.choice(["a", "b", "caller", "__proto__", "constructor", *PIECES])


def some_arguments(dice: random.Random) -> dict[str, Any]:
    arguments = {name: a_value(dice) for name in ("no", "q", "note") if dice.random() < 0.8}
    extra = {a_name(dice): a_value(dice) for _ in range(dice.randrange(4))}
    return {**extra, **arguments}


def check(seen: Seen, arguments: dict[str, Any]) -> None:
    """What came is the tool's request, with the arguments in their places."""
    assert seen.method == "POST"
    assert seen.target.isascii()
    assert seen.target.isprintable()
    path, _, query = seen.target.partition("?")
    empty, version, orders, no, lines = path.split("/")
    assert (empty, version, orders, lines) == ("", "v1", "orders", "lines")
    assert unquote(no) == text(arguments["no"])
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    expected = [("fixed", "1")]
    if arguments.get("q") is not None:
        expected.insert(0, ("q", text(arguments["q"])))
    assert pairs == expected
    body = json.loads(seen.body)
    left = {name: value for name, value in arguments.items() if name not in ("no", "q")}
    assert body == {**left, "caller": "+17135550177"}
    assert {name.lower() for name, _ in seen.headers} == HEADERS
    assert len(seen.headers) == len(HEADERS)
    assert seen.header("authorization") == f"Bearer {SECRET}"
    assert seen.header("host") == f"api.test:{PORT}"


def text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


PORT = 0


async def test_nothing_but_the_arguments_reaches_the_wire() -> None:
    global PORT
    dice, sent, refused = random.Random(5), 0, 0

    async def answers(seen: Seen) -> bytes:
        return ok(seen.body)

    async with Wire(answers) as wire, loopback_egress() as egress:
        PORT = wire.port
        tools = tools_of(egress)
        does = HttpRequest(
            "POST",
            f"http://api.test:{wire.port}/v1/orders/{{no}}/lines?q={{q}}&fixed=1",
            headers={"X-Store": "s1"},
            secret=SecretName("crm_token"),
            bind={"caller": "+17135550177"},
        )
        for _ in range(1_000):
            arguments = some_arguments(dice)
            before = len(wire.seen)
            result = await tools.run(a_request(does, arguments), does)
            if len(wire.seen) > before:
                assert len(wire.seen) == before + 1
                check(wire.seen[-1], arguments)
                sent += 1
            else:
                assert result.status in (ToolStatus.REFUSED, ToolStatus.FAILED)
                refused += 1
            output = result.output
            assert len(output.encode()) <= 16 * 1024
            assert cleaned(output) == output
            assert json.loads(output) is not None
        # One server saw them all on one connection: none of them was read as two.
        assert wire.connections == 1
    assert (sent + refused, sent > 300, refused > 100) == (1_000, True, True)


async def test_no_header_carries_a_line_break() -> None:
    hostile = [piece for piece in PIECES if set(piece) & set("\r\n\0\x1b\x7f")]
    async with Wire() as wire, loopback_egress() as egress:
        for piece in hostile:
            does = HttpRequest("GET", f"http://api.test:{wire.port}/", headers={"X-Store": piece})
            result = await tools_of(egress).run(a_request(does), does)
            assert result.detail == "refused: header value"
        assert (wire.connections, len(hostile) > 5) == (0, True)
