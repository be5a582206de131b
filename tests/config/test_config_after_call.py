"""What is made of calls when they are over: as an agent has it, and as its calls' plans do."""

from pathlib import Path

import pytest

from sipagent.config import Loaded
from sipagent.engine.claims import decision_from_json, decision_to_json
from sipagent.model import Accept, AfterCall
from tests.config.support import decided, loaded, plan, told, write

MAIN = """\
version: 1
defaults: {{model: gpt-realtime-2.1}}
agents:
  desk: {{instructions: Be kind., after_call: {after}}}
numbers: {{"+17134810111": desk}}
"""
NUMBER = "+17134810111"
SCHEMA = "{type: object, properties: {name: {type: string}}, required: [name]}"


def configured(folder: Path, after: str) -> Loaded:
    return loaded(folder, {"agents.yaml": MAIN.format(after=after)})


def test_what_is_wanted_stands_in_the_plan(tmp_path: Path) -> None:
    after = plan(configured(tmp_path, f"{{model: gpt-5-mini, extract: {SCHEMA}}}"), NUMBER)
    found = after.after_call
    assert found is not None
    assert (found.model, found.summary) == ("gpt-5-mini", True)
    assert found.extract == {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    }
    assert found.answer["required"] == ["summary", "extracted"]


def test_nothing_is_made_of_a_call_by_default(tmp_path: Path) -> None:
    assert plan(configured(tmp_path, "null"), NUMBER).after_call is None


def test_only_what_is_wanted_is_asked_for() -> None:
    assert AfterCall("m").answer["required"] == ["summary"]
    assert AfterCall("m", summary=False, extract={}).answer["required"] == ["extracted"]


def test_it_changes_the_version(tmp_path: Path) -> None:
    versions = ("null", "{model: a}", "{model: b}", f"{{model: a, extract: {SCHEMA}}}")
    hashes = {configured(tmp_path, after).table.config_hash for after in versions}
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ("{}", "after_call.model: is missing"),
        ("{model: a, summary: false}", "after_call: nothing is wanted of the model"),
        ("{model: a, extract: {type: array}}", "after_call.extract.type: must be object"),
        ("{model: a, extract: {type: objekt}}", "after_call.extract.type"),
        ("{model: a, extra: 1}", "after_call.extra: unknown key"),
        ("yes", "after_call: "),
    ],
)
def test_what_cannot_be_had_is_told(after: str, message: str, tmp_path: Path) -> None:
    found = told(write(tmp_path, {"agents.yaml": MAIN.format(after=after)}))
    assert any(message in each for each in found), found


def test_what_is_wanted_outlives_the_process_with_the_plan(tmp_path: Path) -> None:
    config = configured(tmp_path, f"{{model: gpt-realtime-2.1, extract: {SCHEMA}}}")
    decision = decided(config, NUMBER)
    read = decision_from_json(decision_to_json(decision))
    assert isinstance(read.verdict, Accept)
    assert isinstance(decision.verdict, Accept)
    assert read.verdict.plan.after_call == decision.verdict.plan.after_call
    assert read.verdict.plan.after_call is not None
    assert read.verdict.plan.after_call.price is not None
