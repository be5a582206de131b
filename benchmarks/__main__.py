"""`python -m benchmarks`: run the rounds, show the table, say whether what is promised holds.

Exit codes: 0 every bound holds, 1 one is missed, 2 usage, 3 a trial failed, 130 interrupted.
Nothing but loopback is contacted.
"""

import argparse
import asyncio
import gc
import json
import os
import resource
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.certificates import make_private_ca
from benchmarks.report import (
    Row,
    Trials,
    arrival_rows,
    held_rows,
    machine,
    sizes_data,
    table,
    tools_rows,
    viewers_rows,
)
from benchmarks.scenarios import Figures, Sizes, Stage, arrival, held, tools
from benchmarks.subjects import SIPAGENT, SUBJECTS, BenchError, Subject, pin, two_cores
from benchmarks.viewers import VIEWERS, viewers

SCENARIOS = {"arrival": arrival, "held": held, "tools": tools, "viewers": viewers}
FULL = Sizes()
QUICK = Sizes(arrival_seconds=4.0, levels=(10, 500), held_seconds=3.0, top_seconds=4.0, warm_up=50)


@dataclass(frozen=True, slots=True)
class Round:
    """A scenario, its sizes, how often it is repeated, and whether it takes place over TLS, where
    no bound is promised."""

    name: str
    scenario: str
    sizes: Sizes
    times: int = 3
    tls: bool = False

    @property
    def heading(self) -> str:
        wire = "https/wss, private CA" if self.tls else "http/ws"
        if self.scenario == "arrival":
            return f"{self.sizes.rate:g} calls/s, {wire}"
        if self.scenario == "tools":
            return f"{self.sizes.rate:g} tool calls/s, {wire}"
        if self.scenario == "viewers":
            return f"{VIEWERS} viewers, {self.sizes.rate / 2:g} calls/s, {wire}"
        return f"{self.sizes.events_per_second:g} events/s a call, {wire}"

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """Who takes part: the bare server has no tools, and nobody watches it."""
        return (SIPAGENT,) if self.scenario in ("tools", "viewers") else SUBJECTS

    @property
    def beside(self) -> tuple[str, str]:
        """What is measured beside each other."""
        return ("without", "with") if self.scenario == "viewers" else ("bare", "sipagent")

    def rows(self, trials: Trials) -> list[Row]:
        if self.scenario == "tools":
            return tools_rows(trials)
        if self.scenario == "viewers":
            return viewers_rows(trials)
        if self.scenario == "arrival":
            return arrival_rows(trials, bounded=not self.tls)
        return held_rows(trials, self.sizes.levels, bounded=not self.tls)


def main() -> int:
    """Measure what the command line asks for; returns the exit code."""
    options = _options()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            rows = runner.run(_measure(options))
    except BenchError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 3
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    missed = [row.title for row in rows if row.holds is False]
    print(f"missed: {'; '.join(missed)}" if missed else "every bound holds")
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything, once")
    names = [round_.name for round_ in _rounds(FULL)]
    parser.add_argument(
        "--scenario", action="append", choices=names, help="only this one; may be repeated"
    )
    parser.add_argument("--repeat", type=int, help="repetitions of each trial")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures here")
    options = parser.parse_args()
    options.repeat = options.repeat or (1 if options.quick else None)
    return options


def _rounds(sizes: Sizes) -> list[Round]:
    short = replace(sizes, arrival_seconds=min(5.0, sizes.arrival_seconds))
    few = replace(sizes, levels=(500,), top_seconds=sizes.held_seconds)
    return [
        # The bound that noise comes nearest to.
        Round("arrival", "arrival", sizes, times=7),
        Round("held", "held", sizes),
        Round("tools", "tools", sizes),
        Round("viewers", "viewers", sizes),
        Round("arrival-tls", "arrival", short, tls=True),
        Round("held-tls", "held", few, tls=True),
    ]


async def _measure(options: argparse.Namespace) -> list[Row]:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    sizes = QUICK if options.quick else FULL
    rounds = [
        one
        for one in _rounds(sizes)
        if options.scenario in (None, []) or one.name in options.scenario
    ]
    core, own = two_cores()
    pin(os.getpid(), own)
    document: dict[str, Any] = {"machine": machine(), "sizes": sizes_data(sizes), "rounds": {}}
    rows: list[Row] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sipagent-bench-") as folder:
        stage = Stage(Path(folder), core)
        await _warm_up(stage)
        for one in rounds:
            place = _stage_of(one, stage)
            if place is None:
                print(f"SKIPPED {one.name}: there is no openssl command", file=sys.stderr)
                continue
            trials = await _repeat(one, place, options.repeat or one.times)
            found = one.rows(trials)
            rows += found
            document["rounds"][one.name] = {
                "rows": [row.data() for row in found],
                "trials": trials,
            }
            print(table(one.heading, found, one.beside), flush=True)
    print(f"{machine()['cpu']}, {machine()['python']}; {time.monotonic() - began:.0f} s")
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return rows


def _stage_of(one: Round, stage: Stage) -> Stage | None:
    """The place of a round; None where it needs a CA and none can be made."""
    if not one.tls:
        return stage
    ca = make_private_ca(stage.folder)
    return replace(stage, ca=ca) if ca is not None else None


async def _warm_up(stage: Stage) -> None:
    """Each subject once, unmeasured: bytecode is compiled, files are in the page cache."""
    for subject in SUBJECTS:
        await arrival(subject, stage, Sizes(arrival_seconds=1.0, warm_up=20))


async def _repeat(one: Round, stage: Stage, repetitions: int) -> dict[str, list[Figures]]:
    """The trials of all subjects, one after the other and again."""
    trials: dict[str, list[Figures]] = {subject.name: [] for subject in one.subjects}
    for number in range(repetitions):
        for subject in one.subjects:
            _progress(f"{one.name} {number + 1}/{repetitions}: {subject.name}")
            trials[subject.name].append(await SCENARIOS[one.scenario](subject, stage, one.sizes))
            gc.unfreeze()
            gc.collect()
    _progress("")
    return trials


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<40}\r", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
