"""What many claims have in common stands in the engine's file once, and goes when nobody has it."""

import gc
import json
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sipagent.concurrency import SystemClock
from sipagent.engine.embedded import EmbeddedEngine
from sipagent.engine.memory import Memory, Statement
from sipagent.model import Accept, CallId, Decision, IncomingCall, Skills, Tool, ToolName, Wait
from sipagent.model.shared import Lasting
from sipagent.sessions.ports import HeldCall
from tests.engine.support import a_claim, an_outcome

WORDS = "Be brief. " * 40
TOOL = Tool(ToolName("wait"), Wait(), "Wait a moment. " * 10, {"type": "object"})


@asynccontextmanager
async def life(
    folder: Path, kind: type[Memory] = Memory
) -> AsyncIterator[tuple[EmbeddedEngine, Sequence[HeldCall]]]:
    memory = kind(folder)
    memory.open()
    engine = EmbeddedEngine(SystemClock(), memory)
    try:
        yield engine, await engine.adopt()
    finally:
        memory.close()


def told(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / "engine.sqlite")) as file:
        return [row[0] for row in file.execute(sql).fetchall()]


def an_agents(
    number: int, session: dict[str, Any], skills: Skills
) -> tuple[IncomingCall, Decision]:
    call, decision = a_claim(f"rtc_{number}")
    assert isinstance(decision.verdict, Accept)
    plan = replace(decision.verdict.plan, session=session, skills=skills)
    return call, replace(decision, verdict=Accept(plan))


def a_session() -> Lasting:
    return Lasting(type="realtime", model="gpt-realtime-2.1", instructions=WORDS)


async def end(engine: EmbeddedEngine, call: IncomingCall, epoch: int = 1) -> None:
    engine.finish(an_outcome(call), epoch)
    engine.settled(call.call_id)


async def test_calls_to_one_agent_are_taken_over_although_they_share_what_is_written(
    tmp_path: Path,
) -> None:
    session, skills = a_session(), Skills(tools=(TOOL,))
    claims = [an_agents(number, session, skills) for number in range(4)]
    async with life(tmp_path) as (engine, _):
        for call, decision in claims:
            await engine.offer(call, decision)
    assert len(told(tmp_path, "SELECT id FROM parts")) == 2
    whole, *others = told(tmp_path, "SELECT length(decision) FROM claims ORDER BY id")
    assert all(other < whole - len(WORDS) for other in others)
    for _ in range(2):
        async with life(tmp_path) as (_, held):
            assert [(one.call, one.decision) for one in held] == claims


async def test_what_one_call_has_is_never_written_apart(tmp_path: Path) -> None:
    async with life(tmp_path) as (engine, _):
        for number in range(3):
            plain = dict(a_session(), instructions=f"{WORDS} You speak with caller {number}.")
            call, decision = an_agents(number, plain, Skills(tools=(TOOL,)))
            await engine.offer(call, decision)
            await end(engine, call)
    assert told(tmp_path, "SELECT id FROM parts") == []


async def test_a_part_goes_when_the_configuration_and_the_last_call_have_let_it_go(
    tmp_path: Path,
) -> None:
    session, skills = a_session(), Skills()
    async with life(tmp_path) as (engine, _):
        memory = engine._memory
        assert memory is not None
        for number in range(3):
            await engine.offer(*an_agents(number, session, skills))
        for number in (0, 1):
            await end(engine, a_claim(f"rtc_{number}")[0])
        assert memory.flush()
        assert len(told(tmp_path, "SELECT id FROM parts")) == 1
        del session
        gc.collect()
        await end(engine, a_claim("rtc_2")[0])
        assert memory.flush()
        assert told(tmp_path, "SELECT id FROM parts") == []


async def test_a_part_that_no_call_has_any_more_goes_when_another_call_ends(tmp_path: Path) -> None:
    old, new, skills = a_session(), a_session(), Skills()
    async with life(tmp_path) as (engine, _):
        memory = engine._memory
        assert memory is not None
        for number in range(2):
            await engine.offer(*an_agents(number, old, skills))
            await end(engine, a_claim(f"rtc_{number}")[0])
        del old
        gc.collect()
        for number in range(2, 4):
            await engine.offer(*an_agents(number, new, skills))
        await end(engine, a_claim("rtc_2")[0])
        assert memory.flush()
        assert told(tmp_path, "SELECT id FROM parts") == [2]


async def test_parts_of_calls_that_were_taken_over_stay_as_long_as_these(tmp_path: Path) -> None:
    session, skills = a_session(), Skills()
    claims = [an_agents(number, session, skills) for number in range(3)]
    async with life(tmp_path) as (engine, _):
        for call, decision in claims:
            await engine.offer(call, decision)
    async with life(tmp_path) as (engine, held):
        assert len(held) == 3
        await end(engine, claims[1][0], 2)
        # A new part must not take the number of one that is still named.
        for number in range(3, 5):
            await engine.offer(*an_agents(number, session, skills))
        await end(engine, claims[2][0], 2)
    assert told(tmp_path, "SELECT id FROM parts") == [2]
    async with life(tmp_path) as (_, held):
        assert [one.decision for one in held][1:] == [
            an_agents(number, session, skills)[1] for number in (3, 4)
        ]


class Refusing(Memory):
    """A disk that takes nothing for a while."""

    refuses = False

    def write(self, number: int, *statements: Statement) -> bool:
        if self.refuses:
            self.put(number, *statements)
            return False
        return super().write(number, *statements)


async def test_a_part_that_was_not_written_comes_with_the_next_claim(tmp_path: Path) -> None:
    session, skills = a_session(), Skills()
    async with life(tmp_path, Refusing) as (engine, _):
        memory = engine._memory
        assert isinstance(memory, Refusing)
        await engine.offer(*an_agents(0, session, skills))
        memory.refuses = True
        await engine.offer(*an_agents(1, session, skills))
        memory.refuses = False
        await engine.offer(*an_agents(2, session, skills))
        assert len(told(tmp_path, "SELECT id FROM parts")) == 1
        assert told(tmp_path, "SELECT id FROM claims") == [1, 3]
    async with life(tmp_path) as (_, held):
        assert [one.decision for one in held] == [
            an_agents(number, session, skills)[1] for number in range(3)
        ]


async def test_a_claim_whose_part_is_missing_is_told_and_the_others_are_taken_over(
    tmp_path: Path,
) -> None:
    session, skills = a_session(), Skills()
    async with life(tmp_path) as (engine, _):
        for number in range(2):
            await engine.offer(*an_agents(number, session, skills))
    with closing(sqlite3.connect(tmp_path / "engine.sqlite")) as file, file:
        file.execute("DELETE FROM parts")
    async with life(tmp_path) as (_, held):
        assert [one.call.call_id for one in held] == [CallId("rtc_0")]


async def test_a_file_of_the_release_before_is_taken_over(tmp_path: Path) -> None:
    call, decision = an_agents(0, a_session(), Skills(tools=(TOOL,)))
    async with life(tmp_path) as (engine, _):
        await engine.offer(call, decision)
    with closing(sqlite3.connect(tmp_path / "engine.sqlite")) as file, file:
        (written,) = file.execute("SELECT decision FROM claims").fetchone()
        assert json.loads(written)["verdict"]["plan"]["session"]["instructions"] == WORDS
        file.execute("DROP TABLE parts")
        file.execute("PRAGMA user_version=1")
    async with life(tmp_path) as (_, held):
        assert [one.decision for one in held] == [decision]


async def test_a_part_that_was_written_late_goes_as_well(tmp_path: Path) -> None:
    session, skills = a_session(), Skills()
    async with life(tmp_path, Refusing) as (engine, _):
        memory = engine._memory
        assert isinstance(memory, Refusing)
        await engine.offer(*an_agents(0, session, skills))
        memory.refuses = True
        await engine.offer(*an_agents(1, session, skills))
        memory.refuses = False
        assert memory.flush()
        assert len(told(tmp_path, "SELECT id FROM parts")) == 1
        del session
        gc.collect()
        for number in range(2):
            await end(engine, a_claim(f"rtc_{number}")[0])
        assert memory.flush()
        assert told(tmp_path, "SELECT id FROM parts") == []


async def test_another_decision_lets_go_what_the_one_before_had(tmp_path: Path) -> None:
    old, new, skills = a_session(), a_session(), Skills()
    async with life(tmp_path) as (engine, _):
        memory = engine._memory
        assert memory is not None
        for number in range(2):
            await engine.offer(*an_agents(number, old, skills))
        _, before = an_agents(1, old, skills)
        for _ in range(2):
            call, after = an_agents(1, new, skills)
            await engine.revise(call, before, after)
        await end(engine, a_claim("rtc_0")[0])
        del old, before
        gc.collect()
        await engine.offer(*a_claim("rtc_9"))
        await end(engine, a_claim("rtc_9")[0])
        assert memory.flush()
        assert told(tmp_path, "SELECT id FROM parts") == [2]
    async with life(tmp_path) as (_, held):
        assert [one.decision for one in held] == [an_agents(1, new, skills)[1]]


async def test_a_number_that_is_named_is_not_given_again_although_its_part_is_missing(
    tmp_path: Path,
) -> None:
    session, skills = a_session(), Skills()
    async with life(tmp_path) as (engine, _):
        for number in range(2):
            await engine.offer(*an_agents(number, session, skills))
    with closing(sqlite3.connect(tmp_path / "engine.sqlite")) as file, file:
        file.execute("DELETE FROM parts")
    async with life(tmp_path) as (engine, held):
        assert len(held) == 1
        for number in range(2, 4):
            await engine.offer(*an_agents(number, session, skills))
        assert told(tmp_path, "SELECT id FROM parts") == [2]


@pytest.mark.parametrize("written", [b"[]", b'"x"', b'{"verdict":"x"}', b'{"verdict":{"plan":1}}'])
async def test_what_is_no_decision_holds_up_no_other_call(tmp_path: Path, written: bytes) -> None:
    async with life(tmp_path) as (engine, _):
        for number in range(2):
            await engine.offer(*a_claim(f"rtc_{number}"))
    with closing(sqlite3.connect(tmp_path / "engine.sqlite")) as file, file:
        file.execute("UPDATE claims SET decision = ? WHERE call_id = 'rtc_0'", (written,))
    async with life(tmp_path) as (_, held):
        assert [one.call.call_id for one in held] == [CallId("rtc_1")]
