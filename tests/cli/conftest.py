"""What all tests of commands share."""

from pathlib import Path

import pytest

from tests.cli.support import Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("US_HOOKS", raising=False)
    return Place(tmp_path)
