"""From a file to a routing table, or to all that is wrong with the file."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sipagent.config.compilation import profile_of, route_of, table_of
from sipagent.config.findings import START, Complaint, Findings, Place
from sipagent.config.numbers import directory_keys, verify_actions
from sipagent.config.prompts import Prompts
from sipagent.config.reader import read
from sipagent.config.rules import (
    Leaf,
    Leaves,
    leaves_of,
    leaves_of_defaults,
    verify_agent,
    verify_leaf,
)
from sipagent.config.schema import InstructionsFile
from sipagent.config.textfile import Unreadable, read_text_file
from sipagent.config.validation import Draft, validate, verify_sections
from sipagent.config.values import to_data
from sipagent.config.words import quoted
from sipagent.model import AgentName, AgentProfile
from sipagent.routing import RoutingTable

MAX_FILE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Loaded:
    """A usable configuration, and every file that it was made from, to be watched."""

    table: RoutingTable
    files: tuple[Path, ...]


def load(path: Path) -> Loaded:
    """The configuration that the file holds. Raises ConfigError with all findings."""
    text = read_text_file(path, MAX_FILE_BYTES)
    if isinstance(text, Unreadable):
        place = Place(text.line, text.column)
        Findings(str(path)).fail(place, (), f"the file {text.reason}", text.hint)
    loaded = parse(text, file=str(path), base=path.parent)
    return Loaded(loaded.table, (path, *loaded.files))


def parse(text: str, *, file: str, base: Path) -> Loaded:
    """The configuration that the text holds. Raises ConfigError with all findings.

    `file` is how findings name the text; `base` is the folder of its relative paths.
    """
    findings = Findings(file)
    if len(text) > MAX_FILE_BYTES:
        findings.fail(START, (), f"the text is larger than {MAX_FILE_BYTES // 1024:,} KiB")
    document = read(text, findings)
    draft, complaints = validate(to_data(document, findings), findings)
    prompts = Prompts(base)
    keys, misspelled = directory_keys(draft, document)
    for complaint in (
        *complaints,
        *misspelled,
        *verify_sections(draft),
        *verify_actions(draft, findings),
        *_verify_agents(draft, prompts),
    ):
        document.report(complaint, findings)
    findings.raise_if_any()
    return Loaded(_compile(draft, keys, prompts), prompts.files)


def _verify_agents(draft: Draft, prompts: Prompts) -> Iterator[Complaint]:
    yield from _verify_leaves(leaves_of_defaults(draft).values(), prompts)
    for name in draft.file.agents:
        leaves = leaves_of(draft, name)
        own = (leaf for leaf in leaves.values() if leaf.steps[0] == "agents")
        yield from _verify_leaves(own, prompts)
        yield from verify_agent(draft, name, leaves)


def _verify_leaves(leaves: Iterable[Leaf], prompts: Prompts) -> Iterator[Complaint]:
    for leaf in leaves:
        yield from verify_leaf(leaf)
        if isinstance(leaf.value, InstructionsFile):
            text = prompts.text(leaf.value.file)
            if isinstance(text, Unreadable):
                message = f"the file {quoted(leaf.value.file)} {text.reason}"
                yield Complaint((*leaf.steps, "file"), message, text.hint)


def _compile(draft: Draft, keys: Mapping[str, str], prompts: Prompts) -> RoutingTable:
    profiles = [_profile(name, leaves_of(draft, name), prompts) for name in draft.file.agents]
    routes = [route_of(keys[text], action) for text, action in draft.file.numbers.items()]
    return table_of(profiles, routes, draft.file.defaults.region)


def _profile(name: str, leaves: Leaves, prompts: Prompts) -> AgentProfile:
    values = {leaf: written.value for leaf, written in leaves.items()}
    instructions = values.get("instructions")
    if isinstance(instructions, InstructionsFile):
        values["instructions"] = prompts.text(instructions.file)
    return profile_of(AgentName(name), values)
