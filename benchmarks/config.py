"""`python -m benchmarks.config`: how long a large configuration takes to load.

Exit codes: 0 all bounds hold, 1 one is missed. A configuration of 10,000 numbers, 150 tenants and
1,000 agents is written into a temporary folder and read in a thread, as a reload does, while an
event loop ticks every millisecond: first once in each of several fresh processes, which have yet
to compile every template, then again and again in one. What a process imports before it loads is
told apart.
"""

import asyncio
import gc
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

NUMBERS, TENANTS, AGENTS, TEMPLATED, TABLES = 10_000, 150, 1_000, 100, 4
FRESH, ROUNDS = 3, 5
TICK = 0.001
MOST_SECONDS, MOST_STALL = 1.0, 0.020
LATE = (
    "sipagent.config.templates.checks",
    "sipagent.config.templates.filters",
    "opening_hours",
    "phonenumbers",
)
"""What is imported by the first text, opening hours or number that needs it."""

MAIN = """\
version: 1
include: [common/agents.yaml, tenants/*/tenant.yaml]
accounts:
  us-1: {api_keys: {file: us-1.keys}, webhook_secrets: {file: us-1.hooks}}
  eu-1: {region: eu, api_keys: {file: eu-1.keys}, webhook_secrets: {file: eu-1.hooks}}
trunks:
  twilio: {carrier: twilio, secret: {header: X-Trunk-Key, file: twilio.key}, expose: [x-store-id]}
models:
  standard: {model: gpt-realtime-2.1, voice: marin}
defaults:
  model: standard
  rules: "If you are asked whether you are human, say that you are a virtual assistant."
numbers: {table: numbers/*.csv, default: {reject: 404}}
"""

COMMON = """\
namespace: common
agents:
  shop:
    vars: {store: required, address: required, store_phone: {type: phone}, offer: {default: all}}
    languages: [en, es]
    disclosure: {en: You speak with an assistant of {{ vars.store }}., es: Un asistente.}
    greeting: {en: "This is {{ vars.store }}. How can I help?", es: "{{ vars.store }}. ¿Dígame?"}
""".replace("{en: You speak with an assistant of {{ vars.store }}.", '{en: "Of {{ vars.store }}."')

PROMPT = """\
You answer for {{ vars.store }}, {{ vars.address }}. It is {{ now|when }}.
{% if hours[number.hours].open %}The shop is open until {{ hours[number.hours].closes|time }}.
{% else %}The shop is closed.{% endif %}
The number of the shop is {{ vars.store_phone|phone }}. We offer {{ vars.offer }}.
The caller's number is {{ caller.e164|phone|default('not known') }}.
"""


def write(folder: Path) -> Path:
    """The configuration in this folder; returns its main file."""
    tenants = [f"tenant{at}" for at in range(TENANTS)]
    own = {name: _agents(at) for at, name in enumerate(tenants)}
    entries = "".join(
        f"  {name}: {{account: {('us-1', 'eu-1')[at % 2]}, timezone: America/Chicago}}\n"
        for at, name in enumerate(tenants)
    )
    (folder / "common").mkdir()
    (folder / "numbers").mkdir()
    (folder / "common" / "agents.yaml").write_text(COMMON)
    (folder / "agents.yaml").write_text(MAIN + "tenants:\n" + entries)
    for at, name in enumerate(tenants):
        home = folder / "tenants" / name
        (home / "prompts").mkdir(parents=True)
        (home / "prompts" / "store.md").write_text(PROMPT + f"You are agent {at}.\n" * 20)
        (home / "tenant.yaml").write_text(_tenant(name, own[name]))
    for at in range(TABLES):
        rows = [_row(number, tenants, own) for number in range(at, NUMBERS, TABLES)]
        header = "number,tenant,trunk,agent,hours,language,store,address,store_phone\n"
        (folder / "numbers" / f"{at}.csv").write_text(header + "".join(rows))
    return folder / "agents.yaml"


def _agents(at: int) -> list[tuple[str, bool]]:
    """The agents of one tenant, each with whether it has variables."""
    numbers = range(at, AGENTS, TENANTS)
    return [(f"agent{number}", number < TEMPLATED) for number in numbers]


def _tenant(name: str, agents: list[tuple[str, bool]]) -> str:
    lines = [
        f"  {agent}: {{extends: common/shop, instructions: {{file: prompts/store.md}}}}\n"
        if templated
        else f"  {agent}: {{instructions: You are {agent}., greeting: Hello, speed: 1.1}}\n"
        for agent, templated in agents
    ]
    hours = '{mon-fri: "09:00-18:00", sat: "10:00-14:00", holidays: US}'
    return f"tenant: {name}\nhours: {{office: {hours}}}\nagents:\n{''.join(lines)}"


def _row(number: int, tenants: list[str], own: dict[str, list[tuple[str, bool]]]) -> str:
    tenant = tenants[number % TENANTS]
    agent = own[tenant][number // TENANTS % len(own[tenant])][0]
    place = f'Store {number},"{number} Main Street, Houston",+1713555{number:04d}'
    return f"+1 713 4{number:06d},{tenant},twilio,{agent},office,en,{place}\n"


async def measured(load: Callable[[], object]) -> tuple[float, float]:
    """How long loading takes in a thread, and the loop's longest delay meanwhile, in seconds."""
    longest, loading = 0.0, asyncio.create_task(asyncio.to_thread(load))
    began = last = time.perf_counter()
    while not loading.done():
        await asyncio.sleep(TICK)
        now = time.perf_counter()
        longest, last = max(longest, now - last - TICK), now
    await loading
    return time.perf_counter() - began, longest


def load(path: Path) -> tuple[float, float]:
    """One reading of the files: its time and the loop's longest delay."""
    from sipagent.config.reload.apart import read_version

    gc.collect()
    return asyncio.run(measured(lambda: read_version(path, None, {})))


def load_first(path: Path) -> None:
    """Print what the first load of this process takes, and before it the imports, also those that
    only templates, hours and regions ask for."""
    began = time.perf_counter()
    for name in ("sipagent.config.reload.apart", *LATE):
        importlib.import_module(name)
    print(json.dumps([time.perf_counter() - began, *load(path)]))


def in_a_fresh_process(path: Path) -> list[float]:
    """Seconds of imports, seconds of the first load, the longest stall."""
    command = [sys.executable, "-m", "benchmarks.config", str(path)]
    done = subprocess.run(command, check=True, capture_output=True)
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def main() -> int:
    """Measure, and say whether the bounds hold."""
    from benchmarks.report import machine

    with tempfile.TemporaryDirectory() as name:
        path = write(Path(name))
        fresh = [in_a_fresh_process(path) for _ in range(FRESH)]
        again = [load(path) for _ in range(ROUNDS + 1)][1:]
    for imports, seconds, stall in fresh:
        print(f"fresh process: {seconds:.3f} s, stall {_ms(stall)} (imports {imports:.3f} s)")
    for seconds, stall in again:
        print(f"reload: {seconds:.3f} s, stall {_ms(stall)}")
    first = max(seconds for _, seconds, _ in fresh)
    slowest = max(seconds for seconds, _ in again)
    longest = max(each[-1] for each in (*fresh, *again))
    about = machine()
    print(f"{NUMBERS:,} numbers, {TENANTS} tenants, {AGENTS:,} agents")
    print(f"{about['cpu']}, {about['cores']} cores, {about['python']}")
    print(f"slowest load of a fresh process: {first:.3f} s (bound {MOST_SECONDS:g} s)")
    print(f"slowest reload: {slowest:.3f} s (bound {MOST_SECONDS:g} s)")
    print(f"longest stall: {_ms(longest)} (bound {_ms(MOST_STALL)})")
    return 0 if max(first, slowest) < MOST_SECONDS and longest < MOST_STALL else 1


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        load_first(Path(sys.argv[1]))
    else:
        raise SystemExit(main())
