"""Where records are kept: a SQLite file, or PostgreSQL. Imports no database library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from sipagent.errors import SettingsError

RECORDS_FILE: Final = "records.sqlite"
VARIABLE: Final = "SIPAGENT_DATABASE_URL"

_ADVICE: Final = "write sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME"
_POSTGRESQL: Final = ("postgres", "postgresql")
NOT_THERE: Final = (
    "is not there: no service has kept records in it; start `sipagent serve` on it once, or run"
    " `sipagent db upgrade`"
)


@dataclass(frozen=True, slots=True)
class Location:
    """A place of records: a `file`, or the `dsn` of a PostgreSQL server, as asyncpg reads it.

    `shown` names it in words that hold no credentials.
    """

    shown: str
    file: Path | None = None
    dsn: str | None = field(default=None, repr=False)

    @property
    def dialect(self) -> str:
        """The database's name in SQLAlchemy."""
        return "sqlite" if self.dsn is None else "postgresql"

    @property
    def shared(self) -> bool:
        """Whether replicas on other machines have the same records."""
        return self.dsn is not None

    @property
    def url(self) -> str:
        """The location as a URL, credentials included."""
        return self.dsn if self.dsn is not None else f"sqlite:///{self.file}"


def location_of(url: str | None, data_dir: Path) -> Location:
    """The location that a URL names; without one, the data directory's file.

    Whatever driver the URL asks for, PostgreSQL is spoken to by asyncpg. Raises SettingsError,
    which does not tell the URL.
    """
    if url is None:
        return _in_file(data_dir / RECORDS_FILE)
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise _refused("is not a URL") from None
    kind, _, _ = parts.scheme.partition("+")
    if kind == "sqlite":
        return _sqlite(parts)
    if kind in _POSTGRESQL:
        return _postgresql(parts, port)
    raise _refused("names neither SQLite nor PostgreSQL")


def _sqlite(parts: SplitResult) -> Location:
    path = unquote(parts.path.removeprefix("/"))
    if parts.netloc or parts.query or parts.fragment or not path or path == ":memory:":
        raise _refused("names no SQLite file")
    return _in_file(Path(path))


def _postgresql(parts: SplitResult, port: int | None) -> Location:
    name = unquote(parts.path.removeprefix("/"))
    host = _parameters(parts.query).get("host") or parts.hostname
    if not host or not name or parts.fragment:
        raise _refused("names no host or no database")
    shown = host if port is None else f"{host}:{port}"
    return Location(
        f"PostgreSQL {name} at {shown}", dsn=parts._replace(scheme="postgresql").geturl()
    )


def _parameters(query: str) -> Mapping[str, str]:
    pairs = (part.partition("=") for part in query.split("&") if part)
    return {name: unquote(value) for name, _, value in pairs}


def _in_file(path: Path) -> Location:
    return Location(str(path), file=path)


def _refused(problem: str) -> SettingsError:
    return SettingsError((f"{VARIABLE}: {problem}: {_ADVICE}",))
