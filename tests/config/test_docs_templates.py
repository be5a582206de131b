"""What docs/templates.md shows can be rendered, and its tables name what there is."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sipagent.config.templates.compiled import CompiledTemplate, compile_text, missing, sample_facts
from sipagent.config.templates.kinds import ATTRIBUTES, FILTERS, METHODS, ROOTS, Kind

PAGE = (Path(__file__).parent.parent.parent / "docs" / "templates.md").read_text("utf-8")
VARS = {
    "brand": "Acme",
    "store": "Acme Main Street",
    "address": "1 Main Street",
    "store_phone": "+17134810111",
    "offer": "full service",
}
AT = datetime(2026, 11, 20, 14, 5, tzinfo=UTC)


class Hours:
    """Open for three hours, or closed for three days."""

    def __init__(self, *, is_open: bool) -> None:
        self._open = is_open

    def is_open(self, at: datetime) -> bool:
        return self._open

    def next_opening(self, at: datetime) -> datetime:
        return at if self._open else at + timedelta(days=3)

    def next_closing(self, at: datetime) -> datetime:
        return at + timedelta(hours=3) if self._open else at


def blocks() -> list[str]:
    return re.findall(r"```jinja\n(.*?)```", PAGE, re.DOTALL)


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def render(source: str, *, is_open: bool = False) -> str:
    made = compile_text(source)
    assert isinstance(made, CompiledTemplate), made
    assert missing(made, VARS) == []
    facts = sample_facts(
        vars=VARS,
        hours={"office": Hours(is_open=is_open)},
        timezone="UTC",
        language="en",
        headers=[],
        at=AT,
    )
    return made.render(facts)


def test_the_page_has_examples() -> None:
    assert len(blocks()) >= 10


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize("source", blocks())
def test_every_example_can_be_rendered(source: str, is_open: bool) -> None:
    text = render(source, is_open=is_open)
    assert text.strip()
    assert "None" not in text


def test_the_output_that_is_shown_is_the_one_that_is_printed() -> None:
    template, output = PAGE.split("\n```\n\nprints for instance\n\n```text\n")
    source = template.split("```jinja\n")[-1]
    assert render(source) == output.split("\n```")[0]


def test_every_variable_is_described_and_no_other() -> None:
    rows = re.findall(r"^\| (`.*?) \| ", section("Variables"), re.MULTILINE)
    described = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    groups = {"caller": Kind.CALLER, "number": Kind.DIRECTORY, "hours.NAME": Kind.ENTRY}
    known = {f"{group}.{name}" for group, kind in groups.items() for name in ATTRIBUTES[kind]}
    known |= {"vars.NAME", "hours[number.hours]", "headers['x-store-id']"}
    known |= set(ROOTS) - {"vars", "caller", "number", "hours", "headers"}
    assert described == known


def test_every_part_of_a_time_is_described() -> None:
    times = section("Variables").split("### Times")[1]
    for name in ATTRIBUTES[Kind.TIME]:
        assert f"`{name}`" in times
    for name in METHODS:
        assert f"`{name}(" in times


def test_every_filter_is_described_and_no_other() -> None:
    rows = re.findall(r"^\| (`.*?) \| ", section("Filters"), re.MULTILINE)
    described = {name for row in rows for name in re.findall(r"`([a-z]+)", row)}
    assert described == set(FILTERS)


def test_the_filters_for_what_callers_say_are_described() -> None:
    text = section("What is trusted and what is quoted").split("takes the filters")[1]
    described = set(re.findall(r"`([a-z]+)`", text.split("and is still quoted")[0]))
    assert described | {"d"} == {name for name, one in FILTERS.items() if Kind.OUTSIDE in one.takes}
