"""The configuration of Redis, as real servers take it: what is kept, and who may do what."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.deploy.places import COMPOSE, ROOT
from tests.servers import FLAVOURS, Flavour, redis_program

SCRIPTS = ROOT / "src" / "sipagent" / "engine" / "redis" / "scripts"
BESIDE_SCRIPTS = ("evalsha", "eval", "script", "publish", "subscribe", "ping", "hello", "select")
ONCE = Retry(NoBackoff(), 0)


@dataclass(frozen=True)
class Running:
    socket: Path
    password: str
    users: str

    def client(self, user: str, password: str) -> "redis.Redis[Any]":
        return redis.Redis(
            unix_socket_path=str(self.socket), username=user, password=password, retry=ONCE
        )

    @property
    def own(self) -> "redis.Redis[Any]":
        return self.client("sipagent", self.password)


@contextmanager
def running(flavour: Flavour, folder: Path) -> Iterator[Running]:
    """A server with our files, as the container would have them, but on a socket in a folder."""
    environment = {"PATH": os.environ["PATH"], "DEPLOY_SECRETS_DIR": str(folder / "secrets")}
    subprocess.run([COMPOSE / "make-secrets"], env=environment, capture_output=True, check=False)
    users = (folder / "secrets" / "redis_users").read_text("utf-8")
    asker = "user asker on nopass resetkeys resetchannels -@all +config|get +command +acl|list\n"
    (folder / "users").write_text(users + asker, "utf-8")
    socket = folder / "s"
    places = {"port": 0, "unixsocket": socket, "dir": folder, "aclfile": folder / "users"}
    given = [str(part) for name, value in places.items() for part in (f"--{name}", value)]
    command = [str(redis_program(flavour)), str(COMPOSE / "redis.conf"), *given]
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    password = urlsplit((folder / "secrets" / "engine_url").read_text("utf-8").strip()).password
    assert password
    found = Running(socket, password, users)
    try:
        _until_it_answers(found, server, log)
        yield found
    finally:
        server.kill()
        server.wait()


def _until_it_answers(found: Running, server: "subprocess.Popen[bytes]", log: Path) -> None:
    """By the user of the container's health check."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text(errors="replace")
        try:
            with found.client("health", "any") as client:
                assert client.ping()
                return
        except redis.ConnectionError:
            time.sleep(0.01)
    raise AssertionError("it did not start")


@pytest.fixture(scope="module", params=FLAVOURS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    with running(request.param, tmp_path_factory.mktemp("r")) as found:
        yield found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("maxmemory-policy", "noeviction"),
        ("save", ""),
    ],
)
def test_what_is_held_is_kept(server: Running, name: str, value: str) -> None:
    with server.client("asker", "any") as client:
        assert client.config_get(name) == {name: value}


def test_the_service_may_use_its_own_keys_and_channels_alone(server: Running) -> None:
    with server.own as client:
        assert client.set("{sip}:a", "1")
        assert client.publish("{sip}:w:replica", "x") == 0
        assert client.eval("return redis.call('GET', '{sip}:a')", 0) == b"1"
        with pytest.raises(redis.ResponseError):  # NoPermissionError, or the script's
            client.eval("return redis.call('GET', 'another')", 0)
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.set("another", "1")
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.publish("another", "x")


@pytest.mark.parametrize("words", ["FLUSHALL", "CONFIG GET *", "KEYS *", "SHUTDOWN", "ACL LIST"])
def test_the_service_may_not_harm_the_server(server: Running, words: str) -> None:
    with server.own as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*words.split())


def test_nobody_comes_in_without_a_password(server: Running) -> None:
    with server.client("sipagent", "wrong") as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    nobody = redis.Redis(unix_socket_path=str(server.socket), retry=ONCE)
    with nobody, pytest.raises(redis.AuthenticationError):
        nobody.get("{sip}:a")
    health = server.client("health", "any")
    with health, pytest.raises(redis.exceptions.NoPermissionError):
        health.get("{sip}:a")


def used() -> set[str]:
    """The commands of the engine's scripts, and those by which it calls them."""
    texts = [path.read_text("utf-8") for path in SCRIPTS.glob("*.lua")]
    found = {name.lower() for text in texts for name in re.findall(r"p?call\(\s*['\"](\w+)", text)}
    assert found
    return found | set(BESIDE_SCRIPTS)


def dangerous(client: "redis.Redis[Any]", command: str) -> bool:
    (told,) = client.execute_command("COMMAND", "INFO", command).values()
    return any("dangerous" in str(category) for category in told["acl_categories"])


def test_everything_that_the_engine_uses_is_allowed(server: Running) -> None:
    assert "+@all -@dangerous" in server.users
    with server.client("asker", "any") as client:
        assert dangerous(client, "keys")
        assert not [command for command in sorted(used()) if dangerous(client, command)]
