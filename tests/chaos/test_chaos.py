"""`kill -9` under 200 held calls, and a restart: nothing is lost, and nothing is done twice.

`ROUNDS=20 make chaos` runs more rounds and prints what they came to; `SEED` chooses others.
"""

import os
from pathlib import Path

import pytest

from sipagent.simulator import running_simulator
from tests.chaos.harness import Chaos
from tests.process.running import SECRET

ROUNDS = int(os.environ.get("ROUNDS", "3"))
SEED = int(os.environ.get("SEED", "4"))


@pytest.mark.timeout(60 + 40 * ROUNDS)
async def test_a_killed_process_loses_no_call_no_record_and_no_token(tmp_path: Path) -> None:
    async with running_simulator(SECRET) as simulator:
        chaos = Chaos(simulator, tmp_path, SEED)
        try:
            await chaos.start()
            for _ in range(ROUNDS):
                await chaos.round()
            await chaos.end()
        finally:
            await chaos.stop()
    print(f"\nseed {SEED}\n{chaos.figures.table()}")
    assert chaos.figures.recorded == chaos.figures.calls == 200 * ROUNDS
