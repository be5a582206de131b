"""`sipagent simulate`: the carrier and the provider on this machine, without keys or a phone."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from sipagent.cli.process import (
    BAD_CONFIGURATION,
    FINDINGS,
    UNREACHABLE,
    USAGE,
    raise_file_limit,
)
from sipagent.errors import SimulatorError

if TYPE_CHECKING:
    import httpx

    from sipagent.simulator import Simulator

app = typer.Typer(
    help="Simulate the carrier and the provider: calls without keys, phone or network.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_LIVE = "http://127.0.0.1:9090"
_WAIT = 30.0


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 9090,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    deliver_to: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the webhooks of calls are posted.")
    ] = None,
) -> None:
    """Serve the simulated provider until interrupted.

    Webhooks are signed with the first secret of OPENAI_WEBHOOK_SECRET; any bearer key is taken.

    Exit codes: 0 stopped by a signal, 3 the port cannot be had, 78 no usable secret.
    """
    import asyncio

    import uvloop

    from sipagent.simulator import Simulator

    try:
        secret = _first_secret(os.environ.get("OPENAI_WEBHOOK_SECRET", ""))
    except SimulatorError as error:
        _fail(BAD_CONFIGURATION, str(error))
    raise_file_limit()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(Simulator(secret, deliver_to), host, port))
    except SimulatorError as error:
        _fail(UNREACHABLE, str(error))


@app.command()
def call(
    to: Annotated[str, typer.Argument(help="The dialed number, or a whole To value.")],
    from_: Annotated[
        str, typer.Option("--from", help="The caller's number, or a whole From value.")
    ] = "+14067704205",
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="'NAME: VALUE'", help="A SIP header, added or in place of its name."),
    ] = None,
    script: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="JSON: the list of what is said, or an object with it and other call options.",
        ),
    ] = None,
    pace: Annotated[
        float, typer.Option(min=0, help="Words per second; 0 is as fast as possible.")
    ] = 6.0,
    deliver_to: Annotated[
        str | None, typer.Option(metavar="URL", help="Where this call's webhook is posted.")
    ] = None,
    simulator: Annotated[str, typer.Option(metavar="URL", help="The running simulator.")] = _LIVE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Place a call on a running simulator and follow it to its end.

    Exit codes: 0 answered, 1 rejected or never answered, 2 usage, 3 no simulator or refused by it.
    """
    if not _call(simulator, _call_body(to, from_, header or [], script, pace, deliver_to), as_json):
        raise typer.Exit(FINDINGS)


def _call(simulator: str, body: dict[str, Any], as_json: bool) -> bool:
    """Whether the call was answered; where it could not even be placed, the command ends."""
    import httpx

    try:
        with httpx.Client(base_url=simulator, trust_env=False, timeout=_WAIT) as client:
            return _follow(client, body, as_json)
    except httpx.InvalidURL as error:
        _fail(USAGE, f"{simulator}: {error}")
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        hint = "start one with `sipagent simulate serve`"
        _fail(UNREACHABLE, f"no simulator answers at {simulator} ({reason}); {hint}")
    except SimulatorError as error:
        _fail(UNREACHABLE, f"the simulator refuses the call: {error}")


async def _serve(simulator: "Simulator", host: str, port: int) -> None:
    import asyncio
    import signal

    from sipagent.simulator.server import serving

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with serving(simulator, host, port):
        where = simulator.deliver_to or "nowhere (no --deliver-to)"
        print(f"simulator listening on {simulator.url}, webhooks go to {where}", flush=True)
        await stopped.wait()


def _first_secret(setting: str) -> str:
    """The secret that signs: the first of those separated by spaces or commas."""
    import base64
    import binascii

    secrets = [secret for secret in re.split(r"[\s,]+", setting) if secret]
    if not secrets:
        raise SimulatorError("OPENAI_WEBHOOK_SECRET is not set: webhooks cannot be signed")
    secret = secrets[0]
    if secret.startswith("whsec_"):
        try:
            base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error as error:
            raise SimulatorError(
                "OPENAI_WEBHOOK_SECRET: what follows whsec_ is not base64"
            ) from error
    return secret


def _call_body(
    to: str, from_: str, headers: list[str], script: Path | None, pace: float, url: str | None
) -> dict[str, Any]:
    body: dict[str, Any] = {"to": to, "from": from_, "pace": pace, "ring_timeout": _WAIT}
    body.update(_read_script(script) if script is not None else {})
    body["deliver"] = False
    if url is not None:
        body["deliver_to"] = url
    for given in headers:
        name, colon, value = given.partition(":")
        if not colon or not name.strip():
            _fail(USAGE, f"--header {given!r}: write 'Name: value'")
        extra = {"name": name.strip(), "value": value.strip()}
        body.setdefault("extra_headers", []).append(extra)
    return body


def _read_script(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        _fail(USAGE, f"{path}: {error}")
    if isinstance(content, list):
        return {"script": content}
    if not isinstance(content, dict):
        _fail(USAGE, f"{path}: a list of steps or an object is wanted")
    return content


def _follow(client: "httpx.Client", body: dict[str, Any], as_json: bool) -> bool:
    """Whether the call was answered, once it has ended."""
    call_id = _post(client, "/simulator/calls", body)["call_id"]
    path = f"/simulator/calls/{call_id}"
    answered = False
    try:
        with client.stream("GET", f"{path}/events", timeout=None) as events:
            _post(client, f"{path}/deliver", {})
            for happening in _happenings(events):
                print(json.dumps(happening) if as_json else _line(happening), flush=True)
                answered = answered or happening.get("state") == "accepted"
                if _is_failed_delivery(happening) and not answered:
                    _post(client, f"{path}/hangup", {})
    except KeyboardInterrupt:
        _post(client, f"{path}/hangup", {})
        raise
    return answered


def _post(client: "httpx.Client", path: str, body: dict[str, Any]) -> Any:
    response = client.post(path, json=body)
    try:
        content = response.json()
    except ValueError:
        content = {}
    if response.is_success and isinstance(content, dict):
        return content
    error = content.get("error", {}) if isinstance(content, dict) else {}
    raise SimulatorError(error.get("message", f"HTTP {response.status_code}"))


def _happenings(events: "httpx.Response") -> Iterator[dict[str, Any]]:
    for line in events.iter_lines():
        happening = json.loads(line)
        if isinstance(happening, dict):
            yield happening


def _is_failed_delivery(happening: dict[str, Any]) -> bool:
    status = happening.get("status")
    return happening["type"] == "delivery" and not (status and 200 <= status < 300)


def _line(happening: dict[str, Any]) -> str:
    """One happening for a reader: when, who or what, and the rest."""
    kind = happening["type"]
    subject = happening.get("who") or (happening["state"] if kind == "state" else kind)
    return f"{happening['at']:7.2f}  {subject:<10} {_detail(kind, happening)}".rstrip()


def _detail(kind: str, happening: dict[str, Any]) -> str:
    match kind:
        case "speech" | "text":
            return str(happening["text"])
        case "interrupted":
            heard = happening["text"]
            return f"(interrupted after: {heard})" if heard else "(interrupted at once)"
        case "state":
            by = f"by {happening['by']}" if "by" in happening else ""
            return str(happening.get("call_id", by))
        case "tool":
            return f"{happening['name']}({happening['arguments']})"
        case "dtmf":
            return f"presses {happening['digits']}"
        case "delivery":
            return str(happening["status"] or happening.get("error"))
        case _:
            shown = {k: v for k, v in happening.items() if k not in {"type", "at", "who"}}
            return " ".join(f"{key}={value}" for key, value in shown.items() if value is not None)


def _fail(code: int, message: str) -> NoReturn:
    typer.echo(f"sipagent simulate: {message}", err=True)
    raise typer.Exit(code)
