"""`sipagent serve`: settings, configuration, server, and the drain at the end."""

import asyncio
import gc
import ipaddress
import signal
import sys

import structlog
import typer
import uvicorn

from sipagent import __version__, settings
from sipagent.api.server import GracefulServer, server_config
from sipagent.app import Service, build
from sipagent.cli.process import BAD_CONFIGURATION, UNREACHABLE, raise_file_limit
from sipagent.config.reload import disk
from sipagent.config.reload.following import copied
from sipagent.config.reload.live import LiveConfiguration
from sipagent.config.reload.orders import OrderFile
from sipagent.config.reload.versions import VersionStore
from sipagent.errors import ConfigError, SecretError, SettingsError, StoreError
from sipagent.observability import configure_logging, keep_loggers
from sipagent.store.location import Location, location_of
from sipagent.store.opening import operator_known
from sipagent.store.schema import check

log = structlog.get_logger(__name__)


def run() -> int:
    """Serve until a signal ends it. Returns the exit code."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # means a reload, and the files are read anyway
    try:
        chosen = settings.read()
        configure_logging(
            level=chosen.log_level, json=chosen.log_format == "json", traced=chosen.traced
        )
        orders = OrderFile(chosen.data_dir)
        disk.make_folder(chosen.data_dir)
        disk.make_folder(orders.path.parent)  # what is not there is watched for one folder above
        copy_shared(chosen)
        live = LiveConfiguration(chosen.config, store=VersionStore(chosen.data_dir), orders=orders)
        service = build(chosen, live, keep=True)
        assert service.house is not None
        asyncio.run(check(service.house.location))
        require_operator(chosen, service.house.location)
    except (SettingsError, ConfigError, SecretError) as error:
        typer.echo(str(error), err=True)
        return BAD_CONFIGURATION
    except StoreError as error:
        typer.echo(str(error), err=True)
        return UNREACHABLE
    raise_file_limit()
    calm_collector()
    favour_calls()
    keep_loggers()
    announce(chosen, live, service)
    config = server_config(
        service.app, host=chosen.host, port=chosen.port, stats=service.connections
    )
    server = GracefulServer(
        config,
        on_drain=service.drain,
        on_abort=service.give_up,
        beside=admin_config(chosen, service),
    )
    return server.run_until_exit()


def admin_config(chosen: settings.Settings, service: Service) -> uvicorn.Config | None:
    """The operator's own listener, where the settings have one."""
    if service.admin is None or chosen.admin_port is None:
        return None
    host, port = chosen.admin_host, chosen.admin_port
    return server_config(service.admin, host, port, stats=service.connections, lifespan="off")


def require_operator(chosen: settings.Settings, location: Location) -> None:
    """Raises SettingsError where the operator's listener can be reached from elsewhere, and the
    operator has no token. Records that do not answer hold up nobody: until they do, the control API
    is not there."""
    if chosen.admin_port is None or is_loopback(chosen.admin_host):
        return
    there = asyncio.run(operator_known(location))
    if there is None:
        log.warning("whether the operator has a token is not known", records=location.shown)
    elif not there:
        advice = (
            "SIPAGENT_ADMIN_HOST: is reached from elsewhere, and the operator has no token: run"
            " `sipagent db upgrade`, then `sipagent tokens create --operator --scope admin --name"
            " YOU`; or listen on 127.0.0.1"
        )
        raise SettingsError((advice,))


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def copy_shared(chosen: settings.Settings) -> None:
    """Have the data directory hold the orders and versions that all replicas share, where there are
    any: they are what the service begins with. With the database away its own are."""
    url = chosen.database_url
    location = location_of(None if url is None else url.get_secret_value(), chosen.data_dir)
    if location.shared and (reason := asyncio.run(copied(location, chosen.data_dir))) is not None:
        log.warning("beginning with the last known orders", reason=reason)


def calm_collector() -> None:
    """Have the garbage collector look less often, and never at what the start has made.

    A held call keeps some two hundred objects. With the default thresholds all of them are looked
    at several times a second, which is what the slowest one per cent of answers waited for.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def favour_calls() -> None:
    """Have a thread that reads files give way to the calls after 1 ms instead of 5."""
    sys.setswitchinterval(0.001)


def announce(chosen: settings.Settings, live: LiveConfiguration, service: Service) -> None:
    log.info(
        "starting",
        version=__version__,
        host=chosen.host,
        port=chosen.port,
        admin_port=chosen.admin_port,
        config=str(chosen.config),
        config_hash=live.table.config_hash,
        agents=len(live.table.agents),
        accounts=sorted(service.accounts.webhook_secrets),
    )
