"""A service with everything on in which secrets, numbers and words are planted, and all of its
surfaces to look for them."""

import asyncio
import base64
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import httpx

from sipagent.api.console import session, signin
from sipagent.api.console.application import PAGES
from sipagent.api.console.shell import Shell
from sipagent.concurrency import SystemClock
from sipagent.simulator import Simulator, running_simulator
from tests.process.running import Process, environment, start
from tests.tools.support import Wire
from tests.tracing.collector import Collector, collecting

NUMBER, BETA_NUMBER = "+17134810111", "+17134810122"
CALLER: Final = "4067704205"
NAME: Final = "Quillfeather"
SENTENCE: Final = "seven grey herons flew over Nashua"
CARDS: Final = ("4242424242424242", "5555555555554444", "378282246310005")
"""Said by the caller, pressed for a sensitive tool, and pressed for another one."""


def _secret(name: str) -> str:
    return "whsec_" + base64.b64encode(f"canary-of-the-{name}-0123456789".encode()).decode()


SECRETS: Final = {
    "API key": "sk-canary-4711-of-the-account",
    "webhook secret": _secret("provider"),
    "tenant's webhook secret": _secret("tenant"),
    "tool token": "crm-canary-4711-of-the-tool",
    "trunk secret": "trunk-canary-4711-of-the-line",
    "collector key": "otlp-canary-4711-of-the-collector",
    "privacy key": "privacy-canary-4711-of-the-records",
}

MAIN = """
version: 1
defaults: {{model: gpt-realtime-2.1, transcription: gpt-live-transcribe}}
trunks:
  line: {{dialed_header: x-number, secret: {{header: X-Trunk-Key, value: "${{TRUNK_KEY}}"}}}}
tenants:
  acme:
    privacy: {{redact: [card]}}
    grants: {{secrets: {{crm: {{file: crm.token}}}}}}
    webhooks:
      live:
        url: "http://127.0.0.1:{port}/hook"
        secret: {{file: acme.hook}}
        include: [transcript]
  beta: {{}}
  default: {{grants: {{secrets: {{crm: {{file: crm.token}}}}}}}}
agents:
  clerk:
    instructions: You know about orders.
    greeting: Hello.
    tools:
      - hang_up
      - take_message: {{fields: [name, message]}}
      - transfer: [office]
      - collect_digits: {{name: card, length: 16, sensitive: true}}
      - collect_digits: {{name: member, length: 15}}
      - http:
          name: order_status
          description: Look up an order.
          url: "http://127.0.0.1:{port}/orders"
          auth: {{bearer: {{secret: crm}}}}
          parameters: {{type: object, properties: {{order: {{type: string}}}}, required: [order]}}
          bind: {{caller: "{{{{ caller.e164 }}}}", code: "{{{{ digits.card }}}}"}}
  plain: {{instructions: You wait.}}
destinations: {{office: "+1 713 481 0199"}}
numbers:
  "{number}": {{agent: clerk, tenant: acme, trunk: line}}
  "{beta}": {{agent: plain, tenant: beta}}
"""

SCRIPT: Final[list[Any]] = [
    {"caller": f"I tell you that {SENTENCE}."},
    {"agent": "I see."},
    {"caller": "My card is 4242 4242 4242 4242."},
    {"agent": "So 4242 4242 4242 4242 it is. Press another one."},
    {"caller": "I will."},
    {"tool": {"name": "card", "arguments": {}}},
    {"pause": 0.3},
    {"dtmf": CARDS[1]},
    {"agent": "Thank you, and one more."},
    {"caller": "Well."},
    {"tool": {"name": "member", "arguments": {}}},
    {"pause": 0.3},
    {"dtmf": CARDS[2]},
    {"agent": "Your order?"},
    {"caller": "Where is it?"},
    {"tool": {"name": "order_status", "arguments": {"order": f"A1 of {CARDS[0]}"}}},
    {"agent": "It is shipped."},
    {"caller": "Take a message."},
    {"tool": {"name": "take_message", "arguments": {"name": "Ann", "message": SENTENCE}}},
    {"agent": "That is all."},
]


@dataclass
class House:
    """A running service, and whoever asks it: people by their names."""

    folder: Path
    process: Process
    simulator: Simulator
    collector: Collector
    wire: Wire
    variables: dict[str, str]
    tokens: dict[str, str] = field(default_factory=dict)

    def client(self, name: str | None) -> httpx.AsyncClient:
        """The control API as this one has it; nobody's without a name."""
        headers = {} if name is None else {"Authorization": f"Bearer {self.tokens[name]}"}
        return httpx.AsyncClient(base_url=self.process.url, headers=headers, timeout=30)

    def visit(self, name: str) -> tuple[httpx.AsyncClient, str]:
        """The console as this one has it, signed in, and what their forms bring back."""
        kept = session.begin(self.tokens[name], time.time())
        read = session.read({session.PLAIN: kept}, time.time())
        assert read is not None
        cookies = {session.PLAIN: kept}
        client = httpx.AsyncClient(base_url=self.process.url, cookies=cookies, timeout=30)
        return client, read.csrf

    async def run(self, *words: str) -> str:
        """What a command of the operator's says."""
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sipagent", *words),
            env=self.variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await running.communicate()
        return told.decode()

    async def token(self, name: str, *words: str) -> None:
        told = await self.run("tokens", "create", "--name", name, *words)
        (self.tokens[name],) = re.findall(r"sipa_[\w-]+", told)

    def secrets(self) -> dict[str, str]:
        """All that may stand nowhere, tokens among it."""
        return SECRETS | {f"token of {name}": _bare(text) for name, text in self.tokens.items()}


def _bare(token: str) -> str:
    """A token without its id, which is no secret."""
    return token.split("_", 2)[2]


PEOPLE: Final = {
    "olga": ("--operator", "--scope", "admin"),
    "walt": ("--operator", "--scope", "read"),
    "ann": ("--tenant", "acme", "--scope", "admin"),
    "ray": ("--tenant", "acme", "--scope", "read"),
    "bea": ("--tenant", "beta", "--scope", "admin"),
    "spare": ("--tenant", "acme", "--scope", "read"),
}


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    async with (
        running_simulator(SECRETS["webhook secret"]) as simulator,
        collecting() as collector,
        Wire() as wire,
    ):
        main = MAIN.format(port=wire.port, number=NUMBER, beta=BETA_NUMBER)
        (folder / "agents.yaml").write_text(main)
        (folder / "crm.token").write_text(SECRETS["tool token"])
        (folder / "acme.hook").write_text(SECRETS["tenant's webhook secret"])
        variables = environment(
            folder,
            simulator.base_url,
            OPENAI_API_KEY=SECRETS["API key"],
            OPENAI_WEBHOOK_SECRET=SECRETS["webhook secret"],
            TRUNK_KEY=SECRETS["trunk secret"],
            SIPAGENT_PRIVACY_KEY=SECRETS["privacy key"],
            SIPAGENT_HTTP_TOOLS_ALLOW="127.0.0.0/8",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_EXPORTER_OTLP_HEADERS=f"api-key={SECRETS['collector key']}",
            LOG_LEVEL="debug",
        )
        process = await start(folder, variables)
        simulator.deliver_to = f"{process.url}/webhooks/openai"
        made = House(folder, process, simulator, collector, wire, variables)
        try:
            await process.ready()
            for name, words in PEOPLE.items():
                await made.token(name, *words)
            await _known(made)
            yield made
        finally:
            await process.kill()


async def _known(made: House) -> None:
    """The service knows everybody."""
    for name in made.tokens:
        async with made.client(name) as client, asyncio.timeout(30):
            while (await client.get("/api/v1/me")).status_code != 200:
                await asyncio.sleep(0.1)


def pages() -> Iterator[tuple[str, str]]:
    """Every address of the console and its method, as the modules of its pages have them."""
    clock = SystemClock()
    backend = cast("Any", SimpleNamespace(clock=clock))
    shell = Shell(cast("Any", None), clock, cast("Any", None))
    for router in (signin.router(shell), *(page(backend, shell) for page in PAGES)):
        for route in router.routes:
            for method in sorted(getattr(route, "methods", ())):
                yield method, f"/console{route.path}"
