"""The steps of the Dockerfile, run in a scratch folder, and the service that comes out of them.

No container is made: absolute paths of the recipe are moved below the scratch folder, `python` is
the one that runs the tests. Packages come from where `make test` had them from.
"""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.recipe import ROOT, Instruction, Stage, stages

USER = 65532


class Scratch:
    """A folder that stands for the root of an image's file system, a stage after the other."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self._stages = folder / "stages"
        self._work = Path("/")
        self.environment: dict[str, str] = {}

    def build(self, stage: Stage) -> None:
        self.root.mkdir()
        self._work = Path("/")
        self.environment = {"PATH": os.environ["PATH"]}
        actions = {"RUN": self._run, "COPY": self._copy, "WORKDIR": self._workdir, "ENV": self._env}
        for instruction in stage.instructions:
            actions.get(instruction.word, lambda _: None)(instruction)

    def set_aside(self, name: str) -> None:
        """The stage is done; what it left can be copied by the next one."""
        self._stages.mkdir(exist_ok=True)
        self.root.rename(self._stages / name)

    def at(self, path: str) -> Path:
        """Where a path of the image is in the scratch folder."""
        return self.root / (self._work / path).relative_to("/")

    def moved(self, text: str) -> str:
        """The text with its absolute paths moved below the scratch folder."""
        return re.sub(r"(?<![\w.{}\]*/-])/(?=[a-z])", f"{self.root}/", text)

    def _workdir(self, instruction: Instruction) -> None:
        self._work = Path(instruction.rest)
        self.at(".").mkdir(parents=True, exist_ok=True)

    def _env(self, instruction: Instruction) -> None:
        for name, value in instruction.pairs.items():
            path = self.environment["PATH"]
            self.environment[name] = self.moved(value).replace("${PATH}", path)

    def _copy(self, instruction: Instruction) -> None:
        *sources, target = instruction.words
        stage = instruction.options.get("from")
        for source in sources:
            origin = self._stages / stage / source[1:] if stage else ROOT / source
            place = self.at(target)
            if origin.is_dir():
                ignored = None if stage else shutil.ignore_patterns("__pycache__", "*.egg-info")
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(origin, place, symlinks=True, ignore=ignored)
            else:
                shutil.copy2(origin, place / origin.name if target.endswith("/") else place)

    def _run(self, instruction: Instruction) -> None:
        command = self.moved(instruction.rest)
        command = re.sub(r"(?<!\S)python(?=\s)", sys.executable, command)
        if os.geteuid() != 0:
            command = command.replace(f"-o {USER} -g {USER}", "")
        # What says where packages come from is this machine's matter.
        inherited = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "HOME", "SSL_"))}
        ran = subprocess.run(
            ["/bin/sh", "-ec", command],
            cwd=self.at("."),
            env={**self.environment, **inherited, "PIP_NO_CACHE_DIR": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.fixture
def image() -> Iterator[Scratch]:
    """The final stage, read-only but for /data."""
    folder = Path(tempfile.mkdtemp(prefix="sipagent-image-"))
    folder.chmod(0o755)  # the service's user goes through it
    scratch = Scratch(folder)
    try:
        *before, final = stages()
        for stage in before:
            scratch.build(stage)
            scratch.set_aside(stage.name)
        scratch.build(final)
        shutil.copytree(ROOT / "config", scratch.at("/config"), dirs_exist_ok=True)
        set_writable(scratch.root, writable=False, but=scratch.at("/data"))
        yield scratch
    finally:
        if scratch.root.exists():
            set_writable(scratch.root, writable=True)
        shutil.rmtree(folder)


def set_writable(root: Path, *, writable: bool, but: Path | None = None) -> None:
    for path in (root, *root.rglob("*")):
        if path.is_symlink() or path == but:
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | stat.S_IWUSR if writable else mode & ~0o222)


AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
MAY_READ_ALL = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
"""This machine's Python may lie in a folder that is root's alone."""


def as_image_user() -> list[str]:
    """What stands before a command so that it runs as the image's user, if root runs the tests."""
    if os.geteuid() != 0:
        return []
    for prefix in (AS_USER, AS_USER + MAY_READ_ALL):
        if shutil.which("setpriv") and not subprocess.call(
            [*prefix, sys.executable, "-c", "pass"], stderr=subprocess.DEVNULL
        ):
            return prefix
    return []  # as root then: the machine keeps its Python from everybody else


class Container:
    """The image's command, as its user."""

    def __init__(self, image: Scratch) -> None:
        self.image = image
        self._prefix = as_image_user()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
        self.environment = {
            **image.environment,
            "PORT": str(self.port),
            "HOST": "127.0.0.1",
            "OPENAI_API_KEY": "sk-" + "x" * 20,
            "OPENAI_WEBHOOK_SECRET": "whsec_" + "A" * 32,
        }

    def start(self, words: list[str], **streams: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self._prefix, *words],
            cwd=self.image.at("/app"),
            env=self.environment,
            text=True,
            **streams,  # type: ignore[call-overload]
        )

    def run(self, words: list[str]) -> tuple[int, str]:
        process = self.start(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = process.communicate(timeout=20)
        return process.returncode, said

    def get(self, path: str) -> int:
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0


def test_the_recipe_makes_a_service_that_serves_and_stops(image: Scratch, tmp_path: Path) -> None:
    """One test, as the building is the slow part of it."""
    nothing_is_left_of_the_building_and_all_is_compiled(image)
    container = Container(image)
    its_user_may_write_the_data_and_nothing_else(container)
    it_is_ready_and_healthy_and_stops(container, tmp_path)


def it_is_ready_and_healthy_and_stops(container: Container, tmp_path: Path) -> None:
    final = stages()[-1]
    check = Instruction("CMD", final.one("HEALTHCHECK").rest.partition("CMD ")[2]).exec_form
    words = final.one("ENTRYPOINT").exec_form + final.one("CMD").exec_form
    with (tmp_path / "log").open("w+") as log:
        process = container.start(words, stderr=log)
        try:
            deadline = time.monotonic() + 30
            while container.get("/readyz") != 200:
                log.seek(0)
                assert process.poll() is None, log.read()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            code, said = container.run(check)
            assert (code, said.count("\n")) == (0, 1), said
            process.send_signal(getattr(signal, final.one("STOPSIGNAL").rest))
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()
    code, said = container.run(check)
    assert (code, said.count("\n")) == (1, 1), said


def its_user_may_write_the_data_and_nothing_else(container: Container) -> None:
    image = container.image
    write = "import sys; open(sys.argv[1], 'w').close()"
    who = container.run(["python", "-c", "import os; print(os.geteuid())"])
    assert who == (0, f"{USER if os.geteuid() == 0 else os.geteuid()}\n")
    assert container.run(["python", "-c", write, str(image.at("/data/x"))]) == (0, "")
    for place in ("/x", "/app/x", "/config/x", "/opt/sipagent/x"):
        code, said = container.run(["python", "-c", write, str(image.at(place))])
        assert code == 1, place
        assert "Permission denied" in said


def nothing_is_left_of_the_building_and_all_is_compiled(image: Scratch) -> None:
    library = next(image.at("/opt/sipagent/lib").glob("python*/site-packages"))
    installed = {path.name.partition("-")[0] for path in library.glob("*.dist-info")}
    assert "sipagent" in installed
    assert not installed & {"pip", "setuptools", "hatchling", "pytest", "ruff", "mypy"}
    sources = list((library / "sipagent").rglob("*.py"))
    assert len(sources) > 50
    tag = sys.implementation.cache_tag
    for source in sources:
        compiled = source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
        assert compiled.read_bytes()[4] == 1, f"{compiled} is checked against its source"
