"""Each broken file is refused with exactly the findings that stand beside it.

A case is a file, `NAME.yaml` with `NAME.txt`, or a folder with agents.yaml, all that it includes,
and expected.txt.
"""

from pathlib import Path

import pytest
from pydantic_core import ErrorDetails

from sipagent.config import load
from sipagent.config.findings import Complaint, Findings
from sipagent.config.schema import AgentsFile
from sipagent.config.sentences import complaint_of
from sipagent.errors import ConfigError, Finding

BROKEN = Path(__file__).with_name("broken")
FILES = sorted(BROKEN.glob("*.yaml"))
FOLDERS = sorted(path.parent for path in BROKEN.glob("*/agents.yaml"))
CASES = [*FILES, *FOLDERS]
ENVIRONMENT = {"SIPAGENT_ENV": "prod", "HOST": "api.example.com"}
JARGON = (
    "pydantic",
    "Input should",
    "validation",
    "Literal",
    "NoneType",
    "dict",
    "<mapping>",
    "branch",
)


def findings_of(case: Path) -> tuple[Finding, ...]:
    path = case / "agents.yaml" if case.is_dir() else case
    with pytest.raises(ConfigError) as caught:
        load(path, environment=ENVIRONMENT)
    return caught.value.findings


def refused(case: Path) -> str:
    folder = case if case.is_dir() else case.parent
    return "".join(f"{finding}\n" for finding in findings_of(case)).replace(f"{folder}/", "")


def expected(case: Path) -> str:
    path = case / "expected.txt" if case.is_dir() else case.with_suffix(".txt")
    return path.read_text("utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_findings_of_a_broken_configuration(case: Path) -> None:
    assert refused(case) == expected(case)


def test_every_message_has_its_file() -> None:
    assert {path.stem for path in BROKEN.glob("*.txt")} == {path.stem for path in FILES}
    assert len(CASES) >= 120


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_findings_are_in_file_order_and_in_plain_words(case: Path) -> None:
    findings = findings_of(case)
    files = list(dict.fromkeys(finding.file for finding in findings))
    places = [(files.index(finding.file), finding.line, finding.column) for finding in findings]
    assert places == sorted(places)
    assert min(place[1:] for place in places) >= (1, 1)
    for finding in findings:
        text = f"{finding.message} {finding.hint}"
        assert not [word for word in JARGON if word in text]


def test_a_mistake_that_the_sentences_do_not_know_is_still_told() -> None:
    error = ErrorDetails(type="date_type", loc=("a", "speed"), msg="?", input=None)
    data = {"agents": {"a": {"speed": None}}}
    told = complaint_of(error, ("agents",), data, AgentsFile, Findings("f"))
    assert told == Complaint(
        ("agents", "a", "speed"),
        "is not usable",
        "how fast the agent speaks, 0.25 to 1.5; 1 is normal",
    )


def test_no_finding_repeats_a_secret() -> None:
    text = refused(BROKEN / "secrets.yaml") + refused(BROKEN / "instructions_files.yaml")
    for secret in ("sk-", "whsec_example", "Bearer example"):
        assert secret not in text
