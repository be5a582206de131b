"""Files on disk: what is read, what is refused, and what the hash covers."""

import os
import time
from pathlib import Path

import pytest

from sipagent.config import Loaded, load, parse
from sipagent.config.compilation import ENVIRONMENT_ACCOUNT
from sipagent.errors import ConfigError

TEXT = """\
version: 1
agents:
  reception:
    model: gpt-realtime-2.1
    instructions: {file: prompts/reception.md}
numbers:
  "+1 713 481 0111": reception
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "reception.md").write_text("Be kind.\n")
    (tmp_path / "agents.yaml").write_text(TEXT)
    return tmp_path


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value).replace(str(path), path.name)


def instructions(loaded: Loaded) -> list[str | None]:
    sessions = [agent.edition(None).session for agent in loaded.table.agents.values()]
    return [session.get("instructions") for session in sessions]


def test_a_usable_file_names_every_file_that_it_was_made_from(folder: Path) -> None:
    loaded = load(folder / "agents.yaml")
    assert loaded.files == (folder / "agents.yaml", folder / "prompts" / "reception.md")
    assert instructions(loaded) == ["Be kind.\n"]
    assert [agent.tenant for agent in loaded.table.agents.values()] == ["default"]
    assert loaded.table.region is None


def test_a_relative_path_works_from_any_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert load(Path("agents.yaml")).files == (Path("agents.yaml"), Path("prompts/reception.md"))


def test_a_prompt_file_is_read_once_for_all_agents(folder: Path) -> None:
    text = TEXT.replace(
        "agents:\n", "defaults: {instructions: {file: prompts/reception.md}}\nagents:\n"
    )
    text = text.replace("numbers:\n", "  other: {model: m}\nnumbers:\n")
    loaded = parse(text, file="f", base=folder)
    assert loaded.files == (folder / "prompts" / "reception.md",)
    assert instructions(loaded) == ["Be kind.\n", "Be kind.\n"]


def test_kubernetes_links_within_the_folder_are_followed(folder: Path) -> None:
    (folder / "..2026_11_21").mkdir()
    (folder / "prompts" / "reception.md").rename(folder / "..2026_11_21" / "reception.md")
    (folder / "..data").symlink_to("..2026_11_21")
    (folder / "prompts" / "reception.md").symlink_to("../..data/reception.md")
    assert instructions(load(folder / "agents.yaml")) == ["Be kind.\n"]


def test_links_out_of_the_folder_and_loops_are_refused(folder: Path, tmp_path: Path) -> None:
    prompt = folder / "prompts" / "reception.md"
    prompt.unlink()
    prompt.symlink_to("/etc/hostname")
    assert "lies outside of this file's folder" in refused(folder / "agents.yaml")
    prompt.unlink()
    prompt.symlink_to("reception.md")
    assert "cannot be read: " in refused(folder / "agents.yaml")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"x" * (256 * 1024 + 1), "is larger than 256 KiB"),
        (b"\xff\xfeB\x00", "is UTF-16, not UTF-8"),
        (b"Be\nkind \xc3.", "is not UTF-8 in line 2, column 6"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"Say sk-proj-0123456789abcdef to nobody", "holds what looks like a secret"),
    ],
    ids=["size", "utf-16", "latin-1", "blank", "secret"],
)
def test_prompt_files_that_cannot_be_used(folder: Path, content: bytes, reason: str) -> None:
    (folder / "prompts" / "reception.md").write_bytes(content)
    assert refused(folder / "agents.yaml").startswith(
        "agents.yaml:5:26: agents.reception.instructions.file: "
        f'the file "prompts/reception.md" {reason}'
    )


def test_a_prompt_of_the_largest_size_and_with_a_byte_order_mark(folder: Path) -> None:
    content = b"\xef\xbb\xbf" + b"x" * (256 * 1024 - 3)
    (folder / "prompts" / "reception.md").write_bytes(content)
    assert instructions(load(folder / "agents.yaml")) == ["x" * (256 * 1024 - 3)]


def test_a_pipe_is_no_prompt(folder: Path) -> None:
    prompt = folder / "prompts" / "reception.md"
    prompt.unlink()
    os.mkfifo(prompt)
    assert "is not a regular file" in refused(folder / "agents.yaml")


def test_files_that_are_not_there_or_no_file(folder: Path) -> None:
    nowhere = refused(folder / "nowhere.yaml")
    assert nowhere.startswith("nowhere.yaml:1:1: the file does not exist (--config or SIPAGENT_")
    assert refused(folder) == f"{folder.name}:1:1: the file is a directory"
    assert (
        refused(folder / "agents.yaml" / "x") == "x:1:1: the file cannot be read: not a directory"
    )
    assert refused(folder / ("x" * 300)).endswith("the file cannot be read: file name too long")
    nul = folder / "a\0b"
    assert refused(nul).endswith("the file cannot be read: its name is not usable")


def test_a_file_without_permission(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Tests may run as root, whom no mode of a file keeps out.
    monkeypatch.setattr(Path, "open", denied)
    assert refused(folder / "agents.yaml") == (
        "agents.yaml:1:1: the file may not be read by this process (check the file's permissions)"
    )


def test_a_file_that_is_too_large(folder: Path) -> None:
    (folder / "agents.yaml").write_text(TEXT + "#" * 1024 * 1024)
    assert refused(folder / "agents.yaml") == "agents.yaml:1:1: the file is larger than 1,024 KiB"


def test_other_files_that_are_too_large(folder: Path) -> None:
    include = TEXT.replace("version: 1\n", "version: 1\ninclude: common.yaml\n")
    (folder / "agents.yaml").write_text(include)
    (folder / "common.yaml").write_text("namespace: common\n" + "#" * 1024 * 1024)
    assert refused(folder / "agents.yaml") == (
        'agents.yaml:2:10: include: the file "common.yaml" is larger than 1,024 KiB'
    )
    (folder / "agents.yaml").write_text(TEXT + "  table: t.csv\n")
    (folder / "t.csv").write_bytes(b"number,agent\n" + b" " * 16 * 1024 * 1024)
    assert refused(folder / "agents.yaml").endswith("t.csv:1:1: the file is larger than 16,384 KiB")


def test_the_hash_names_what_a_call_could_notice(folder: Path) -> None:
    first = load(folder / "agents.yaml").table.config_hash
    assert len(first) == 12
    assert int(first, 16) >= 0
    same = [
        "# a comment\n" + TEXT,
        TEXT.replace('"+1 713 481 0111"', "17134810111"),
        TEXT.replace("model: gpt-realtime-2.1", 'model: "gpt-realtime-2.1"'),
        TEXT.replace("{file: prompts/reception.md}", '"Be kind.\\n"'),
    ]
    other = [
        TEXT.replace("gpt-realtime-2.1", "gpt-realtime-2.1-mini"),
        TEXT.replace("0111", "0112"),
        TEXT.replace(": reception\n", ": {reject: 404}\n"),
        TEXT.replace("reception:", "receptions:").replace('": reception', '": receptions'),
        TEXT.replace("version: 1\n", "version: 1\ndefaults: {region: US}\n"),
        TEXT.replace("    model", "    greeting: Hello\n    model"),
        TEXT.replace("    model", "    greeting: {say: Hello, interruptible: false}\n    model"),
    ]
    hashes = [parse(text, file="f", base=folder).table.config_hash for text in same]
    assert set(hashes) == {first}
    hashes = [parse(text, file="f", base=folder).table.config_hash for text in other]
    assert len({first, *hashes}) == len(other) + 1


def test_the_hash_changes_with_a_prompt_file_and_not_with_an_order(folder: Path) -> None:
    two = TEXT.replace("agents:\n", "agents:\n  b: {model: m, voice: ash, speed: 1}\n")
    swapped = TEXT.replace("numbers:", "  b: {speed: 1, voice: ash, model: m}\nnumbers:")
    before = parse(two, file="f", base=folder).table.config_hash
    assert parse(swapped, file="f", base=folder).table.config_hash == before
    (folder / "prompts" / "reception.md").write_text("Be quick.\n")
    assert parse(two, file="f", base=folder).table.config_hash != before


def test_the_order_of_what_has_none_is_no_other_version(tmp_path: Path) -> None:
    text = (
        "version: 1\ndefaults: {model: m, callers: {deny: ['+44*', '+49*']}}\n"
        "tenants: {default: {grants: {transfer_countries: [US, CA], sip_hosts: [a.x, b.x],"
        " secrets: {hook: {file: f}}}}}\nagents: {a: {}, b: {}}\nnumbers:\n"
        "  '+17134810111': [{when: {caller: ['+1406*', '+1407*']}, reject: 480}, a]\n"
        "  default: {consult: {url: 'https://x.example/', secret: {secret: hook}, agents: [a, b],"
        " otherwise: a}}\n"
    )
    before = parse(text, file="f", base=tmp_path).table.config_hash
    for one in ("'+44*', '+49*'", "US, CA", "a.x, b.x", "'+1406*', '+1407*'", "a, b"):
        first, second = one.split(", ")
        swapped = text.replace(f"[{one}]", f"[{second}, {first}]")
        assert swapped != text
        assert parse(swapped, file="f", base=tmp_path).table.config_hash == before, one


def test_a_thousand_agents_and_ten_thousand_numbers(tmp_path: Path) -> None:
    leaves = (
        "instructions: Be kind., greeting: {say: Hello, interruptible: false}, voice: marin, "
        "turn_detection: {type: semantic_vad, eagerness: low}, transcription: gpt-live-transcribe"
    )
    agents = "".join(f"  agent_{i}: {{{leaves}}}\n" for i in range(1000))
    numbers = "".join(f'  "+1 713 481 {i:04d}": agent_{i % 1000}\n' for i in range(10_000))
    text = f"version: 1\ndefaults: {{model: m}}\nagents:\n{agents}numbers:\n{numbers}"
    began = time.perf_counter()
    table = parse(text, file="f", base=tmp_path).table
    print(f"{len(text):,} characters: {time.perf_counter() - began:.3f} s")
    assert len(table.agents) == 1000
    assert (
        len({route.key for route in table.directory(ENVIRONMENT_ACCOUNT).exact.values()}) == 10_000
    )
