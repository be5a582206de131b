"""What the commands that change records share: the way to them, the key, and the audit."""

import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sipagent.cli.options import fail, unusable, who
from sipagent.cli.process import BAD_CONFIGURATION, UNREACHABLE

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sipagent.store.location import Location
    from sipagent.store.numbers import InstallationKey

Result = TypeVar("Result")


def located(data_dir: Path) -> "Location":
    """Where the records are, or the end with 78."""
    from sipagent import settings
    from sipagent.errors import SettingsError
    from sipagent.store.location import location_of

    try:
        url = settings.value_of("SIPAGENT_DATABASE_URL") or settings.value_of("DATABASE_URL")
        return location_of(url, data_dir)
    except SettingsError as error:
        unusable(error)


def changing(location: "Location", work: Callable[["AsyncEngine"], Awaitable[Result]]) -> Result:
    """What the work makes of the records, or the end with 78, or with 3 where their server was not
    reached."""
    import asyncio

    from sipagent.errors import StoreError
    from sipagent.store.opening import changed

    async def change() -> Result:
        async with changed(location) as engine:
            return await work(engine)

    try:
        return asyncio.run(change())
    except StoreError as error:
        fail(BAD_CONFIGURATION if location.file is not None else UNREACHABLE, str(error))


def key_of(location: "Location", data_dir: Path) -> "InstallationKey":
    """The installation's key, or the end with 78."""
    from pydantic import SecretStr

    from sipagent import settings
    from sipagent.errors import SettingsError, StoreError
    from sipagent.store.numbers import VARIABLE, installation_key

    try:
        given = settings.value_of(VARIABLE)
        secret = None if given is None else SecretStr(given)
        return installation_key(secret, data_dir, file=location.file is not None)
    except (SettingsError, StoreError) as error:
        unusable(error)


def log_to_errors() -> None:
    """What happens is told on standard error as the service tells it in its log."""
    from sipagent.observability import configure_logging

    configure_logging(level="info", json=True)


def audit(data_dir: Path, did: str, **facts: Any) -> None:
    """What was done is a line of the audit, with who did it and when; no number is in it."""
    from sipagent.config.reload import disk
    from sipagent.errors import StoreError

    moment = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
    line = {"time": moment, "by": who(), "did": did, **facts}
    try:
        disk.append_line(data_dir / "audit.jsonl", json.dumps(line).encode())
    except StoreError as error:
        unusable(error)
