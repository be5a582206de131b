"""Where secrets stand, and what is told of those that cannot be read."""

import os
from pathlib import Path

import pytest

from sipagent.errors import SecretError
from sipagent.providers.secrets import SecretSource

HIDDEN = "hunter2-hidden"


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ("one", ("one",)),
        ("one\n", ("one",)),
        ("\ufeffone\r\ntwo\r\n", ("one", "two")),
        ("# the new one\n new \n\n# the old one\nold\n", ("new", "old")),
        ("a#b", ("a#b",)),
    ],
)
def test_a_file_holds_a_secret_a_line(tmp_path: Path, text: str, secrets: tuple[str, ...]) -> None:
    path = tmp_path / "keys"
    path.write_bytes(text.encode())
    assert SecretSource(file=path).read() == secrets


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("one")
    source = SecretSource(file=path)
    assert source.read() == ("one",)
    path.write_text("two")
    assert source.read() == ("two",)


def test_a_variable_may_have_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    source = SecretSource(variable="US_1_KEY", default=HIDDEN)
    monkeypatch.delenv("US_1_KEY", raising=False)
    assert source.read() == (HIDDEN,)
    monkeypatch.setenv("US_1_KEY", "")
    assert source.read() == (HIDDEN,)
    monkeypatch.setenv("US_1_KEY", "given")
    assert source.read() == ("given",)


def test_an_unset_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("US_1_KEY", raising=False)
    with pytest.raises(SecretError) as refused:
        SecretSource(variable="US_1_KEY").read()
    assert str(refused.value) == "${US_1_KEY}: is not set"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds no secret"),
        (b"# nothing\n\n", "holds no secret"),
        (HIDDEN.encode() + b"\xff", "is not UTF-8 text"),
        (HIDDEN.encode() + b"x" * 65_536, "is larger than 65536 bytes"),
        (None, "No such file or directory"),
    ],
    ids=["empty", "comments", "not utf-8", "large", "missing"],
)
def test_a_useless_file_is_named_and_never_quoted(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SecretError) as refused:
        SecretSource(file=path).read()
    assert str(refused.value) == f"{path}: {problem}"
    assert HIDDEN not in repr(refused.value)
    assert refused.value.__suppress_context__ or HIDDEN not in repr(refused.value.__cause__)


def test_a_pipe_and_a_folder_are_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(SecretError, match="is not a regular file"):
            SecretSource(file=path).read()


def test_no_content_shows_in_repr() -> None:
    sources = (SecretSource(literal=HIDDEN), SecretSource(variable="X", default=HIDDEN))
    assert HIDDEN not in repr(sources)


@pytest.mark.parametrize("given", [{}, {"variable": "X", "file": Path("x")}])
def test_a_source_is_one_place(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a variable, a file or a literal"):
        SecretSource(**given)  # type: ignore[arg-type]
