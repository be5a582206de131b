"""`sipagent versions` and `sipagent rollback`."""

import json
import re

import pytest

from sipagent.config import load
from sipagent.config.reload.in_force import in_force
from sipagent.config.reload.live import LiveConfiguration
from sipagent.config.reload.orders import OrderFile
from sipagent.config.reload.stored import Origin
from sipagent.config.reload.versions import VersionStore
from sipagent.config.sources import DiskSource
from tests.cli.support import Place


def keep(place: Place) -> str:
    source = DiskSource(place.folder)
    loaded = load(place.main, source=source)
    VersionStore(place.data).keep(loaded.table.config_hash, source.bundle(place.main))
    return loaded.table.config_hash


@pytest.fixture
def two(place: Place) -> tuple[str, str]:
    older = keep(place)
    place.change("voice: marin", "voice: ash")
    return older, keep(place)


def test_versions_with_their_marks(place: Place, two: tuple[str, str]) -> None:
    older, newer = two
    assert place.run("rollback", older[:8]).exit_code == 0
    lines = place.run("versions").stdout.splitlines()
    assert lines[0].split() == ["version", "kept"]
    form = r"{}  20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC  {}"
    assert re.fullmatch(form.format(newer, "files"), lines[1])
    assert re.fullmatch(form.format(older, "pinned"), lines[2])
    assert [each["marks"] for each in place.json("versions")] == [["files"], ["pinned"]]


def test_a_rollback_tells_what_changes_and_holds_until_the_files_do(
    place: Place, two: tuple[str, str]
) -> None:
    older, newer = two
    result = place.run("rollback", older)
    assert result.stdout.splitlines() == [
        f"{newer} -> {older}",
        "agents",
        (
            "  ~ acme/store (3 numbers), beta/night (1 number), default/night (0 numbers):"
            " voice ash -> marin"
        ),
        f"{older} is pinned until it is cancelled or the files change",
    ]
    found = in_force(place.main, VersionStore(place.data))
    assert (found.origin, found.loaded.table.config_hash) == (Origin.ROLLBACK, older)
    assert f"version   {older}" in place.run("route", "+17134810199").stdout
    place.change("voice: ash", "voice: cedar")
    assert in_force(place.main, VersionStore(place.data)).origin is Origin.FILES


async def test_a_running_service_follows_commands(place: Place, two: tuple[str, str]) -> None:
    live = LiveConfiguration(
        place.main, store=VersionStore(place.data), orders=OrderFile(place.data)
    )
    assert (live.status.origin, live.table.config_hash) == (Origin.FILES, two[1])
    place.run("rollback", two[0])
    place.run("numbers", "pause", "+17134810111")
    await live.update()
    assert (live.status.origin, live.table.config_hash) == (Origin.ROLLBACK, two[0])
    assert [order.paused for order in live.controls.orders] == [True]
    place.run("rollback", "--cancel")
    place.run("orders", "cancel", "number", "+17134810111")
    await live.update()
    assert (live.status.origin, live.controls.orders) == (Origin.FILES, ())


def test_a_rollback_is_cancelled(place: Place, two: tuple[str, str]) -> None:
    assert place.run("rollback", "--cancel").exit_code == 1
    place.run("rollback", two[0])
    result = place.run("rollback", "--cancel")
    assert result.stdout == f"the rollback to {two[0]} is cancelled: the files are served again\n"
    assert in_force(place.main, VersionStore(place.data)).origin is Origin.FILES


def test_versions_that_cannot_be_had(place: Place, two: tuple[str, str]) -> None:
    assert place.run("rollback", "0000000").exit_code == 1
    assert place.run("rollback", "latest").exit_code == 2
    assert place.run("rollback").exit_code == 2
    assert place.run("rollback", two[0], "--cancel").exit_code == 2
    place.change("version: 1", "version: 2")
    broken = place.run("rollback", two[0])
    assert broken.exit_code == 78
    assert VersionStore(place.data).pinned() is None


def test_a_version_that_a_newer_release_no_longer_takes(place: Place) -> None:
    from sipagent.config.sources import Bundle

    bundle = Bundle(str(place.folder), "agents.yaml", {"agents.yaml": "version: 0\n"})
    VersionStore(place.data).keep("abcdef012345", bundle)
    result = place.run("rollback", "abcd")
    assert result.exit_code == 78
    assert "the version abcdef012345 cannot be used any more" in result.stderr


def test_no_versions_and_damaged_ones(place: Place) -> None:
    assert place.run("versions").stdout == "no versions\n"
    keep(place)
    (path,) = (place.data / "versions").glob("*.json")
    path.write_bytes(b"torn")
    result = place.run("versions")
    assert result.exit_code == 0
    assert result.stdout == "no versions\n"
    assert "skipped" in result.stderr
    assert json.loads(place.run("versions", "--format", "json").stdout) == []
