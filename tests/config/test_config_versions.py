"""The stored versions: which are kept, what a crash leaves, and what a damaged file costs."""

import os
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from sipagent.config.reload import disk
from sipagent.config.reload.versions import KEPT, Kept, Pin, VersionStore
from sipagent.config.sources import Bundle
from sipagent.errors import StoreError


def bundle(text: str) -> Bundle:
    return Bundle("/config", "agents.yaml", {"agents.yaml": text})


def name(number: int) -> str:
    return f"{number:012x}"


class Store(VersionStore):
    """A store with a clock of its own, and what it says of damaged files."""

    def __init__(self, data_dir: Path) -> None:
        self.time = 1_000.0
        self.damage: list[str] = []
        super().__init__(
            data_dir,
            now=lambda: self.time,
            on_damage=lambda file, _: self.damage.append(Path(file).name),
        )

    def keep_all(self, *numbers: int) -> None:
        for number in numbers:
            self.time += 1
            self.keep(name(number), bundle(f"text {number}"))

    def hashes(self) -> list[str]:
        return [version.hash for version in self.all()]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "data" / "versions").iterdir())


def test_an_empty_store_has_nothing_and_writes_nothing(store: Store, tmp_path: Path) -> None:
    assert store.last() is None
    assert store.get("a") is None
    assert store.all() == ()
    assert store.pinned() is None
    store.unpin()
    assert not (tmp_path / "data").exists()


def test_the_newest_is_the_last(store: Store) -> None:
    store.keep_all(1, 2)
    assert store.last() == (name(2), bundle("text 2"))
    assert store.all() == (Kept(name(2), 1002.0), Kept(name(1), 1001.0))


def test_a_version_that_is_kept_again_is_the_newest_and_stands_once(store: Store) -> None:
    store.keep_all(1, 2, 1)
    assert store.hashes() == [name(1), name(2)]


def test_a_clock_that_is_set_back_does_not_change_the_order(store: Store) -> None:
    store.keep_all(1)
    store.time = 5.0
    store.keep_all(2)
    assert store.hashes() == [name(2), name(1)]


def test_the_oldest_go_and_the_pinned_one_stays(store: Store) -> None:
    store.keep_all(1, 2, 3)
    store.pin(name(1), "f")
    store.keep_all(*range(4, 40))
    assert len(store.all()) == KEPT
    assert store.hashes()[-1] == name(1)
    store.unpin()
    store.keep_all(40)
    assert store.hashes() == [name(number) for number in range(40, 20, -1)]


def test_a_beginning_is_enough_where_it_means_one(store: Store) -> None:
    store.keep("abcd1", bundle("1"))
    store.keep("abcd2", bundle("2"))
    assert store.get("abcd1") == ("abcd1", bundle("1"))
    assert store.get("ffff") is None
    with pytest.raises(StoreError, match="abcd1, abcd2"):
        store.get("abcd")


def test_a_pin_says_which_files_it_overrides(store: Store) -> None:
    store.keep_all(1, 2)
    store.pin(name(1), "fingerprint")
    assert store.pinned() == Pin(name(1), "fingerprint", 1002.0)
    store.unpin()
    assert store.pinned() is None


def test_only_what_is_there_can_be_pinned(store: Store) -> None:
    store.keep_all(1)
    with pytest.raises(StoreError, match="has no version"):
        store.pin(name(2), "f")
    assert store.pinned() is None


@pytest.mark.parametrize("hash_", ["", "../../x", "ABCD", "abc", "a" * 65])
def test_a_hash_is_no_path(store: Store, hash_: str) -> None:
    with pytest.raises(ValueError, match="hex"):
        store.keep(hash_, bundle("x"))


def test_nobody_else_may_read(store: Store, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store.keep_all(1)
        store.pin(name(1), "f")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "data" / "versions").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in files(tmp_path)} == {0o600}


@pytest.mark.parametrize("damage", [b"", b"x" * 65, b"{}", b"\xff" * 300, b"0" * 64 + b"\n{}"])
def test_a_damaged_version_is_skipped_and_told(store: Store, tmp_path: Path, damage: bytes) -> None:
    store.keep_all(1, 2)
    newest = files(tmp_path)[-1]
    newest.write_bytes(damage)
    assert store.last() == (name(1), bundle("text 1"))
    assert store.hashes() == [name(1)]
    assert store.get(name(2)) is None
    assert set(store.damage) == {newest.name}
    store.keep_all(2)
    assert store.last() == (name(2), bundle("text 2"))


def test_a_version_cut_anywhere_is_never_believed(store: Store, tmp_path: Path) -> None:
    store.keep_all(1)
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        assert store.last() is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"hash":1}', b"\xff", b"null"])
def test_a_damaged_pin_is_no_pin(store: Store, tmp_path: Path, damage: bytes) -> None:
    store.keep_all(1)
    store.pin(name(1), "f")
    (tmp_path / "data" / "versions" / "pinned.json").write_bytes(damage)
    assert store.pinned() is None
    assert store.damage == ["pinned.json"]


def test_a_folder_in_the_place_of_a_version_is_skipped(store: Store, tmp_path: Path) -> None:
    store.keep_all(1)
    (tmp_path / "data" / "versions" / f"9999999999999-{name(2)}.json").mkdir()
    assert store.last() == (name(1), bundle("text 1"))
    assert len(store.damage) == 1


CRASH = """
import os, sys
from pathlib import Path
from sipagent.config.sources import Bundle
from sipagent.config.reload.versions import VersionStore

def die(*_):
    os._exit(9)

if sys.argv[2] == "write":
    os.fdopen = lambda file, mode: (os.write(file, b"half"), die())
else:
    setattr(*{"fsync": (os, "fsync"), "rename": (Path, "replace")}[sys.argv[2]], die)
bundle = Bundle("/config", "agents.yaml", {"agents.yaml": "new"})
VersionStore(Path(sys.argv[1])).keep("ffff", bundle)
"""


@pytest.mark.parametrize("point", ["write", "fsync", "rename"])
def test_a_crash_leaves_the_version_before(store: Store, tmp_path: Path, point: str) -> None:
    store.keep_all(1)
    crashed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CRASH), str(tmp_path / "data"), point], check=False
    )
    assert crashed.returncode == 9
    assert store.last() == (name(1), bundle("text 1"))
    assert store.damage == []
    (abandoned,) = [file for file in files(tmp_path) if file.name.startswith(".")]
    store.keep_all(2)
    assert abandoned.exists(), "another process may be writing it"
    long_ago = time.time() - 7200
    os.utime(abandoned, (long_ago, long_ago))
    store.keep_all(3)
    assert not abandoned.exists()
    assert store.hashes() == [name(3), name(2), name(1)]


def test_a_full_disk_is_one_error_and_loses_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.keep_all(1)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.os, "fsync", full)
    with pytest.raises(StoreError, match="no space left on device") as refused:
        store.keep_all(2)
    assert str(tmp_path) in str(refused.value)
    with pytest.raises(StoreError):
        store.pin(name(1), "f")
    monkeypatch.undo()
    assert store.hashes() == [name(1)]
    assert [file for file in files(tmp_path) if file.name.startswith(".")] == []


def test_a_data_directory_that_is_no_folder_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    store = Store(tmp_path / "data")
    with pytest.raises(StoreError):
        store.keep_all(1)
