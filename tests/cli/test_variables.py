"""Where commands find the files: options, variables, and the files that variables name."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sipagent.cli import app
from tests.cli.support import Place

NUMBER = "+17134810111"


def run(place: Place, *words: str, **environment: str | Path) -> Result:
    unset = dict.fromkeys(f"SIPAGENT_{name}" for name in ("CONFIG", "DATA_DIR"))
    given = {f"SIPAGENT_{name}": str(value) for name, value in environment.items()}
    return CliRunner().invoke(app, list(words), env={**unset, **given})


def named(place: Place, name: str, path: Path) -> Path:
    file = place.folder / name
    file.write_text(f"{path}\n")
    return file


@pytest.mark.parametrize("words", [["check"], ["print-config"], ["route", NUMBER, "--show"]])
def test_a_variable_may_name_a_file_that_holds_the_value(place: Place, words: list[str]) -> None:
    config, data = named(place, "config", place.main), named(place, "data", place.data)
    by_files = run(place, *words, CONFIG_FILE=config, DATA_DIR_FILE=data)
    by_values = run(place, *words, CONFIG=place.main, DATA_DIR=place.data)
    assert by_files.stdout == by_values.stdout
    assert by_files.exit_code == by_values.exit_code
    assert by_files.stdout


def test_the_data_directory_of_the_file_is_the_one_that_is_read(place: Place) -> None:
    data = named(place, "data", place.data)
    place.run("numbers", "pause", NUMBER)
    result = run(place, "route", NUMBER, CONFIG=place.main, DATA_DIR_FILE=data)
    assert "paused" in result.stdout


def test_an_option_and_the_variable_itself_precede_the_file(place: Place) -> None:
    missing = place.folder / "missing"
    for words, environment in (
        ((), {"CONFIG": place.main}),
        (("--config", str(place.main)), {}),
    ):
        result = run(place, "print-config", *words, CONFIG_FILE=missing, **environment)
        assert result.exit_code == 0, result.output


def test_a_file_that_cannot_be_read_is_told(place: Place) -> None:
    missing = place.folder / "missing"
    result = run(place, "route", NUMBER, CONFIG_FILE=missing)
    told = f"SIPAGENT_CONFIG_FILE: {missing}: No such file or directory"
    assert (result.exit_code, result.stdout) == (78, "")
    assert told in result.stderr
