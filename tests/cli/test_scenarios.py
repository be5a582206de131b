"""The scenarios that are shipped: green as the example is, and red as soon as it is broken."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from sipagent.config import load
from sipagent.scenarios.judging import failures_of
from sipagent.scenarios.reading import read_scenario
from sipagent.scenarios.stage import play

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "scenarios"
SHIPPED = sorted(path.stem for path in SCENARIOS.glob("*.yaml"))

MAIN = "agents.yaml"
COMMON = "common/agents.yaml"
RULES = "common/rules.md"
BRIGHT = "tenants/bright/tenant.yaml"
AFTER_HOURS = "tenants/bright/prompts/after-hours.md"
MAGNOLIA = "tenants/magnolia/tenant.yaml"


@dataclass(frozen=True)
class Mutation:
    """A persona that is broken on purpose: `old` text of a file becomes `new`."""

    scenario: str
    file: str
    old: str
    new: str
    told: str

    def __str__(self) -> str:
        return f"{self.scenario}: {self.new or 'without ' + self.old}"


MUTATIONS = [
    Mutation("dental-appointment", BRIGHT, "{ phone: ", "{ number: ", "it was made 0 times"),
    Mutation("dental-appointment", BRIGHT, "/next/dentist", "/next/doctor", '"with":null'),
    Mutation("dental-appointment", BRIGHT, "response: {", "# {", "tool: next_appointment"),
    Mutation("dental-appointment", BRIGHT, "/v1/appointments", "/v2/visits", "no answer for it"),
    Mutation("dental-appointment", BRIGHT, "name: next_", "name: last_", "offers no tool"),
    Mutation("dental-calendar-down", BRIGHT, "timeout: 5s", "timeout: 2m", "result: timed_out"),
    Mutation("dental-calendar-down", BRIGHT, "say_while_waiting:", "#", "One moment"),
    Mutation("dental-message", BRIGHT, "I'm Alex", "I'm Robin", "said: I'm Alex"),
    Mutation("dental-message", BRIGHT, "- take_message\n", "\n", "no tool take_message"),
    Mutation("dental-message", BRIGHT, "- hang_up\n", "\n", "no tool hang_up"),
    Mutation("dental-message", COMMON, "disclosure:", "#", "begins: This is a virtual"),
    Mutation("dental-closed", BRIGHT, "08:00-17:00", "08:00-22:00", "answered_by: after_hours"),
    Mutation("dental-closed", BRIGHT, "We are closed now", "Hello", "said: We are closed"),
    Mutation("dental-closed", AFTER_HOURS, "closed and", "shut and", "instructions: The"),
    Mutation("dental-closed", BRIGHT, "tools: [hang_up, wait", "# [", "no_tool: transfer"),
    Mutation("dental-transfer", BRIGHT, "- transfer: [practice]", "", "no tool transfer"),
    Mutation("dental-transfer", BRIGHT, "08:00-17:00", "12:00-17:00", "sent nowhere"),
    Mutation("dental-nobody-answers", BRIGHT, "failure: take", "failure: hang_up #", "come to"),
    Mutation("dental-wait", BRIGHT, "- wait ", "# ", "no tool wait"),
    Mutation("emergency", RULES, "dial the emergency number", "stay calm", "dial the emergency"),
    Mutation("hotel-silence", MAGNOLIA, "Are you still there?", "Hello?", "Are you still"),
    Mutation("hotel-silence", MAGNOLIA, "after: 12s", "after: 2m", "completed.silence"),
    Mutation("hotel-spanish", MAGNOLIA, "- set_language", "#", "no tool set_language"),
    Mutation("hotel-spanish", MAGNOLIA, "¿Sigue ahí?", "¿Hola?", "said: ¿Sigue ahí?"),
    Mutation("hotel-zero", MAGNOLIA, 'keys: { "0"', 'keys: { "1"', "sent nowhere"),
    Mutation("kitchen-closed", MAGNOLIA, "12:00-14:30", "12:00-17:30", "not_transferred"),
    Mutation("kitchen-closed", MAGNOLIA, "Copper Kettle", "Iron Pot", "begins: this is the Copper"),
    Mutation("old-number", MAIN, "forward: front_desk", "agent: hotel", "sent nowhere"),
    Mutation("unknown-number", MAIN, "{ reject: 404 }", "{ reject: 603 }", "it was 603"),
]


def failures(scenario: str, config: Path) -> list[str]:
    read = read_scenario(SCENARIOS / f"{scenario}.yaml")
    found = failures_of(read, play(read, load(config)))
    return [f"{failure.expected}: {failure.happened}" for failure in found]


def test_there_are_eight_at_least_and_each_is_broken_somehow() -> None:
    assert len(SHIPPED) >= 8
    assert {mutation.scenario for mutation in MUTATIONS} == set(SHIPPED)


@pytest.mark.parametrize("scenario", SHIPPED)
def test_a_shipped_scenario_is_green(scenario: str) -> None:
    assert failures(scenario, ROOT / "config" / MAIN) == []


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_broken_persona_is_found_out(mutation: Mutation, tmp_path: Path) -> None:
    config = tmp_path / "config"
    shutil.copytree(ROOT / "config", config)
    file = config / mutation.file
    text = file.read_text("utf-8")
    assert mutation.old in text, "the example is another one by now"
    file.write_text(text.replace(mutation.old, mutation.new), "utf-8")
    told = failures(mutation.scenario, config / MAIN)
    assert [each for each in told if mutation.told in each], told


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "sipagent", "test", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.fixture
def red(tmp_path: Path) -> Path:
    """A scenario that the example does not come up to."""
    file = tmp_path / "red.yaml"
    call = 'call: {to: "+1 713 481 0999"}\n'
    file.write_text(f"{call}expect:\n  - rejected: 486\n  - outcome: rejected.unknown_number\n")
    return file


def test_one_of_two_fails_and_is_told_with_the_call_in_it(red: Path, tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    done = run(str(SCENARIOS / "unknown-number.yaml"), str(red), "--junit", str(junit))
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("ok    ")
    assert f"{red}:3:5: expected rejected: 486; it was 404" in done.stdout
    assert "0.0  not answered" in done.stdout
    assert done.stdout.endswith("2 scenarios, 1 failed\n")
    suite = ET.parse(junit).getroot()  # noqa: S314  # it is ours
    assert [len(case) for case in suite.iter("testcase")] == [0, 1]


def test_failures_are_annotated_in_pull_requests(red: Path) -> None:
    done = run(str(red), "--format", "github")
    assert done.returncode == 1
    assert f"::error file={red},line=3,col=5::expected rejected%3A 486" in done.stdout.replace(
        "rejected: 486", "rejected%3A 486"
    )


def test_programs_get_json(red: Path) -> None:
    done = run(str(red), "--format", "json")
    (told,) = json.loads(done.stdout)
    assert (told["name"], told["passed"], done.returncode) == ("red", False, 1)
    assert told["failures"][0]["happened"] == "it was 404"


@pytest.mark.parametrize(
    ("text", "told"),
    [("call: {}\n", "1:1: expect: is missing"), ("call: [", "bad.yaml:2:1: ")],
)
@pytest.mark.parametrize("output", ["text", "github"])
def test_a_file_that_cannot_be_used_is_told_before_anything_is_played(
    text: str, told: str, output: str, tmp_path: Path
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    done = run(str(file), str(SCENARIOS), "--format", output)
    assert done.returncode == 2
    if output == "text":
        assert (told in done.stderr, done.stdout) == (True, "")
    else:
        assert done.stdout.startswith(f"::error file={file},line=")


def test_an_agents_file_that_cannot_be_used_ends_with_78(red: Path, tmp_path: Path) -> None:
    agents = tmp_path / "agents.yaml"
    agents.write_text("version: 2\n")
    done = run(str(red), "--config", str(agents))
    assert done.returncode == 78
    assert f"{agents}:1:" in done.stderr


def test_a_folder_without_scenarios_is_an_error_of_usage(tmp_path: Path) -> None:
    done = run(str(tmp_path))
    assert (done.returncode, "there is no scenario" in done.stderr) == (2, True)
