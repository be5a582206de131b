"""What the image's recipe must hold that a linter does not know."""

import re

import pytest

from sipagent import __version__
from tests.image.recipe import ROOT, Instruction, context, stages

STAGES = stages()
FINAL = STAGES[-1]
TEXT = (ROOT / "Dockerfile").read_text("utf-8")


def test_every_stage_begins_at_the_one_pinned_base() -> None:
    assert {stage.base for stage in STAGES} == {"python:3.13-slim-trixie"}


def test_the_recipe_fetches_nothing_but_packages_and_names_no_index() -> None:
    assert not re.search(r"https?://|--index-url|--extra-index-url|\bcurl\b|\bwget\b", TEXT)
    assert not [stage for stage in STAGES if stage.all("ADD")]
    assert "apt-get" not in TEXT, "a package list would have to be removed again"


def test_every_package_is_pinned_and_none_is_compiled() -> None:
    installs = re.findall(r"install --quiet.*?(?= && |$)", "\n".join(runs()), re.MULTILINE)
    assert len(installs) == 2
    for install in installs:
        assert "--constraint constraints.txt" in install
        assert "--only-binary :all:" in install


def runs() -> list[str]:
    return [run.rest for stage in STAGES for run in stage.all("RUN")]


def test_no_secret_is_written_into_a_layer() -> None:
    names = [name for stage in STAGES for one in stage.all("ENV") for name in one.pairs]
    names += [name for stage in STAGES for one in stage.all("ARG") for name in one.pairs]
    assert not [name for name in names if re.search("KEY|SECRET|TOKEN|PASSWORD|OPENAI", name)]


def test_it_runs_as_a_number_that_is_not_root() -> None:
    words = [one.word for one in FINAL.instructions]
    assert FINAL.one("USER").rest == "65532:65532"
    assert words.index("USER") > max(i for i, word in enumerate(words) if word in ("RUN", "COPY"))
    assert words.index("USER") < words.index("ENTRYPOINT")


def test_it_serves_and_is_stopped_and_asked_without_a_shell() -> None:
    assert FINAL.one("ENTRYPOINT").exec_form == ["sipagent"]
    assert FINAL.one("CMD").exec_form == ["serve"]
    assert FINAL.one("STOPSIGNAL").rest == "SIGTERM"
    assert FINAL.one("EXPOSE").rest == "8000"
    check = FINAL.one("HEALTHCHECK")
    assert check.options.keys() == {"interval", "timeout", "start-period", "retries"}
    command = Instruction("CMD", check.rest.partition("CMD ")[2])
    assert command.exec_form == ["sipagent", "healthcheck"]


def test_its_places_are_those_of_the_documents() -> None:
    variables = {name: value for one in FINAL.all("ENV") for name, value in one.pairs.items()}
    assert variables["SIPAGENT_CONFIG"] == "/config/agents.yaml"
    assert variables["SIPAGENT_DATA_DIR"] == "/data"
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"
    assert FINAL.one("VOLUME").exec_form == ["/data"]
    assert FINAL.one("WORKDIR").rest == "/app"
    page = (ROOT / "docs" / "container.md").read_text("utf-8")
    for word in ("65532", "/config", "/data", "8000", "--read-only", "healthcheck"):
        assert word in page


@pytest.mark.parametrize(
    "name",
    [
        "title",
        "description",
        "version",
        "revision",
        "created",
        "source",
        "documentation",
        "licenses",
        "vendor",
        "base.name",
    ],
)
def test_it_says_what_it_is(name: str) -> None:
    labels = FINAL.one("LABEL").pairs
    value = labels[f"org.opencontainers.image.{name}"]
    given = {one.rest.partition("=")[0] for one in FINAL.all("ARG")}
    assert value
    if variable := re.fullmatch(r"\$\{(\w+)\}", value):
        assert variable[1] in given
    fixed = {"licenses": "Apache-2.0", "base.name": FINAL.base, "title": "sipagent"}
    assert value == fixed.get(name, value)


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    sent = context()
    assert sorted(sent) == ["LICENSE", "README.md", "constraints.txt", "pyproject.toml", "src"]
    copied = [copy for stage in STAGES for copy in stage.all("COPY") if "from" not in copy.options]
    sources = [name for copy in copied for name in copy.words[:-1]]
    assert sorted(name.removesuffix("/") for name in sources) == sorted(sent)
    assert all((ROOT / name).exists() for name in sources)


def test_a_stage_copies_only_from_a_stage_before_it() -> None:
    known: list[str] = []
    for stage in STAGES:
        for copy in stage.all("COPY"):
            assert copy.options.get("from", "") in ("", *known)
        known.append(stage.name)


def test_the_documents_build_this_version() -> None:
    page = (ROOT / "docs" / "container.md").read_text("utf-8")
    assert f"VERSION={__version__}" in page
