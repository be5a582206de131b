"""Records in a place's data directory."""

from typing import Any

from sqlalchemy import Table

from sipagent.store import schema, tables
from sipagent.store.database import open_engine
from sipagent.store.location import location_of
from tests.cli.support import Place
from tests.store.kept import put
from tests.store.support import run_apart


def keep(place: Place, *rows: dict[str, Any], table: Table = tables.calls) -> None:
    """The rows stand in the records that a service has made there."""

    async def write() -> None:
        location = location_of(None, place.data)
        engine = open_engine(location)
        try:
            await schema.upgrade(engine, location)
            if rows:
                await put(engine, *rows, table=table)
        finally:
            await engine.dispose()

    run_apart(write())


def printable(text: str) -> bool:
    """Whether nothing in the lines moves a cursor or turns text round."""
    return "\u202e" not in text and all(one.isprintable() for one in text if one != "\n")
