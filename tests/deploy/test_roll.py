"""Changing the release with Compose, by a `docker` that writes down what it is told."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.deploy.places import COMPOSE

DOCKER = """#!/bin/sh
echo "$@" >> "$TOLD"
case "$*" in
"compose ps --quiet sipagent") cat "$RUNNING" ;;
"$FAILS"*) exit 1 ;;
esac
"""


def roll(folder: Path, running: str, fails: str = "nothing") -> tuple[int, list[str]]:
    (folder / "docker").write_text(DOCKER, "utf-8")
    (folder / "docker").chmod(0o755)
    (folder / "running").write_text(running, "utf-8")
    told = folder / "told"
    told.write_text("", "utf-8")
    done = subprocess.run(
        [COMPOSE / "roll"],
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "TOLD": str(told),
            "RUNNING": str(folder / "running"),
            "FAILS": fails,
        },
        capture_output=True,
        check=False,
    )
    return done.returncode, told.read_text("utf-8").splitlines()


UP = "compose up --detach --wait --no-deps --no-recreate --scale sipagent="


@pytest.mark.parametrize(("old", "scale"), [([], 3), (["a", "b", "c"], 6), (["a"], 4)])
def test_new_replicas_are_healthy_before_the_first_old_one_is_stopped(
    tmp_path: Path, old: list[str], scale: int
) -> None:
    code, told = roll(tmp_path, "".join(f"{name}\n" for name in old))
    assert code == 0
    assert told[:2] == ["compose ps --quiet sipagent", f"{UP}{scale} sipagent"]
    assert told[2:] == [word for name in old for word in (f"stop {name}", f"rm {name}")]


def test_nothing_is_stopped_where_the_new_ones_do_not_get_healthy(tmp_path: Path) -> None:
    code, told = roll(tmp_path, "a\nb\nc\n", fails="compose up")
    assert code != 0
    assert told[-1].startswith(UP)


def test_nothing_goes_on_where_one_could_not_be_stopped(tmp_path: Path) -> None:
    code, told = roll(tmp_path, "a\nb\n", fails="stop ")
    assert code != 0
    assert told[-1] == "stop a"
