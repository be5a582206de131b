"""`python -m benchmarks.records`: how long it takes to read stored calls.

Exit codes: 0 all bounds hold, 1 one is missed, 2 usage.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.records.databases import postgresql_server, sqlite
from benchmarks.records.making import batches
from benchmarks.records.measuring import MOST_SECONDS, Timed, measure

DATABASES = {"sqlite": sqlite, "postgresql": postgresql_server}


def main() -> int:
    """Measure, and say whether the bounds hold."""
    from benchmarks.report import machine

    options = _options()
    about, document, holds = machine(), {}, True
    for name in options.database or DATABASES:
        with tempfile.TemporaryDirectory(dir=options.folder, prefix="records-") as folder:
            timed, notes = asyncio.run(_round(name, Path(folder), options))
        holds = holds and all(one.holds for one in timed)
        document[name] = {**notes, "queries": {one.title: _data(one) for one in timed}}
        print(_table(name, notes, timed), flush=True)
    print(f"{about['cpu']}, {about['cores']} cores, {about['python']}")
    if options.json is not None:
        text = json.dumps({"machine": about, "databases": document}, indent=2)
        options.json.write_text(text + "\n")
    return 0 if holds else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.records")
    parser.add_argument("--calls", type=_count, default=1_000_000, help="how many are stored")
    parser.add_argument("--rounds", type=_count, default=200, help="how often each is read")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--database", action="append", choices=DATABASES, help="only this one")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    return parser.parse_args()


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return count


async def _round(
    name: str, folder: Path, options: argparse.Namespace
) -> tuple[list[Timed], dict[str, Any]]:
    done, began = 0, time.perf_counter()

    def told(more: int) -> None:
        nonlocal done
        done += more
        print(f"{name}: {done:,} calls, {time.perf_counter() - began:.0f} s", file=sys.stderr)

    rows = batches(options.calls, seed=options.seed)
    async with DATABASES[name](folder, rows, told) as (engine, size):
        filled = time.perf_counter() - began
        timed = await measure(engine, rounds=options.rounds, seed=options.seed)
    return timed, {"calls": options.calls, "bytes": size, "filled_seconds": filled}


def _data(one: Timed) -> dict[str, Any]:
    shares = {"p50": 0.5, "p95": 0.95, "worst": 1.0}
    figures = {name: one.share(part) * 1000 for name, part in shares.items()}
    return {"milliseconds": figures, "count": len(one.seconds), "holds": one.holds}


def _table(name: str, notes: dict[str, Any], timed: list[Timed]) -> str:
    mebibytes, filled = notes["bytes"] / 2**20, notes["filled_seconds"]
    head = f"{name}: {notes['calls']:,} calls, {mebibytes:,.0f} MiB, filled in {filled:.0f} s"
    lines = [head, f"  {'milliseconds':<44}{'p50':>9}{'p95':>9}{'worst':>9}   bound"]
    for one in timed:
        word = ("holds" if one.holds else "MISSED") if one.bounded else "none"
        bound = f"p95 <= {MOST_SECONDS * 1000:g}: {word}" if one.bounded else word
        figures = "".join(f"{one.share(part) * 1000:9.1f}" for part in (0.5, 0.95, 1.0))
        lines.append(f"  {one.title:<44}{figures}   {bound}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
