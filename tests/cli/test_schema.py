"""The JSON Schemas of the files: current, true of what is usable and of what is not."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sipagent.config.findings import Findings
from sipagent.config.outline import OUTLINES
from sipagent.config.report.jsonschema import Kind, schema_of, schema_text
from sipagent.config.schema import AgentsFile, NamespaceFile, TenantFile
from sipagent.config.validation import validate
from sipagent.config.yamlfile.reader import read
from sipagent.config.yamlfile.values import to_data
from sipagent.errors import ConfigError
from tests.cli.support import ACME, COMMON, MAIN, Place

ROOT = Path(__file__).parents[2]
BROKEN = ROOT / "tests" / "config" / "broken"
MODELS = {Kind.AGENTS: AgentsFile, Kind.TENANT: TenantFile, Kind.NAMESPACE: NamespaceFile}
OPENAI = "numbers: {default: a}\naccounts: {o: {api_keys: '${K}', webhook_secrets: {file: h}}}"
AZURE = OPENAI.replace("{o: {", "{o: {provider: azure, endpoint: e, ")


def data_of(text: str, kind: Kind = Kind.AGENTS) -> dict[str, Any]:
    findings = Findings("f")
    return to_data(read(text, findings), findings, OUTLINES[MODELS[kind]], {})


def is_valid(text: str, kind: Kind = Kind.AGENTS) -> bool:
    return Draft202012Validator(schema_of(kind)).is_valid(data_of(text, kind))


@pytest.mark.parametrize("kind", Kind)
def test_the_files_are_current_and_are_schemas(kind: Kind, place: Place) -> None:
    Draft202012Validator.check_schema(schema_of(kind))
    committed = (ROOT / "schema" / kind.file_name).read_text("utf-8")
    assert committed == schema_text(kind), "run `sipagent schema --out schema`"
    assert place.run("schema", kind.value).stdout == committed


@pytest.mark.parametrize("path", sorted(ROOT.glob("config/**/*.yaml")), ids=lambda path: path.name)
def test_the_files_that_are_shipped_are_valid(path: Path) -> None:
    text = path.read_text("utf-8")
    data = data_of(text)
    kind = next(
        (kind for kind in Kind if kind.value in data and kind is not Kind.AGENTS), Kind.AGENTS
    )
    errors = Draft202012Validator(schema_of(kind)).iter_errors(data_of(text, kind))
    assert [error.message for error in errors] == []


def test_examples_are_valid() -> None:
    assert is_valid(MAIN)
    assert is_valid(COMMON, Kind.NAMESPACE)
    assert is_valid(ACME, Kind.TENANT)
    pages = [path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md")]
    begin = r"```yaml\n((?:#[^\n]*\n)*(version: 1|tenant|namespace)\b"
    block = re.compile(begin + r".*?)```", re.DOTALL)
    examples = [found for page in pages for found in block.findall(page)]
    assert examples
    for text, first in examples:
        assert is_valid(text, Kind.AGENTS if first.startswith("version") else Kind(first)), text


def shapes() -> Iterator[tuple[Path, dict[str, Any], bool]]:
    """Every broken file that is YAML, and whether its shape is wrong: not other files, not what
    must fit together."""
    for path in sorted(BROKEN.glob("*.yaml")):
        findings = Findings(path.name)
        try:
            data = data_of(path.read_text("utf-8"))
        except (ConfigError, UnicodeDecodeError):
            continue  # no editor gets as far as the schema
        yield path, data, bool(validate(data, AgentsFile, findings)[1])


def test_files_of_a_wrong_shape_are_not_valid() -> None:
    validator = Draft202012Validator(schema_of(Kind.AGENTS))
    judged = list(shapes())
    accepted = [path.stem for path, data, wrong in judged if wrong and validator.is_valid(data)]
    assert accepted == []
    assert sum(wrong for *_, wrong in judged) > 40


@pytest.mark.parametrize(
    ("section", "valid"),
    [
        ("numbers: {default: a, table: numbers/*.csv}", True),
        ("numbers: {table: [a]}", False),
        ("numbers: {default: [{when: {}, agent: a}]}", False),
        ("numbers: {default: {agent: a, reject: 404}}", False),
        ("numbers: {default: {rules: [a], vars: {b: c}}}", True),
        ("numbers: {default: a}\nhours: {o: {mon-fri: '09:00-18:00', holidays: US}}", True),
        ("numbers: {default: a}\nhours: {o: {mo: '09:00-18:00'}}", False),
        ("numbers: {default: a}\nhours: {o: 24/7}", True),
        (OPENAI, True),
        (OPENAI.replace("'${K}'", "sk"), False),
        (AZURE, True),
        (AZURE.replace("endpoint: e, ", ""), False),
        (AZURE.replace("api_keys: '${K}', ", ""), False),
        ("numbers: {default: a}\ntrunks: {t: {secret: {header: h}}}", False),
        ("numbers: {default: a}\ndestinations: {Desk: '+1'}", False),
        ("numbers: {}", False),
    ],
)
def test_sections(section: str, valid: bool) -> None:
    assert is_valid(f"version: 1\nagents: {{a: {{model: m}}}}\n{section}\n") is valid


@pytest.mark.parametrize(
    ("leaf", "valid"),
    [
        ("greeting: {en: Hi, es: Hola}", True),
        ("greeting: {say: {en: Hi}}", True),
        ("greeting: {}", False),
        ("instructions: {en: {file: a.md}}", True),
        ("tools: [hang_up, {transfer: [a]}]", True),
        ("tools: [{transfer: [a], switch_agent: [b]}]", False),
        ("tools: [{}]", False),
        ("vars: {a: required, b: {type: phone}}", True),
        ("vars: {A: required}", False),
        ("voice: null", False),
    ],
)
def test_leaves_of_an_agent(leaf: str, valid: bool) -> None:
    text = f"version: 1\nagents: {{a: {{model: m, {leaf}}}}}\nnumbers: {{default: a}}\n"
    assert is_valid(text) is valid


@pytest.mark.parametrize("kind", Kind)
def test_every_key_has_a_description_and_none_a_name_of_ours(kind: Kind) -> None:
    schema = schema_of(kind)
    for owner, node in [("", schema), *schema["$defs"].items()]:
        for name, below in node.get("properties", {}).items():
            assert below.get("description", "").endswith((".", "...")), f"{owner}.{name}"
            assert "title" not in below
            assert below.get("default") != {}
        if owner and node.get("type") == "object":
            assert node["additionalProperties"] is False, owner


def test_out_is_a_file_or_a_folder(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "tenant.json"
    assert place.run("schema", "tenant", "--out", str(out)).exit_code == 0
    assert json.loads(out.read_text("utf-8"))["required"] == ["tenant"]
    folder = tmp_path / "schemas"
    folder.mkdir()
    assert place.run("schema", "--out", str(folder)).exit_code == 0
    names = {path.name for path in folder.iterdir()}
    assert names == {kind.file_name for kind in Kind} | {"scenario.schema.json"}
    assert place.run("schema", "--out", str(tmp_path / "no" / "x.json")).exit_code == 2
