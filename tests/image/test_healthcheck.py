"""`sipagent healthcheck`: one request, one line, 0 or 1."""

import http.server
import importlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

healthcheck = importlib.import_module(
    "sipagent.cli.healthcheck"
)  # the package has a command so named


@contextmanager
def answering(status: int, host: str = "127.0.0.1") -> Iterator[int]:
    """A server that answers every GET so. Gives its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

    with Server((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def ask(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    def asked(url: str | None = None, **variables: str) -> tuple[int, str]:
        for name in ("HOST", "PORT", "HOST_FILE", "PORT_FILE"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        code = healthcheck.run(url)
        said = "".join(capsys.readouterr())
        assert said.count("\n") == 1
        return code, said

    return asked


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1"])
def test_the_service_of_the_environment_is_asked(
    ask: Callable[..., tuple[int, str]], host: str
) -> None:
    with answering(200) as port:
        code, said = ask(PORT=str(port), HOST=host)
    assert (code, said) == (0, f"healthy: http://127.0.0.1:{port}/healthz\n")


def test_the_environments_files_are_read_as_the_service_reads_them(
    ask: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    host, port_file = tmp_path / "host", tmp_path / "port"
    host.write_text("127.0.0.1\n")
    with answering(200) as port:
        port_file.write_text(f" {port}\n")
        files = {"HOST_FILE": str(host), "PORT_FILE": str(port_file)}
        assert ask(**files) == (0, f"healthy: http://127.0.0.1:{port}/healthz\n")
        port_file.write_text("1")
        assert ask(PORT=str(port), **files)[0] == 0  # the variable itself precedes


def test_a_file_that_cannot_be_read_is_unhealthy(
    ask: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, said = ask(PORT_FILE=str(tmp_path / "none"))
    assert code == 1
    assert said.startswith("unhealthy: ")


def test_a_service_of_the_other_protocol_is_asked_there(
    ask: Callable[..., tuple[int, str]],
) -> None:
    with answering(200, "::1" if has_ipv6() else "127.0.0.1") as port:
        assert ask(PORT=str(port), HOST="::" if has_ipv6() else "127.0.0.1")[0] == 0


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_another_answer_is_unhealthy(ask: Callable[..., tuple[int, str]]) -> None:
    with answering(503) as port:
        code, said = ask(f"http://127.0.0.1:{port}")
    assert (code, said) == (1, f"unhealthy: http://127.0.0.1:{port}: answered 503\n")


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1/", "http://127.0.0.1:99999/"])
def test_what_cannot_be_asked_is_unhealthy(ask: Callable[..., tuple[int, str]], url: str) -> None:
    assert ask(url)[0] == 1


def test_silence_is_unhealthy(
    ask: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healthcheck, "_DEADLINE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, said = ask(PORT=str(silent.getsockname()[1]))
    assert code == 1
    assert "timed out" in said


def test_it_imports_nothing_of_the_service() -> None:
    program = (
        "import sys; from sipagent.cli import app; import sipagent.cli.healthcheck;"
        "print([n for n in ('fastapi', 'pydantic', 'httpx', 'asyncio') if n in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "[]\n"
