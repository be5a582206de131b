"""Numbers that were dialed and lead nowhere, with the lines that would route them."""

from typing import Annotated, Final

from fastapi import APIRouter
from fastapi import Query as QueryOf
from pydantic import Field

from sipagent.api.v1.base import (
    NOBODYS_NUMBERS,
    Behind,
    Limit,
    Model,
    Moment,
    Numbers,
    Query,
    Reader,
    TenantWanted,
    full_numbers,
    records,
    seconds_of,
    whose,
)
from sipagent.api.v1.errors import described
from sipagent.model.access import Deed
from sipagent.sip import mask_number
from sipagent.store.numbers import is_hashed
from sipagent.store.reading import unrouted_numbers
from sipagent.store.shown import iso
from sipagent.store.why import line_to_paste

router = APIRouter(prefix="/api/v1/unrouted", tags=["numbers"])

_WEEK: Final = 7 * 86400.0


class UnroutedAsked(Query):
    """Which unrouted numbers are wanted."""

    tenant: TenantWanted = None
    since: Moment | None = Field(default=None, description="Else the last 7 days.", examples=["2d"])
    until: Moment | None = Field(default=None, description="Until before; else now.")
    limit: Limit = 50
    numbers: Numbers = None


class UnroutedNumber(Model):
    """A number that was dialed and leads nowhere."""

    dialed: str | None = Field(description="The number; null where no header carried one.")
    header: str | None = Field(description="The header that carried it.")
    account: str
    trunk: str | None
    calls: int = Field(description="How often it was dialed.")
    first_at: str
    last_at: str
    line: str | None = Field(
        description="The line for `numbers:` of the agents file, with `numbers=full`.",
        examples=['"+442079460018": AGENT'],
    )


class UnroutedNumbers(Model):
    """Numbers that lead nowhere, the most dialed first."""

    unrouted: list[UnroutedNumber]


@router.get("", operation_id="list_unrouted", responses=described())
async def unrouted(
    by: Reader, behind: Behind, wanted: Annotated[UnroutedAsked, QueryOf()]
) -> UnroutedNumbers:
    """List numbers that were dialed and lead nowhere, with the lines that would route them."""
    tenant, now = whose(by, wanted.tenant), behind.clock.wall()
    since = now - _WEEK if wanted.since is None else seconds_of(wanted.since, now)
    until = None if wanted.until is None else seconds_of(wanted.until, now)
    deed = Deed("calls.numbers", NOBODYS_NUMBERS, tenant)
    whole = await full_numbers(behind, by, wanted.numbers, deed)
    async with records(behind) as connection:
        found = await unrouted_numbers(
            connection, tenant, since=since, until=until, limit=wanted.limit
        )
    return UnroutedNumbers(
        unrouted=[
            UnroutedNumber(
                dialed=one.dialed if whole or one.dialed is None else mask_number(one.dialed),
                header=one.header,
                account=one.account,
                trunk=one.trunk,
                calls=one.calls,
                first_at=str(iso(one.first_at)),
                last_at=str(iso(one.last_at)),
                line=_line(one.dialed) if whole else None,
            )
            for one in found
        ]
    )


def _line(dialed: str | None) -> str | None:
    return None if dialed is None or is_hashed(dialed) else line_to_paste(dialed).strip()
