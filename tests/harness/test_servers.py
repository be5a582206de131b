"""The servers that tests start: real ones, which die, stand still and come back in place."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
import redis

from tests.servers import (
    FLAVOURS,
    REDIS_VARIABLE,
    STEADY_PORTS,
    Flavour,
    PostgresServer,
    RedisServer,
    ServerMissing,
    redis_program,
)
from tests.store.support import execute, postgresql_database, run_apart


@pytest.fixture(params=FLAVOURS)
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param, own=True) as running:
        yield running


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


def client(server: RedisServer, patience: float = 5.0) -> redis.Redis:
    return redis.Redis.from_url(server.url, socket_timeout=patience, retry=None)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_it_is_the_server_of_the_wheel(flavour: Flavour) -> None:
    with RedisServer(flavour, own=True) as server:
        name, version = server.flavour.split()
        program = redis_program(flavour)
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        assert (name, f"v={version}." in said.stdout) == (flavour, True)
        folder, pid = server.folder, server.pid
        assert pid is not None
        assert psutil.Process(pid).exe() == str(program.resolve())
    assert not folder.exists()
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_it_listens_on_a_unix_socket(flavour: Flavour) -> None:
    with RedisServer(flavour, unix=True, own=True) as server, client(server) as asking:
        assert isinstance(server.address, Path)
        assert asking.ping()
        server.restart()
        with client(server) as again:
            assert again.ping()


def test_killed_it_refuses_and_comes_back_with_its_data_at_its_address(server: RedisServer) -> None:
    url, pid = server.url, server.pid
    with client(server) as asking:
        asking.xadd("{sip}:calls", {"call": "one"})
        server.kill()
        assert server.pid is None
        with pytest.raises(redis.ConnectionError):
            asking.ping()
        server.start()
        assert (server.url, server.pid == pid) == (url, False)
        assert asking.xlen("{sip}:calls") == 1
        assert asking.config_get("append*")["appendfsync"] == "everysec"


def test_a_restart_kills_what_runs(server: RedisServer) -> None:
    with client(server) as asking:
        asking.set("a", 1)
        run_id = server.info()["run_id"]
        server.restart()
        assert server.info()["run_id"] != run_id
        assert asking.get("a") == b"1"


def test_emptied_it_has_no_key_after_a_restart_either(server: RedisServer) -> None:
    with client(server) as asking:
        asking.set("a", 1)
        server.empty()
        assert asking.dbsize() == 0
        server.restart()
        assert asking.dbsize() == 0


def test_paused_it_takes_connections_and_answers_when_it_goes_on(server: RedisServer) -> None:
    with client(server) as asking:
        asking.set("a", 1)
    with client(server, patience=0.1) as asking:
        server.pause()
        with pytest.raises(redis.TimeoutError):
            asking.get("a")
        server.resume()
    with client(server) as asking:
        assert asking.get("a") == b"1"


def test_it_can_be_killed_while_it_is_paused(server: RedisServer) -> None:
    server.pause()
    server.restart()
    with client(server) as asking:
        assert asking.ping()


def test_nothing_else_is_given_its_port(server: RedisServer) -> None:
    assert isinstance(server.address, tuple)
    assert server.address[1] in STEADY_PORTS
    told = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(told.read_text().split()[0]) if told.exists() else 32_768
    assert STEADY_PORTS[-1] < first


def test_the_environment_names_one_which_is_not_ours_to_kill(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client(server) as asking:
        asking.set("left over", 1)
        monkeypatch.setenv(REDIS_VARIABLE, server.url)
        with RedisServer() as given:
            assert (given.url, given.pid) == (server.url, None)
            assert asking.dbsize() == 0
            for what in (given.kill, given.start, given.restart, given.pause, given.resume):
                with pytest.raises(RuntimeError, match="own=True"):
                    what()
        assert asking.ping()


def test_the_program_on_path_is_taken_where_no_wheel_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = redis_program("valkey")
    monkeypatch.setattr("tests.servers.PACKAGED", {"valkey": ("no_such_package", "*")})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerMissing, match="tests need valkey-server: `pip install"):
        redis_program("valkey")
    (tmp_path / "valkey-server").symlink_to(real)
    assert redis_program("valkey") == tmp_path / "valkey-server"


def test_what_does_not_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho no memory left\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr("tests.servers.PACKAGED", {"redis": ("no_such_package", "*")})
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(RuntimeError, match="no memory left"), RedisServer(own=True):
        pass


def test_postgresql_killed_comes_back_with_what_was_committed(postgres: PostgresServer) -> None:
    with postgresql_database(postgres.url) as url:
        run_apart(execute(url, "CREATE TABLE calls (id int)", "INSERT INTO calls VALUES (7)"))
        pid = postgres.pid
        postgres.kill()
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            run_apart(execute(url, "SELECT 1"))
        postgres.start()
        assert postgres.pid != pid
        assert run_apart(rows(url)) == [7]


def test_postgresql_is_cut_off_in_the_midst_of_a_statement(postgres: PostgresServer) -> None:
    async def killed() -> None:
        connection = await asyncpg.connect(postgres.url)
        ended, _ = await asyncio.gather(
            connection.execute("SELECT pg_sleep(60)"),
            asyncio.to_thread(postgres.restart),
            return_exceptions=True,
        )
        assert isinstance(ended, OSError | asyncpg.PostgresError | asyncpg.InterfaceError)
        assert connection.is_closed()

    run_apart(killed())
    run_apart(execute(postgres.url, "SELECT 1"))


def test_postgresql_paused_answers_nobody_until_it_goes_on(postgres: PostgresServer) -> None:
    async def asked() -> int:
        connection = await asyncpg.connect(postgres.url)
        try:
            postgres.pause()
            with pytest.raises(TimeoutError):
                await asyncpg.connect(postgres.url, timeout=0.1)
            async with asyncio.TaskGroup() as tasks:
                answer = tasks.create_task(connection.fetchval("SELECT 7"))
                done, _ = await asyncio.wait([answer], timeout=0.1)
                assert not done
                postgres.resume()
            return int(answer.result())
        finally:
            postgres.resume()
            await connection.close()

    assert run_apart(asked()) == 7


async def rows(url: str) -> list[int]:
    connection = await asyncpg.connect(url)
    try:
        return [row["id"] for row in await connection.fetch("SELECT id FROM calls")]
    finally:
        await connection.close()
