"""Each broken file is refused with exactly the findings that stand beside it."""

from pathlib import Path

import pytest
from pydantic_core import ErrorDetails

from sipagent.config import load
from sipagent.config.findings import Complaint, Findings
from sipagent.config.sentences import complaint_of
from sipagent.errors import ConfigError

BROKEN = Path(__file__).with_name("broken")
FILES = sorted(BROKEN.glob("*.yaml"))


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return str(caught.value).replace(str(path), path.name) + "\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_findings_of_a_broken_file(path: Path) -> None:
    assert refused(path) == path.with_suffix(".txt").read_text("utf-8")


def test_every_message_has_its_file() -> None:
    assert {path.stem for path in BROKEN.glob("*.txt")} == {path.stem for path in FILES}
    assert len(FILES) >= 45


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_findings_are_in_file_order_and_in_plain_words(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(path)
    findings = caught.value.findings
    places = [(finding.line, finding.column) for finding in findings]
    assert places == sorted(places)
    assert min(places) >= (1, 1)
    jargon = ("pydantic", "http", "Input should", "validation", "Literal", "NoneType", "dict")
    for finding in findings:
        text = f"{finding.message} {finding.hint}"
        assert not [word for word in jargon if word in text]


def test_a_mistake_that_the_sentences_do_not_know_is_still_told() -> None:
    error = ErrorDetails(type="date_type", loc=("agents", "a", "speed"), msg="?", input=None)
    assert complaint_of(error, {"agents": {"a": {"speed": None}}}, Findings("f")) == Complaint(
        ("agents", "a", "speed"),
        "is not usable",
        "how fast the agent speaks, 0.25 to 1.5; 1 is normal",
    )


def test_no_finding_repeats_a_secret() -> None:
    text = refused(BROKEN / "secrets.yaml") + refused(BROKEN / "instructions_files.yaml")
    for secret in ("sk-", "whsec_example", "Bearer example"):
        assert secret not in text
