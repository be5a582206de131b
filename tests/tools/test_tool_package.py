"""The example package: built and installed as an operator would, without a network, and used."""

import asyncio
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

from sipagent.model import Effects, Json, PythonCall, ToolResult, ToolStatus
from sipagent.tools.python import GROUP, PythonTools
from tests.tools.support import a_request

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "tool_package"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PythonTools]:
    """The tools of the installed package. Only this folder's entry points are looked at."""
    wheels, folder = tmp_path_factory.mktemp("wheels"), str(tmp_path_factory.mktemp("site"))
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    subprocess.run(build, cwd=EXAMPLE, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:  # a wheel of pure Python is installed by unpacking it
        packed.extractall(folder)
    sys.path.insert(0, folder)
    try:
        found = [
            entry
            for distribution in distributions(path=[folder])
            for entry in distribution.entry_points
            if entry.group == GROUP
        ]
        yield PythonTools(lambda: found)
    finally:
        sys.path.remove(folder)
        sys.modules.pop("acme_tools", None)


def run(tools: PythonTools, name: str, arguments: Json) -> ToolResult:
    does = PythonCall(name)
    return asyncio.run(tools.run(a_request(does, arguments), does))


def test_its_entry_points_are_tools(tools: PythonTools) -> None:
    assert tools.names() == ("book_repair", "order_status")
    status, repair = tools.function("order_status"), tools.function("book_repair")
    assert (status.effects, status.timeout) == (Effects.NONE, 3)
    assert (repair.effects, repair.timeout) == (Effects.ONCE, 10)
    assert status.parameters["properties"]["order_no"]["pattern"] == r"^A-\d{4}$"
    assert repair.parameters["required"] == ["day", "item"]
    assert status.description.startswith("Tell the state of an order.")


def test_they_answer(tools: PythonTools) -> None:
    told = run(tools, "order_status", {"order_no": "A-1001"})
    assert json.loads(told.output) == {"state": "shipped", "arrives": "2026-12-01"}
    booked = run(tools, "book_repair", {"day": "2026-12-01", "item": "saw"})
    assert booked.output == "Booked for Tuesday morning, reference call_1."


def test_they_say_what_is_wrong(tools: PythonTools) -> None:
    unknown = run(tools, "order_status", {"order_no": "A-9999"})
    assert (unknown.status, unknown.detail) == (ToolStatus.FAILED, "ToolError")
    assert run(tools, "order_status", {"order_no": "7"}).status is ToolStatus.REFUSED


def test_its_own_tests_pass(tools: PythonTools) -> None:
    """As an operator runs them, who has the package installed and no more."""
    tools.function("order_status")
    folder = str(Path(sys.modules["acme_tools"].__file__ or "").parent.parent)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=EXAMPLE,
        env={"PYTHONPATH": folder, "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert "4 passed" in run.stdout
