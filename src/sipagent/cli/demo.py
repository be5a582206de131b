"""`sipagent demo`: the service and the simulator in one process, and three calls to look at."""

import asyncio
import base64
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Final

import typer

from sipagent.app import build, serving
from sipagent.cli.process import BAD_CONFIGURATION
from sipagent.config import Loaded, load
from sipagent.environment import ENVIRONMENT_ACCOUNT
from sipagent.errors import ConfigError
from sipagent.model import (
    AgentName,
    CallId,
    CallOutcome,
    CallPlan,
    Decision,
    Happening,
    IncomingCall,
    Kind,
    Message,
    Speaker,
    ToolStatus,
    ToolUse,
    Transfer,
    Turn,
    Usage,
)
from sipagent.observability import configure_logging
from sipagent.routing import AnswerWith, Route
from sipagent.sessions.ports import Words
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.sip import is_e164
from sipagent.sip.untrusted import visible

_CALLS: Final = 3
_LONGEST_CALL: Final = 300.0
_WIDTH: Final = 80

_ON_THE_PHONE: Final = """
An OpenAI key is set, so a real number can be next:

  1. docs/first-call.md names the steps in OpenAI's dashboard and at your carrier.
  2. The webhook goes to https://<your host>/webhooks/{account}, its secret into
     OPENAI_WEBHOOK_SECRET.
  3. Your carrier sends the number's calls to
     sip:<your OpenAI project id>@sip.api.openai.com;transport=tls
  4. Put the number into {config} and start: sipagent serve
"""

_NO_KEY: Final = """
No key, no phone and no network were used. For a real number see docs/first-call.md.
"""


class Terminal:
    """Prints a call as the service hears it: the tap and the records of the demonstration."""

    def __init__(self) -> None:
        self.outcomes: list[CallOutcome] = []
        self._speaking: str | None = None
        self._ended: dict[CallId, asyncio.Event] = {}
        self._used: dict[CallId, tuple[int, int]] = {}

    def watched(self, call_id: CallId) -> bool:
        return True

    def publish(self, words: Words) -> None:
        if words.item_id != self._speaking:
            self._finish_line()
            self._speaking = words.item_id
            colour = typer.colors.CYAN if words.speaker is Speaker.AGENT else typer.colors.YELLOW
            typer.secho(f"  {words.speaker:>6}  ", fg=colour, nl=False)
        typer.echo(words.delta, nl=False)

    def decided(self, call: IncomingCall, decision: Decision) -> None:
        source = decision.dialed_source or "no header"
        typer.echo(f"  dialed  {decision.dialed or 'unknown'}, as the header `{source}` says")

    def adopted(self, call: IncomingCall, decision: Decision, began_at: float) -> None:
        """Never told: no other process has held these calls."""

    def happened(self, plan: CallPlan, what: Happening, detail: str | None = None) -> None:
        """What happens shows in what is said."""

    def used(self, plan: CallPlan, usage: Usage) -> None:
        cost, tokens = self._used.get(plan.call_id, (0, 0))
        self._used[plan.call_id] = (cost + (usage.cost or 0), tokens + usage.bill.tokens.total)

    def transfer(self, plan: CallPlan, transfer: Transfer) -> None:
        typer.echo(f"  sent on to {transfer.destination}")

    def tool(self, plan: CallPlan, use: ToolUse) -> None:
        self._finish_line()
        good = use.result is ToolStatus.DONE
        said = f" {visible(use.arguments, _WIDTH)}" if use.arguments else ""
        typer.secho(
            f"    tool  {visible(use.name, _WIDTH)}{said}: {use.result} after"
            f" {use.ended - use.began:.1f} s",
            fg=typer.colors.MAGENTA if good else typer.colors.RED,
        )

    async def message(self, plan: CallPlan, message: Message) -> None:
        self._finish_line()
        for name, text in message.fields.items():
            typer.echo(f" message  {visible(name, _WIDTH)}: {visible(text, _WIDTH)}")

    def turn(self, plan: CallPlan, turn: Turn) -> None:
        if turn.interrupted:
            typer.secho(" -- interrupted", dim=True, nl=False)

    def fault(self, plan: CallPlan, kind: str, code: str) -> None:
        typer.secho(f"  provider error: {code}", fg=typer.colors.RED)

    def left(self, plan: CallPlan) -> None:
        """Never told: there is no other replica."""

    def ended(self, outcome: CallOutcome) -> None:
        self._finish_line()
        self.outcomes.append(outcome)
        good = outcome.reason.kind is Kind.COMPLETED
        cost, tokens = self._used.pop(outcome.call_id, (0, 0))
        typer.secho(
            f"   ended  {outcome.name} after {outcome.duration:.1f} s, {outcome.turns} turns,"
            f" {tokens} tokens, {cost / 1_000_000:.4f} USD\n",
            fg=typer.colors.GREEN if good else typer.colors.RED,
        )
        self._over(outcome.call_id).set()

    async def over(self, call_id: CallId) -> None:
        """Wait for the call's outcome."""
        async with asyncio.timeout(_LONGEST_CALL):
            await self._over(call_id).wait()

    def _over(self, call_id: CallId) -> asyncio.Event:
        return self._ended.setdefault(call_id, asyncio.Event())

    def _finish_line(self) -> None:
        if self._speaking is not None:
            self._speaking = None
            typer.echo()


def run(*, config: str, pace: float) -> int:
    """Show the calls; the exit code says whether all of them ended well."""
    try:
        loaded = load(Path(config))
    except ConfigError as error:
        typer.echo(str(error), err=True)
        return BAD_CONFIGURATION
    configure_logging(level="warning", json=False)
    # A proxy of the environment is for the network, which this does not use.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    terminal = Terminal()
    asyncio.run(_show(loaded, terminal, config, pace))
    key = os.environ.get("OPENAI_API_KEY")
    closing = _ON_THE_PHONE.format(account="openai", config=config) if key else _NO_KEY
    typer.echo(closing)
    good = [one for one in terminal.outcomes if one.reason.kind is Kind.COMPLETED]
    return 0 if terminal.outcomes and len(good) == len(terminal.outcomes) else 1


async def _show(loaded: Loaded, terminal: Terminal, config: str, pace: float) -> None:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    with tempfile.TemporaryDirectory(prefix="sipagent-demo-") as data_dir:
        await _serve(loaded, terminal, config, pace, secret, data_dir)


async def _serve(
    loaded: Loaded, terminal: Terminal, config: str, pace: float, secret: str, data_dir: str
) -> None:
    async with running_simulator(secret) as simulator:
        settings = Settings.model_validate(
            {
                "OPENAI_API_KEY": "demonstration",
                "OPENAI_WEBHOOK_SECRET": secret,
                "OPENAI_BASE_URL": simulator.base_url,
                "SIPAGENT_DRAIN_TIMEOUT": 0,
                "SIPAGENT_DATA_DIR": data_dir,
                "SIPAGENT_DATABASE_URL": f"sqlite:///{data_dir}/records.sqlite",
            }
        )
        service = build(settings, loaded.table, records=terminal, tap=terminal, keep=True)
        async with serving(service) as url:
            simulator.deliver_to = f"{url}/webhooks/{ENVIRONMENT_ACCOUNT}"
            typer.echo(f"The service runs at {url}, the simulated provider at {simulator.url}.")
            typer.echo(f"{config} says who answers.\n")
            for number, agent in _numbers(loaded):
                await _call(simulator, terminal, number, agent, pace)


def _numbers(loaded: Loaded) -> list[tuple[str, AgentName]]:
    """The first numbers of the file that one agent answers at all times, each another one."""
    answered: dict[AgentName, str] = {}
    for route in {id(each): each for each in _directory(loaded).values()}.values():
        rule = route.rules[0] if route.rules else None
        if rule is None or rule.conditions or not is_e164(route.key):
            continue
        if isinstance(rule.action, AnswerWith) and not rule.action.split:
            answered.setdefault(rule.action.agent, route.key)
    return [(number, agent) for agent, number in answered.items()][:_CALLS]


def _directory(loaded: Loaded) -> Mapping[str, Route]:
    return loaded.table.directory(ENVIRONMENT_ACCOUNT).exact


async def _call(
    simulator: Simulator, terminal: Terminal, number: str, agent: AgentName, pace: float
) -> None:
    scenes: dict[str, Any] = json.loads(
        resources.files("sipagent.cli").joinpath("demo.json").read_text("utf-8")
    )
    scene = scenes.get(agent, {"from": "+1 406 770 4205"})
    caller = "".join(scene["from"].split())
    typer.secho(f"{scene['from']} calls {number}: {agent}", bold=True)
    extra = {"script": scene["script"]} if "script" in scene else {}
    call_id = await simulator.place_call(number, caller, pace=pace, **extra)
    await terminal.over(CallId(call_id))
