"""What pages load: from the package, for ever, and nothing that has been tampered with."""

import re
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from sipagent.api.console.assets import FOREVER, TYPES, Assets
from tests.api.console.house import Read
from tests.api.console.stage import Stage, stage

ROOT = Path(__file__).parents[3]
CONSOLE = ROOT / "src" / "sipagent" / "api" / "console"
VENDORED = {
    "htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    "hx-sse.min.js": "18ef2761356ec1fe0bb6d92612315b37517a7c1e9856b661c5ae81fef239d103",
    "hx-upsert.min.js": "9e516c6608f765b568559a4caed3c3121eff2702fb7ce012f21775639d2699c3",
}
"""SHA-256 of htmx.org 4.0.1 as the npm registry has it."""


@pytest.fixture
async def set_up(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(sqlite_url, tmp_path) as made:
        yield made


def test_vendored_scripts_are_those_that_were_published() -> None:
    folder = CONSOLE / "static" / "vendor"
    found = {one.name: sha256(one.read_bytes()).hexdigest() for one in folder.glob("*.js")}
    assert found == VENDORED
    told = (folder / "README.md").read_text()
    assert all(mark in told for mark in VENDORED.values())


async def test_a_page_loads_files_by_their_content_and_from_nowhere_else(set_up: Stage) -> None:
    async with set_up.client() as client:
        page = Read((await client.get("/console/sign-in")).text)
        loaded = [("script", "src"), ("link", "href")]
        urls = [one.attributes[name] for tag, name in loaded for one in page.all(tag)]
        assert len(urls) == 7
        for url in urls:
            answer = await client.get(url)
            assert answer.status_code == 200
            assert url.split("/")[3] == sha256(answer.content).hexdigest()[:16]
            assert answer.headers["cache-control"] == FOREVER
            assert answer.headers["content-type"] == TYPES[url.rpartition(".")[2]]
            again = await client.get(url, headers={"if-none-match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/console/static/0000000000000000/console.less",
        "/console/static/x/vendor/README.md",
        "/console/static/x/../templates/layout.html",
        "/console/static/x/%2e%2e/shell.py",
    ],
)
async def test_nothing_else_is_served(set_up: Stage, path: str) -> None:
    async with set_up.client() as client:
        assert (await client.get(path)).status_code == 404


async def test_a_file_of_another_release_is_not_kept(set_up: Stage) -> None:
    """A page of one replica may ask another, while they change their releases one by one."""
    async with set_up.client() as client:
        answer = await client.get("/console/static/0000000000000000/console.css")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


def test_no_file_of_ours_names_another_host() -> None:
    """Nor has anything inline, which the policy forbids."""
    ours = [*CONSOLE.rglob("*.html"), *(CONSOLE / "static").glob("*.*")]
    assert len(ours) > 20
    for path in ours:
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|url\(|@import", text), path
        if path.suffix == ".html":
            assert not re.search(r"<style|<script>|\sstyle=|\son[a-z]+=|hx-on|js:", text), path


def test_a_template_that_names_a_missing_file_is_an_error() -> None:
    with pytest.raises(KeyError):
        Assets().url("missing.js")


def test_the_wheel_has_all_of_it(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    wanted = {
        f"sipagent/api/console/{path.relative_to(CONSOLE)}"
        for folder in ("templates", "static")
        for path in (CONSOLE / folder).rglob("*")
        if path.is_file()
    }
    assert len(wanted) > 20
    assert wanted <= names
