"""The example that is shipped works, and the reference names every key that exists."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sipagent.config import Loaded, load
from sipagent.config.compilation import ENVIRONMENT_ACCOUNT
from sipagent.config.outline import OUTLINES, Outline
from sipagent.model import HttpRequest, Reject, Requirement
from sipagent.routing import AnswerWith
from tests.config.support import decided, plan

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "agents-yaml.md").read_text("utf-8")
RETIRING = ("whisper-1", "gpt-4o", "gpt-realtime-mini", "gpt-realtime-2025")


@pytest.fixture(scope="module")
def example() -> Loaded:
    return load(ROOT / "config" / "agents.yaml", environment={})


def test_the_example_is_usable_without_warnings(example: Loaded) -> None:
    names = {f"{profile.tenant}/{profile.name}" for profile in example.table.agents.values()}
    assert names == {
        "bright/dental",
        "bright/dental_next",
        "bright/after_hours",
        "magnolia/hotel",
        "magnolia/restaurant",
    }
    assert example.warnings == ()
    assert example.accounts == ()


def test_every_file_of_the_example_is_used(example: Loaded) -> None:
    present = {path for path in (ROOT / "config").rglob("*") if path.is_file()}
    assert set(example.files) == present


def test_what_callers_of_the_example_hear(example: Loaded) -> None:
    dental = plan(example, "+17134810111")
    assert dental.greeting is not None
    assert dental.greeting.say.endswith("Bright Street Dental, I'm Alex. How can I help?")
    assert "Address: 210 Bright Street, Houston." in dental.session["instructions"]
    assert "+1 713 555 0110" in dental.session["instructions"]
    assert plan(example, "+17134810122").agent == "hotel"
    assert plan(example, "+442079460133").agent == "restaurant"
    assert plan(example, "+17134810123").refer_to == "tel:+17135550100"
    assert isinstance(decided(example, "+17134819999").verdict, Reject)


def test_what_the_agents_of_the_example_can_do(example: Loaded) -> None:
    dental = plan(example, "+17134810111").skills
    lookup = {tool.name: tool for tool in dental.tools}["next_appointment"]
    assert isinstance(lookup.does, HttpRequest)
    assert lookup.does.bind == {"phone": "+12025550123", "practice": "Bright Street Dental"}
    hotel = plan(example, "+17134810122")
    assert {tool.name for tool in hotel.skills.tools} == {
        *("hang_up", "wait", "set_language", "take_message", "transfer"),
        *("porter_code", "wake_up_calls"),
    }
    gated = {tool.name: tool.requires for tool in hotel.skills.tools if tool.requires is not None}
    assert gated == {"wake_up_calls": Requirement(None, "2580")}
    assert "2580" not in str(hotel.session)
    assert hotel.skills.keys == {"0": "front_desk"}
    assert [tongue.language for tongue in hotel.skills.tongues] == ["en", "es"]
    waiter = plan(example, "+442079460133").ways.destinations
    assert [(way.destination, way.on_failure) for way in waiter] == [("head_waiter", ("resume",))]
    assert waiter[0].open is not None
    for call in (plan(example, number) for number in ("+17134810111", "+17134810122")):
        assert call.skills.silence is not None
        assert call.skills.silence.say == "Are you still there?"


def test_the_rules_end_the_instructions_of_every_agent(example: Loaded) -> None:
    rules = (ROOT / "config" / "common" / "rules.md").read_text("utf-8").strip()
    for number in ("+17134810111", "+17134810122", "+442079460133"):
        assert plan(example, number).session["instructions"].strip().endswith(rules)


def test_the_split_of_the_example(example: Loaded) -> None:
    route = example.table.directory(ENVIRONMENT_ACCOUNT).listed("+16024810144")
    assert route is not None
    actions = [rule.action for rule in route.rules]
    assert [action.agent for action in actions if isinstance(action, AnswerWith)] == [
        "after_hours",
        "dental",
        "after_hours",
    ]
    assert isinstance(actions[1], AnswerWith)
    assert actions[1].split == (("dental_next", 0.1),)


def test_the_models_of_the_example_do_not_retire_soon(example: Loaded) -> None:
    for profile in example.table.agents.values():
        session = profile.edition(None).session
        assert session["model"] == "gpt-realtime-2.1"
        assert not session["audio"]["input"]["transcription"]["model"].startswith(RETIRING)


@pytest.mark.parametrize("model", OUTLINES, ids=lambda model: model.__name__)
def test_every_key_is_described_and_in_the_reference(model: type) -> None:
    for path, outline in keys(OUTLINES[model]):
        assert outline.description, path
        assert outline.description.endswith("."), path
        assert f"`{path.rsplit('.', 1)[-1]}`" in REFERENCE, path


def keys(outline: Outline, path: str = "") -> Iterator[tuple[str, Outline]]:
    for name, below in outline.keys.items():
        yield f"{path}.{name}", below
        yield from keys(below, f"{path}.{name}")
    if outline.each is not None:
        yield from keys(outline.each, path)
