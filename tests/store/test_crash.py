"""`kill -9` of a process that writes: what was final is stored to the token, and of what was said
at most the last quarter of a second is lost."""

import asyncio
import json
import random
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sipagent.store import tables
from sipagent.store.rows import RowKind, Writing, alias_rows, turn_row, usage_row
from sipagent.store.spool import Spool
from sipagent.store.toolrows import tool_row
from tests.store.nouns import a_call, billed, keeping, planned, said, used

ROUNDS = 2
SLACK = 0.75
"""Seconds that a loaded machine may add to the quarter."""

CHILD = """
import asyncio, os, sys, time
from pathlib import Path
from sipagent.model import Message
from tests.store.nouns import a_call, accepted, billed, ending, keeping, planned, said

def tell(*what):
    os.write(1, (" ".join(map(str, what)) + "\\n").encode())

async def main(url, folder, prefix):
    async with keeping(url, Path(folder)) as kept:
        number = 0
        while True:
            name = f"{prefix}_{number}"
            plan = planned(name)
            kept.records.decided(a_call(name), accepted(plan))
            tell("call", name)
            for bill in range(4):
                kept.records.used(plan, billed(f"resp_{bill}", audio_out=number + bill))
                tell("used", name, bill, number + bill)
                kept.records.turn(plan, said(bill))
                tell("turn", name, bill, time.time())
            await kept.records.message(plan, Message("call_1", {"message": "Call me back."}))
            tell("message", name)
            kept.records.ended(ending(name))
            tell("ended", name)
            number += 1
            await asyncio.sleep(0.005)

asyncio.run(main(*sys.argv[1:]))
"""


@dataclass
class Ledger:
    """What killed processes had told their records, and when they were killed."""

    calls: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    bills: dict[tuple[str, str], int] = field(default_factory=dict)
    messages: set[str] = field(default_factory=set)
    early_turns: set[tuple[str, int]] = field(default_factory=set)

    def read(self, lines: list[str], killed_at: float) -> None:
        for line in lines:
            match line.split():
                case ["call", name]:
                    self.calls.add(name)
                case ["ended", name]:
                    self.ended.add(name)
                case ["message", name]:
                    self.messages.add(name)
                case ["used", name, bill, audio_out]:
                    self.bills[name, f"resp_{bill}"] = 320 + int(audio_out)
                case ["turn", name, sequence, at] if float(at) < killed_at - 0.25 - SLACK:
                    self.early_turns.add((name, int(sequence)))

    def totals(self) -> dict[str, int]:
        found: defaultdict[str, int] = defaultdict(int)
        for (name, _), tokens in self.bills.items():
            found[name] += tokens
        return {name: found[name] for name in self.ended}


@pytest.mark.timeout(240)
async def test_a_killed_process_loses_nothing_final(records_url: str, tmp_path: Path) -> None:
    ledger = Ledger()
    for number in range(ROUNDS):
        lines, killed_at = await killed(records_url, tmp_path, f"rtc_{number}")
        ledger.read(lines, killed_at)
    async with keeping(records_url, tmp_path) as kept:
        await kept.writer.flushed()
        calls = {call["call_id"]: call for call in await kept.rows(tables.calls)}
        usage = await kept.rows(tables.usage)
        turns = {(turn["call_id"], turn["sequence"]) for turn in await kept.rows(tables.turns)}
        messages = {message["call_id"] for message in await kept.rows(tables.messages)}

    bills = {
        (row["call_id"], row["source_id"]): row["text_in"]
        + row["audio_in"]
        + row["text_out"]
        + row["audio_out"]
        for row in usage
    }
    assert ledger.early_turns
    assert ledger.calls <= set(calls)
    assert {bill: bills.get(bill) for bill in ledger.bills} == ledger.bills
    assert len(bills) <= len(ledger.bills) + ROUNDS  # one may have been told, and its line not
    totals = {name: calls[name]["tokens"] for name in ledger.ended}
    assert totals == ledger.totals()
    assert {calls[name]["outcome"] for name in ledger.ended} == {"completed.line_closed"}
    assert ledger.early_turns <= turns
    assert ledger.messages
    assert ledger.messages <= messages


async def killed(url: str, folder: Path, prefix: str) -> tuple[list[str], float]:
    """What a process had told until it was killed, after some calls and at any moment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD, url, str(folder), prefix),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    assert process.stdout is not None
    first = await process.stdout.readline()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(process.stdout.read())
        await asyncio.sleep(1.2 + random.random())
        process.kill()
        killed_at = time.time()
    await process.wait()
    whole, _, _ = (first + reading.result()).rpartition(b"\n")
    return whole.decode().splitlines(), killed_at


def test_a_spool_gives_back_what_was_not_stored(tmp_path: Path) -> None:
    bill, alias = usage_row(planned(), billed("resp_1"), 5.0), next(alias_rows(a_call()))
    spool = Spool(tmp_path)
    spool.add(RowKind.USAGE, bill)
    spool.add(RowKind.ALIAS, alias)
    spool.keep([(RowKind.ALIAS, alias)])
    spool.close()
    again = Spool(tmp_path)

    assert again.left() == [(RowKind.ALIAS, alias)]
    again.keep([])
    assert again.left() == []
    again.close()


def test_a_torn_line_costs_no_other(tmp_path: Path) -> None:
    bill = usage_row(planned(), billed("resp_1"), 5.0)
    spool = Spool(tmp_path)
    spool.add(RowKind.USAGE, bill)
    with (tmp_path / "records.spool.0").open("ab") as file:
        file.write(json.dumps(["usage", "rtc_1"]).encode()[:9])
    spool.add(RowKind.USAGE, bill)

    assert spool.left() == [(RowKind.USAGE, bill)] * 2
    spool.close()


def test_a_spool_of_another_release_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "records.spool.1").write_text('["usage", "rtc_1"]\n["new kind", 1]\nnull\n')
    spool = Spool(tmp_path)

    assert spool.left() == []
    spool.close()


def test_rows_of_a_release_with_fewer_or_more_columns_are_taken(tmp_path: Path) -> None:
    use = tool_row(planned(), used(arguments=None, output=None), 5.0, Writing("0", "r"))
    lines = [["tool", *use[:-1]], ["tool", *use, "more"], ["tool", *use[:5]]]
    (tmp_path / "records.spool.0").write_text("\n".join(map(json.dumps, lines)))
    spool = Spool(tmp_path)

    assert spool.left() == [(RowKind.TOOL, use)] * 2
    spool.close()


async def test_words_never_reach_the_spool(records_url: str, tmp_path: Path) -> None:
    async with keeping(records_url, tmp_path) as kept:
        kept.records.turn(planned(), said(0, "my secret"))
        kept.records.tool(planned(), used(arguments="my secret"))
        kept.records.used(planned(), billed("resp_1"))
        files = b"".join(path.read_bytes() for path in tmp_path.glob("records.spool.*"))

    assert b"resp_1" in files
    assert b"my secret" not in files
    assert turn_row(planned(), said(0, "my secret"), 0.0)[5] == "my secret"
