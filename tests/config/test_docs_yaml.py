"""The YAML that the documents show can be used as it stands."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sipagent.config import load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^( *)```yaml\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
MAIN = {
    "version": 1,
    "defaults": {"model": "gpt-realtime-2.1"},
    "agents": {"someone": {"instructions": "Be kind."}},
    "numbers": {"default": {"reject": 404}},
}
SECTIONS = {"hours", "destinations", "agents", "vars", "models", "accounts", "trunks", "tenants"}


def blocks() -> Iterator[tuple[str, str]]:
    """Every block of YAML, each with its page and line."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in BLOCK.finditer(text):
            line = text[: match.start()].count("\n") + 1
            indent = match[1]
            body = "".join(row.removeprefix(indent) for row in match[2].splitlines(keepends=True))
            yield f"{page.relative_to(ROOT)}:{line}", body


def is_complete(text: str) -> bool:
    return re.search(r"^version: 1$", text, re.MULTILINE) is not None


def is_fragment(text: str) -> bool:
    keys = yaml.safe_load(text)
    return isinstance(keys, dict) and set(keys) <= SECTIONS and not is_complete(text)


BLOCKS = list(blocks())
COMPLETE = [block for block in BLOCKS if is_complete(block[1])]
FRAGMENTS = [block for block in BLOCKS if is_fragment(block[1])]


def usable(folder: Path, text: str) -> None:
    """Load a main file in a folder that has all that it names."""
    for name in re.findall(r"file: \"?([A-Za-z0-9_./-]+\.md)", text):
        write(folder / name, "Be kind.")
    if "include:" in text:
        # The page shows the files that this one includes in the blocks behind it.
        for _, body in BLOCKS:
            name = re.match(r"# config/(\S+)\n", body)
            if name is not None and not is_complete(body):
                write(folder / name[1], body)
        write(folder / "tenants" / "acme" / "prompts" / "store.md", "Be kind.")
    if "table:" in text:
        write(folder / "numbers" / "prod" / "us.csv", "number\n+1 713 481 0199\n")
    write(folder / "agents.yaml", text)
    environment = dict.fromkeys(re.findall(r"\$\{([A-Z0-9_]+)", text), "value")
    load(folder / "agents.yaml", environment=environment | {"SIPAGENT_ENV": "prod"})


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(("where", "text"), COMPLETE, ids=[where for where, _ in COMPLETE])
def test_a_whole_file_that_is_shown_can_be_used(where: str, text: str, tmp_path: Path) -> None:
    usable(tmp_path, text)


@pytest.mark.parametrize(("where", "text"), FRAGMENTS, ids=[where for where, _ in FRAGMENTS])
def test_a_section_that_is_shown_can_be_used(where: str, text: str, tmp_path: Path) -> None:
    shown = yaml.safe_load(text)
    rest = {key: value for key, value in MAIN.items() if key not in shown}
    head = yaml.safe_dump(rest, sort_keys=False)
    usable(tmp_path, head + text)


def test_every_block_is_tried() -> None:
    """A block is a whole file, one that a whole file includes, or sections of one."""
    tried = {where for where, _ in (*COMPLETE, *FRAGMENTS)}
    rest = [(where, text) for where, text in BLOCKS if where not in tried]
    assert [where for where, text in rest if not (is_included(text) or is_of_others(text))] == []


def is_included(text: str) -> bool:
    return re.match(r"# config/\S+\n", text) is not None


def is_of_others(text: str) -> bool:
    """Whether another program reads it: an editor, Compose, the Actions of GitHub, Prometheus
    (what it asks with, and its adapter), or `sipagent test`."""
    found = yaml.safe_load(text)
    if found is None:  # only comments
        return True
    keys = {"services", "on", "jobs", "steps", "script", "authorization"}
    if isinstance(found, list) or not keys.isdisjoint(found):
        return True
    return any(isinstance(rule, dict) and "seriesQuery" in rule for rule in found.get("rules", ()))


def test_the_table_that_is_shown_can_be_used(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "agents-yaml.md").read_text("utf-8")
    (table,) = re.findall(r"^```csv\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    write(tmp_path / "numbers.csv", table)
    agents = {"store": {"vars": {"store": "required", "store_phone": {"type": "phone"}}}}
    main = {
        **MAIN,
        "tenants": {"acme": {}},
        "agents": agents,
        "numbers": {"table": "numbers.csv", "default": {"reject": 404}},
    }
    write(tmp_path / "agents.yaml", yaml.safe_dump(main))
    table_of = load(tmp_path / "agents.yaml", environment={}).table
    (directory,) = table_of.directories.values()
    keys = {route.key for route in directory.exact.values()}
    assert len(keys) == table.strip().count("\n")


def test_the_documents_show_many_files() -> None:
    assert len(COMPLETE) >= 20
    assert len(FRAGMENTS) >= 5
