"""The example that is shipped works, and the reference names every key that exists."""

import re
from collections.abc import Iterator
from pathlib import Path

from sipagent.config import load, parse
from sipagent.config.outline import OUTLINE, Outline
from sipagent.routing import RejectWith

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs" / "agents-yaml.md").read_text("utf-8")
RETIRING = ("whisper-1", "gpt-4o", "gpt-realtime-mini", "gpt-realtime-2025")


def test_the_example_is_usable() -> None:
    loaded = load(ROOT / "config" / "agents.yaml")
    table = loaded.table
    assert list(table.agents) == ["dental", "hotel", "restaurant"]
    for number in ("+17134810111", "+17134810122", "+442079460133"):
        assert table.directory.listed(number) is not None
    assert table.directory.default is not None
    assert table.directory.default.action == RejectWith(404)
    assert len(loaded.files) == 4


def test_the_personas_of_the_example_differ_and_do_not_retire_soon() -> None:
    agents = load(ROOT / "config" / "agents.yaml").table.agents.values()
    assert len({agent.session["audio"]["output"]["voice"] for agent in agents}) == 3
    for agent in agents:
        assert agent.greeting is not None
        assert agent.session["model"] == "gpt-realtime-2.1"
        model = agent.session["audio"]["input"]["transcription"]["model"]
        assert not model.startswith(RETIRING)


def test_every_key_is_described_and_in_the_reference() -> None:
    for path, outline in keys(OUTLINE):
        assert outline.description, path
        assert outline.description.endswith("."), path
        assert f"`{path.rsplit('.', 1)[-1]}`" in REFERENCE, path


def keys(outline: Outline, path: str = "") -> Iterator[tuple[str, Outline]]:
    for name, below in outline.keys.items():
        yield f"{path}.{name}", below
        yield from keys(below, f"{path}.{name}")
    if outline.each is not None:
        yield from keys(outline.each, path)


def test_the_examples_of_the_reference_are_usable(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "reception.md").write_text("Be kind.")
    examples = re.findall(r"```yaml\n(version: 1\n.*?)```", REFERENCE, re.DOTALL)
    assert examples
    for example in examples:
        parse(example, file="docs/agents-yaml.md", base=tmp_path)
