"""What pages of the console ask of the records: whose calls, of which time, and within which time
the answer must be there."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.api.console.refusals import Refused
from sipagent.api.console.shell import Visitor
from sipagent.api.v1.ports import Backend, Deed
from sipagent.model import TenantName
from sipagent.model.access import Principal
from sipagent.store.database import DATABASE_ERRORS

READ_WITHIN: Final = 10.0
DAY: Final = 86400.0
MOST_SUGGESTED: Final = 500
"""Names below a field: of more a browser makes no use."""

NOT_AUDITED: Final = "The audit cannot be written at the moment, so nothing was done."
AWAY: Final = "The records cannot be read at the moment. Calls are taken all the same."


@asynccontextmanager
async def answered(words: str = AWAY, *, within: float = READ_WITHIN) -> AsyncIterator[None]:
    """The block has so many seconds. Raises Refused with these words where the database does not
    answer in it."""
    try:
        async with asyncio.timeout(within):
            yield
    except DATABASE_ERRORS:
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, words) from None


@asynccontextmanager
async def records(
    backend: Backend, *, within: float = READ_WITHIN
) -> AsyncIterator[AsyncConnection]:
    """A connection to the records for so many seconds. Raises Refused where they are away."""
    async with answered(within=within), backend.records.engine.connect() as connection:
        yield connection


async def audited(backend: Backend, by: Principal, deed: Deed) -> None:
    """The deed is in the audit. Raises Refused where it cannot be written: then it is not to be
    done."""
    async with answered(NOT_AUDITED):
        await backend.audit.write(by, deed)


def whose(visitor: Visitor, named: str) -> TenantName | None:
    """Whose data is shown: the visitor's own tenant's, whatever they name; of an operator the one
    that they name, else all (None)."""
    principal = visitor.principal
    if principal.tenant is not None:
        return principal.tenant
    return TenantName(named) if named else None


def moment(text: str, name: str) -> float | None:
    """Unix seconds of a field with a time (ISO 8601, UTC without an offset); None without a text.
    Raises Refused."""
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text)
        at = (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name}: this is no time.") from None
    return at


def span(since: float | None, until: float | None, now: float, *, days: int) -> tuple[float, float]:
    """The time from `since` to `until`, by default the last so many days. Raises Refused for one
    that is longer, and for none."""
    end = now if until is None else until
    begin = end - days * DAY if since is None else since
    if begin >= end:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "The time ends before it begins.")
    if end - begin > days * DAY + 1:
        words = f"At most {days} days can be looked at in one go."
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, words)
    return begin, end


def clipped(
    fields: Mapping[str, str], names: tuple[str, ...], *, most: int = 100
) -> dict[str, str]:
    """These fields without what surrounds them; a missing one is empty. Raises Refused for one that
    is longer than any name, number or time is."""
    found = {name: fields.get(name, "").strip() for name in names}
    if any(len(value) > most for value in found.values()):
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"At most {most} characters, please.")
    # PostgreSQL takes no text with a zero in it.
    return {name: value.replace("\x00", "") for name, value in found.items()}


def tenants_to_choose(backend: Backend, visitor: Visitor) -> Sequence[str]:
    """The tenants that an operator may want to see; nothing for anybody else."""
    if not visitor.principal.is_operator:
        return []
    return sorted(backend.config.table.tenants)[:MOST_SUGGESTED]


def agents_to_choose(backend: Backend, tenant: TenantName | None) -> Sequence[str]:
    """The agents of a tenant, or of all, by name."""
    agents = backend.config.table.agents
    return sorted({name for whose, name in agents if tenant in (None, whose)})[:MOST_SUGGESTED]
