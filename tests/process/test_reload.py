"""A reload of the running process: what asks for it, what shows it, and what calls see of it."""

import asyncio
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sipagent.cli.process import UNREACHABLE
from sipagent.config.reload.in_force import fingerprint_of
from sipagent.config.reload.orders import OrderFile
from sipagent.config.reload.versions import VersionStore
from sipagent.routing.controls import Order, Scope
from sipagent.simulator import Simulator
from tests.process.running import Process, environment, held, serving, start

DESK, POLITE = "+17134810111", "+17134810133"
POLITE_GREETING = "Thank you for calling us. " * 3
AGENTS = f"""
version: 1
defaults: {{model: gpt-realtime-2.1}}
agents:
  desk: {{instructions: You are the old desk.}}
  polite:
    instructions: You are the old polite one.
    greeting: {{say: "{POLITE_GREETING}", interruptible: false}}
    turn_detection: {{type: semantic_vad, eagerness: low}}
numbers: {{"{DESK}": desk, "{POLITE}": polite}}
"""
BROKEN = AGENTS.replace("  desk:", "  desk: {voise: marin}\n  other:")
"""Its first mistake stands in line 5."""


@dataclass(frozen=True)
class Told:
    """What the process says of its configuration."""

    status: str
    degraded: dict[tuple[str, str], str]
    hash: str
    origin: str
    metrics: str

    @property
    def successful(self) -> bool:
        return "sipagent_config_last_reload_successful 1.0" in self.metrics

    def count(self, result: str) -> int:
        found = re.search(rf'config_reloads_total{{result="{result}"}} (\d+)', self.metrics)
        return int(found[1]) if found else 0


async def told(process: Process) -> Told:
    """What both say of one moment: no reload came between the one answer and the other."""
    metrics, before, ready = "", [""], {}
    while configuration(metrics) != before:
        before = configuration((await process.get("/metrics")).text)
        ready = (await process.get("/readyz")).json()
        metrics = (await process.get("/metrics")).text
    found = re.search(r'sipagent_config_info{hash="(\w+)",origin="(\w+)"} 1', metrics)
    assert found is not None
    degraded = {(one["part"], one["code"]): one["detail"] for one in ready.get("degraded", [])}
    return Told(ready["status"], degraded, found[1], found[2], metrics)


def configuration(metrics: str) -> list[str]:
    """The lines about the configuration."""
    return [line for line in metrics.splitlines() if line.startswith("sipagent_config_")]


async def until(process: Process, holds: Callable[[Told], object]) -> Told:
    """Ask again and again until the process says so, ten seconds at most."""
    seen = None
    try:
        async with asyncio.timeout(10):
            while not holds(seen := await told(process)):
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"still {seen}")
    return seen


def replace(path: Path, text: str) -> None:
    """What a careful editor does."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.replace(path)


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    path = tmp_path / "agents.yaml"
    path.write_text(AGENTS)
    return path


async def persona(simulator: Simulator, number: str = DESK) -> str:
    """What a call to the number is told to be."""
    call_id = await held(simulator, number)
    (session,) = simulator.call(call_id).accepts
    simulator.hang_up(call_id)
    return str(session["instructions"])


async def test_an_edit_by_rename_is_taken_within_seconds(tmp_path: Path, agents: Path) -> None:
    async with serving(tmp_path) as (process, simulator):
        before = await told(process)
        assert (before.status, before.origin, before.successful) == ("ready", "files", True)
        assert await persona(simulator) == "You are the old desk."
        replace(agents, AGENTS.replace("old", "new"))
        after = await until(process, lambda told: told.hash != before.hash)
        assert (after.status, after.origin) == ("ready", "files")
        assert await persona(simulator) == "You are the new desk."
    (line,) = [line for line in process.log if line["event"] == "configuration in force"]
    assert (line["config_hash"], line["before"]) == (after.hash, before.hash)
    changes = [line["change"] for line in process.log if line["event"] == "configuration changed"]
    assert any("default/desk" in change for change in changes)
    assert "new desk" not in str(process.log)


async def test_an_edit_between_the_start_and_the_watching_is_not_missed(
    tmp_path: Path, agents: Path
) -> None:
    """The file is read some hundred milliseconds before anything watches it."""
    process = await start(tmp_path, environment(tmp_path, "http://127.0.0.1:1/v1"))
    try:
        async with asyncio.timeout(20):
            while not process.log:
                await asyncio.sleep(0.001)
        replace(agents, AGENTS.replace("old", "new"))
        await process.ready()
        (starting,) = [line for line in process.log if line["event"] == "starting"]
        await until(process, lambda told: told.hash != starting["config_hash"])
    finally:
        process.running.kill()
        await process.running.wait()


async def test_a_signal_reads_the_files_again(tmp_path: Path, agents: Path) -> None:
    async with serving(tmp_path) as (process, _):
        count = (await told(process)).count("usable")
        process.signal(signal.SIGHUP)
        after = await until(process, lambda told: told.count("usable") > count)
        assert (after.status, process.running.returncode) == ("ready", None)


async def test_a_swapped_folder_of_links_is_taken(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: each file is a link through `..data`, which is swapped."""
    mount = tmp_path / "mount"
    for name, word in (("..one", "old"), ("..two", "new")):
        (mount / name).mkdir(parents=True)
        (mount / name / "agents.yaml").write_text(
            AGENTS.replace("You are the old desk.", "{file: desk.md}")
        )
        (mount / name / "desk.md").write_text(f"You are the {word} desk.")
    (mount / "..data").symlink_to("..one")
    for name in ("agents.yaml", "desk.md"):
        (mount / name).symlink_to(f"..data/{name}")
    settings = {"SIPAGENT_CONFIG": str(mount / "agents.yaml")}
    async with serving(tmp_path, **settings) as (process, simulator):
        before = await told(process)
        assert await persona(simulator) == "You are the old desk."
        (mount / "..data_tmp").symlink_to("..two")
        (mount / "..data_tmp").rename(mount / "..data")
        await until(process, lambda told: told.hash != before.hash)
        assert await persona(simulator) == "You are the new desk."


async def test_a_broken_edit_shows_everywhere_and_its_repair_heals(
    tmp_path: Path, agents: Path
) -> None:
    async with serving(tmp_path) as (process, simulator):
        before = await told(process)
        replace(agents, BROKEN)
        seen = await until(process, lambda told: told.status == "degraded")
        place = f"{agents}:5:10: agents.desk.voise: "
        assert seen.degraded[("config", "refused")].startswith(place)
        assert (seen.hash, seen.origin, seen.successful) == (before.hash, "files", False)
        assert seen.count("refused") >= 1
        assert await persona(simulator) == "You are the old desk."
        process.signal(signal.SIGHUP)
        await until(process, lambda told: told.count("refused") > seen.count("refused"))
        replace(agents, AGENTS)
        healed = await until(process, lambda told: told.status == "ready")
        assert (healed.hash, healed.successful) == (before.hash, True)
    (line,) = [line for line in process.log if line["event"] == "configuration refused"]
    assert line["findings"][0].startswith(place)
    assert [line["event"] for line in process.log].count("configuration in force") == 1


async def test_a_call_keeps_its_persona_over_a_reload(tmp_path: Path, agents: Path) -> None:
    """A greeting that nobody may interrupt is followed by the persona's own turn detection."""
    async with serving(tmp_path) as (process, simulator):
        before = await told(process)
        script = [{"agent": POLITE_GREETING}]
        call_id = await simulator.place_call(POLITE, stay=True, script=script, pace=4)
        replace(agents, AGENTS.replace("old", "new").replace("low", "high"))
        await until(process, lambda told: told.hash != before.hash)
        call = simulator.call(call_id)
        assert "session.update" not in str(call.client_events)
        await simulator.until(
            call_id, lambda call: "session.update" in str(call.client_events), timeout=30
        )
        (update,) = [one for one in call.client_events if one["type"] == "session.update"]
        detection = update["session"]["audio"]["input"]["turn_detection"]
        assert (detection["type"], detection["eagerness"]) == ("semantic_vad", "low")
        assert await persona(simulator, POLITE) == "You are the new polite one."


async def test_a_start_on_broken_files_serves_what_was_stored(tmp_path: Path, agents: Path) -> None:
    async with serving(tmp_path) as (process, _):
        before = await told(process)
    agents.write_text(BROKEN)
    async with serving(tmp_path) as (process, simulator):
        seen = await told(process)
        assert (seen.status, seen.hash, seen.origin) == ("degraded", before.hash, "stored")
        assert set(seen.degraded) == {("config", "serving-stored"), ("config", "refused")}
        assert not seen.successful
        assert await persona(simulator) == "You are the old desk."
        replace(agents, AGENTS)
        await until(process, lambda told: (told.status, told.origin) == ("ready", "files"))


async def test_a_rollback_of_another_process_is_taken_and_ends(
    tmp_path: Path, agents: Path
) -> None:
    store = VersionStore(tmp_path / "data")
    async with serving(tmp_path) as (process, simulator):
        first = await told(process)
        replace(agents, AGENTS.replace("old", "new"))
        second = await until(process, lambda told: told.hash != first.hash)
        store.pin(first.hash, fingerprint_of(agents, store))
        seen = await until(process, lambda told: told.origin == "rollback")
        assert (seen.hash, set(seen.degraded)) == (first.hash, {("config", "serving-rollback")})
        assert await persona(simulator) == "You are the old desk."
        store.unpin()
        seen = await until(process, lambda told: told.origin == "files")
        assert (seen.hash, seen.status) == (second.hash, "ready")
        store.pin(first.hash, fingerprint_of(agents, store))
        await until(process, lambda told: told.origin == "rollback")
        replace(agents, AGENTS.replace("old", "newest"))
        await until(process, lambda told: told.origin == "files")
        assert await persona(simulator) == "You are the newest desk."


ORDER = """
import sys, time
from pathlib import Path
from sipagent.config.reload.orders import OrderFile
from sipagent.routing.controls import Order, Scope
order = Order(Scope.ALL, code=603, until=time.time() + float(sys.argv[2]))
OrderFile(Path(sys.argv[1])).add(order, by="test", at=time.time())
"""


async def answered(simulator: Simulator, number: str = DESK) -> int | None:
    """None where the call was answered, else its SIP status."""
    call_id = await simulator.place_call(number, stay=True, script=[])
    call = await simulator.until(call_id, lambda call: call.attachments or call.ended)
    simulator.hang_up(call_id)
    return None if call.attachments else call.rejects[0]["status_code"]


async def test_orders_of_another_process_hold_within_seconds_until_they_expire(
    tmp_path: Path, agents: Path
) -> None:
    async with serving(tmp_path) as (process, simulator):
        usable = (await told(process)).count("usable")
        before = await held(simulator, DESK)
        ordering = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ORDER, str(tmp_path / "data"), "4")
        )
        assert await ordering.wait() == 0
        began = time.monotonic()
        async with asyncio.timeout(3):
            while await answered(simulator) != 603:
                await asyncio.sleep(0.02)
        assert time.monotonic() - began < 3
        assert not simulator.call(before).ended
        async with asyncio.timeout(6):
            while await answered(simulator) is not None:
                await asyncio.sleep(0.05)
        assert (await told(process)).count("usable") == usable  # orders alone read no files
        simulator.hang_up(before)


async def test_a_divert_of_another_process_sends_new_calls_on(tmp_path: Path, agents: Path) -> None:
    text = AGENTS + 'destinations: {night: "+17135550100"}\n'
    agents.write_text(text)
    async with serving(tmp_path) as (_, simulator):
        order = Order(Scope.NUMBER, DESK, to="night")  # type: ignore[arg-type]
        OrderFile(tmp_path / "data").add(order, by="test", at=time.time())
        async with asyncio.timeout(5):
            while True:
                call_id = await simulator.place_call(DESK, stay=True, script=[])
                call = await simulator.until(call_id, lambda call: call.attachments or call.refers)
                if "turn_detection" in str(call.accepts) and "old desk" not in str(call.accepts):
                    break
                simulator.hang_up(call_id)
        call = await simulator.until(call_id, lambda call: call.refers)
        assert call.refers == [{"target_uri": "tel:+17135550100"}]


async def test_a_live_divert_of_another_process_sends_held_calls_on(
    tmp_path: Path, agents: Path
) -> None:
    agents.write_text(AGENTS + 'destinations: {night: "+17135550100"}\n')
    async with serving(tmp_path) as (_, simulator):
        calls = [await held(simulator, DESK, refer={"after": 0.2}) for _ in range(3)]
        order = Order(Scope.NUMBER, DESK, to="night", live=time.time())  # type: ignore[arg-type]
        OrderFile(tmp_path / "data").add(order, by="test", at=time.time())
        for call_id in calls:
            call = await simulator.until(call_id, lambda call: call.ended, timeout=30)
            assert (call.refers, call.ended_by) == ([{"target_uri": "tel:+17135550100"}], "refer")


LITERAL = "a1" * 20
HOSTILE = {
    "duplicate key": AGENTS + f'numbers: {{"{DESK}": polite}}\n',
    "alias bomb": AGENTS
    + "x0: &x0 [a, a]\n"
    + "".join(f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}, *x{n - 1}]\n" for n in range(1, 60)),
    "too large": AGENTS + "# " + "x" * 1024 * 1024,
    "literal key": AGENTS.replace("old desk", "desk with sk-proj-" + LITERAL),
    "literal hook": AGENTS.replace("old desk", "desk with whsec_" + LITERAL),
    "no text": "\0\0\0",
    "nothing": "",
}


async def test_what_is_hostile_or_secret_is_refused_and_calls_go_on(
    tmp_path: Path, agents: Path
) -> None:
    async with serving(tmp_path) as (process, simulator):
        before = await told(process)
        calls = [await held(simulator, DESK) for _ in range(60)]
        for what, text in HOSTILE.items():
            replace(agents, text)
            seen = await until(process, lambda told: ("config", "refused") in told.degraded)
            assert (seen.hash, seen.successful) == (before.hash, False), what
            assert f"{agents}:" in seen.degraded[("config", "refused")], what
            assert LITERAL not in str(seen.degraded), what
            assert await persona(simulator) == "You are the old desk.", what
            replace(agents, AGENTS)
            await until(process, lambda told: told.status == "ready")
        replace(agents, AGENTS.replace("old", "new"))
        process.signal(signal.SIGHUP)
        await until(process, lambda told: told.hash != before.hash)
        held_now = [simulator.call(call_id) for call_id in calls]
        assert not [call.call_id for call in held_now if call.ended]
        assert {(len(call.accepts), len(call.client_events)) for call in held_now} == {(1, 0)}
        assert await persona(simulator) == "You are the new desk."
    assert LITERAL not in str(process.log)


async def test_a_data_directory_that_cannot_be_used_is_told_and_nothing_starts(
    tmp_path: Path, agents: Path
) -> None:
    """There calls that are held are remembered, so that a restart goes on with them."""
    (tmp_path / "data").write_text("in the way")
    variables = environment(tmp_path, "http://127.0.0.1:1/v1")
    process = await start(tmp_path, variables)
    assert await process.exit_code() == UNREACHABLE
    said = (tmp_path / "log.jsonl").read_text()
    assert f"{tmp_path / 'data'}" in said
    assert "cannot be used" in said
    assert "Traceback" not in said


async def test_orders_and_versions_that_cannot_be_used_show(tmp_path: Path, agents: Path) -> None:
    (tmp_path / "data" / "orders" / "controls.json").mkdir(parents=True)
    (tmp_path / "data" / "versions").write_text("in the way")
    async with serving(tmp_path) as (process, simulator):
        seen = await told(process)
        assert {("data", "not-stored"), ("orders", "unreadable")} == set(seen.degraded)
        assert await persona(simulator) == "You are the old desk."


async def test_a_hang_up_of_the_terminal_at_the_start_ends_nothing(
    tmp_path: Path, agents: Path
) -> None:
    """Before there is an event loop nobody hears the signal, which would end the process."""
    process = await start(tmp_path, environment(tmp_path, "http://127.0.0.1:1/v1"))
    try:
        async with asyncio.timeout(10):
            while not _ignored(process) & 1 << (signal.SIGHUP - 1):
                await asyncio.sleep(0.001)
        process.signal(signal.SIGHUP)
        await process.ready()
    finally:
        process.running.kill()
        await process.running.wait()


def _ignored(process: Process) -> int:
    """The signals that the process ignores, one bit each."""
    status = Path(f"/proc/{process.running.pid}/status").read_text()
    (found,) = re.findall(r"SigIgn:\t(\w+)", status)
    return int(found, 16)


async def test_a_secret_of_the_environment_that_was_rotated_stays_so_over_a_reload(
    tmp_path: Path, agents: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("sk-first")
    variables: dict[str, Any] = {"OPENAI_API_KEY": "", "OPENAI_API_KEY_FILE": str(key)}
    async with serving(tmp_path, **variables) as (process, simulator):
        key.write_text("sk-second")
        count = (await told(process)).count("usable")
        process.signal(signal.SIGHUP)
        await until(process, lambda told: told.count("usable") > count)
        simulator.keys.valid = {"sk-second"}
        assert await persona(simulator) == "You are the old desk."
        assert simulator.keys.refused == 0
