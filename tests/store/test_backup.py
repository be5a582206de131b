"""Copies of the data directory, made while records are written."""

import sqlite3
import stat
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from sipagent.errors import StoreError
from sipagent.store.backup import back_up, dump_command
from sipagent.store.location import location_of
from tests.store.nouns import keeping
from tests.store.support import located
from tests.store.test_traces import tell

SMALL = {
    "privacy.key": "0123456789abcdef",
    "erasures.jsonl": "{}\n",
    "audit.jsonl": "{}\n",
    "orders/controls.json": "{}",
    "versions/a.json": "{}",
}
LEFT = ("engine.sqlite", "engine.lock", "controls.lock", "records.spool.0")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name, text in (SMALL | dict.fromkeys(LEFT, "")).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def calls_in(records: Path) -> int:
    with closing(sqlite3.connect(records)) as connection:
        count: int = connection.execute("SELECT count(*) FROM calls").fetchone()[0]
        return count


async def test_the_copy_is_whole_and_private_and_of_what_cannot_be_made_again(
    data: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{data}/records.sqlite"
    async with keeping(url, data) as kept:
        tell(kept, "rtc_1")
        await kept.writer.flushed()
        names = back_up(located(url), data, tmp_path / "copy")
        tell(kept, "rtc_2")
        await kept.writer.flushed()
    copy = tmp_path / "copy"
    files = {str(path.relative_to(copy)): path for path in copy.rglob("*") if path.is_file()}
    assert files.keys() == SMALL.keys() | {"records.sqlite"}
    assert set(names) == {name.split("/")[0] for name in files}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    assert {name: path.read_text() for name, path in files.items() if name in SMALL} == SMALL
    assert (calls_in(copy / "records.sqlite"), calls_in(data / "records.sqlite")) == (1, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "data"]


async def test_records_that_were_put_back_are_written_beside_readers(
    data: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{data}/records.sqlite"
    async with keeping(url, data) as kept:
        tell(kept, "rtc_1")
        await kept.writer.flushed()
    back_up(located(url), data, tmp_path / "copy")
    (tmp_path / "copy" / "records.sqlite").replace(data / "records.sqlite")
    async with keeping(url, data) as kept:
        tell(kept, "rtc_2")
        await kept.writer.flushed()
        with closing(sqlite3.connect(data / "records.sqlite")) as connection:
            ((mode,),) = connection.execute("PRAGMA journal_mode").fetchall()
    assert (mode, calls_in(data / "records.sqlite")) == ("wal", 2)


@pytest.mark.parametrize("name", ["copy.tar.gz", "copy.tgz", "copy.tar"])
async def test_an_archive_holds_the_same(name: str, data: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/elsewhere/other.sqlite"
    async with keeping(url, data):
        pass
    back_up(located(url), data, tmp_path / name)
    with tarfile.open(tmp_path / name) as archive:
        members = {member.name for member in archive.getmembers() if member.isfile()}
    assert members == {f"./{each}" for each in (*SMALL, "records.sqlite")}
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.part"))


def test_nothing_is_overwritten(data: Path, tmp_path: Path) -> None:
    location = location_of(None, data)
    for place in (tmp_path / "full", tmp_path / "full.tar"):
        place.write_text("precious")
        with pytest.raises(StoreError, match="is there already: a backup overwrites nothing"):
            back_up(location, data, place)
        assert place.read_text() == "precious"


def test_records_that_are_not_there_or_damaged_make_no_backup(data: Path, tmp_path: Path) -> None:
    location = location_of(None, data)
    with pytest.raises(StoreError, match=r"records\.sqlite: is not there"):
        back_up(location, data, tmp_path / "copy")
    (data / "records.sqlite").write_bytes(b"no database at all " * 100)
    with pytest.raises(StoreError, match="copy: cannot be made"):
        back_up(location, data, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_place_that_cannot_be_written_is_told(data: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="copy: cannot be made: no such file or directory"):
        back_up(location_of(None, data), data, tmp_path / "nowhere" / "copy")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgres://me:secret@db.example:6000/calls", "postgresql://me@db.example:6000/calls"),
        ("postgresql:///calls?host=/var/run", "'postgresql:///calls?host=/var/run'"),
    ],
)
def test_postgresql_is_copied_by_its_own_command(
    url: str, told: str, data: Path, tmp_path: Path
) -> None:
    location = location_of(url, data)
    assert dump_command(location) == f"pg_dump --format=custom --file=records.dump {told}"
    assert "records.sqlite" not in back_up(location, data, tmp_path / "copy")
