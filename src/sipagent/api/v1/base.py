"""What all routes of the control API share: strict models, words for what is asked, the way to the
records, and what is not there."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends, Path, Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from sqlalchemy.ext.asyncio import AsyncConnection

from sipagent.api.problems import Problem, records_away
from sipagent.api.v1.auth import check, require
from sipagent.api.v1.idempotency import Once
from sipagent.api.v1.ports import Backend
from sipagent.model import CallId, TenantName
from sipagent.model.access import Deed, Principal, Scope
from sipagent.model.ids import is_call_id
from sipagent.store.database import DATABASE_ERRORS
from sipagent.store.reading import find_calls

Result = TypeVar("Result")

READ_WITHIN: Final = 10.0
"""Seconds for the records to answer one request."""

_DURATION: Final = re.compile(r"[1-9][0-9]{0,5}[smhd]", re.ASCII)
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class Model(BaseModel):
    """A body or an answer: unknown keys are errors, and nothing is taken for what it is not."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Query(BaseModel):
    """What stands behind the question mark: each value is a text, and unknown names are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


_NAME_PATTERN: Final = r"^[^\x00-\x1f\x7f]+$"

Name = Annotated[str, Field(min_length=1, max_length=256, pattern=_NAME_PATTERN)]
"""A name or a number: one line without control characters, which no database would take."""

Words = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]
"""Something to be said."""


def whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or not value.isascii() or not value.isdigit() or len(value) > 9:
        raise ValueError("write a whole number")
    return int(value)


def integer(value: Any) -> Any:
    """To JSON, and so to its schemas, 410.0 is an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _flag(value: Any) -> bool:
    if value not in ("true", "false", True, False):
        raise ValueError("write true or false")
    return value in ("true", True)


Limit = Annotated[
    int,
    Field(ge=1, le=200, description="At most so many.", examples=[50]),
    BeforeValidator(whole),
]
Flag = Annotated[bool, BeforeValidator(_flag)]


def _moment(text: str) -> str:
    return judged(text, lambda it: seconds_of(it, 0.0), "write 2h, 3d, or RFC 3339 with its offset")


def _day(text: str) -> str:
    return judged(text, day_of, "write a day as 2026-11-29")


def judged(text: str, read: Callable[[str], object], advice: str) -> str:
    """The text, if it can be read. Else raises ValueError with the advice and nothing of the text,
    which the error of whoever reads it may hold."""
    try:
        read(text)
    except ValueError:
        raise ValueError(advice) from None
    return text


Moment = Annotated[
    str,
    AfterValidator(_moment),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "string", "pattern": r"^[1-9][0-9]{0,5}[smhd]$"},
            ]
        }
    ),
]
"""RFC 3339, or how long ago: `2h`."""

Day = Annotated[str, AfterValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]

Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[smhd]$", examples=["30m", "2h"])]


def duration_of(text: str) -> float:
    """Seconds of `30m`."""
    return int(text[:-1]) * _UNITS[text[-1]]


def seconds_of(text: str, now: float) -> float:
    """Unix seconds of RFC 3339, or of so long before `now`. Raises ValueError."""
    if _DURATION.fullmatch(text):
        return now - duration_of(text)
    if not _MOMENT.fullmatch(text):
        raise ValueError("is no time")
    head, leap = text[:17].upper(), text[17:19] == "60"
    written = datetime.fromisoformat(f"{head}{'59' if leap else text[17:19]}{text[19:].upper()}")
    return (written - _EPOCH).total_seconds() + leap


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def day_of(text: str) -> date:
    """Raises ValueError."""
    if not _DAY.fullmatch(text):
        raise ValueError("is no day")
    return date.fromisoformat(text)


def backend_of(request: Request) -> Backend:
    found = request.app.state.backend
    assert isinstance(found, Backend)
    return found


def once_of(request: Request) -> Once:
    found = request.app.state.once
    assert isinstance(found, Once)
    return found


Behind = Annotated[Backend, Depends(backend_of)]
Reader = Annotated[Principal, Depends(require(Scope.READ))]
Controller = Annotated[Principal, Depends(require(Scope.CONTROL))]
Administrator = Annotated[Principal, Depends(require(Scope.ADMIN))]

CallName = Annotated[
    Name,
    Path(
        description="The call's id, its webhook's, or the carrier's for it.",
        examples=["rtc_u1_9c6574da8b8a41a18da9308f4ad974ce"],
    ),
]
TenantWanted = Annotated[
    Name | None,
    Field(description="Of this tenant only. A tenant's own token needs none.", examples=["acme"]),
]
Numbers = Annotated[
    str | None,
    Field(
        pattern="^(full|masked)$",
        description="`full` tells telephone numbers and callers' names whole; it needs the scope"
        " admin, and the audit notes it.",
        examples=["masked"],
    ),
]
Reason = Annotated[
    Name | None,
    Field(
        description="Why words are read. An operator must say so, and the tenant can see it.",
        examples=["ticket 4711: the caller says that nobody understood her"],
    ),
]


NOBODYS_NUMBERS: Final = "unrouted"
"""What the audit calls numbers that were dialed and lead nowhere."""


def missing(what: str) -> Problem:
    """The one answer for what is not there, and for what is another tenant's."""
    return Problem(404, "not-found", f"There is no such {what}.")


def whose(by: Principal, tenant: str | None) -> TenantName | None:
    """The tenant whose data is asked for; None is every tenant's. Raises Problem 404 where a
    tenant's token names another one."""
    if by.tenant is None:
        return None if tenant is None else TenantName(tenant)
    if tenant not in (None, by.tenant):
        raise missing("tenant")
    return by.tenant


async def full_numbers(behind: Backend, by: Principal, numbers: str | None, deed: Deed) -> bool:
    """Whether numbers are told whole, which the audit then notes. Raises Problem 403, also where
    an operator names no tenant: nobody would see in its audit that its callers' were told."""
    if numbers != "full":
        return False
    check(by, Scope.ADMIN)
    if deed.tenant is None and deed.target != NOBODYS_NUMBERS:
        detail = "An operator has whole numbers of one tenant's calls told: name it."
        raise Problem(403, "tenant-needed", detail)
    await noted(behind, by, deed)
    return True


async def noted(behind: Backend, by: Principal, deed: Deed) -> None:
    """The deed is in the audit. Raises Problem 503: what cannot be noted is not done."""
    await answered(behind.audit.write(by, deed))


async def answered(asked: Awaitable[Result]) -> Result:
    """What the records answer. Raises Problem 503 where they do not in time."""
    try:
        async with asyncio.timeout(READ_WITHIN):
            return await asked
    except DATABASE_ERRORS:
        raise records_away() from None


@contextlib.asynccontextmanager
async def records(behind: Backend) -> AsyncIterator[AsyncConnection]:
    """A connection to the records. Raises Problem 503 where they do not answer in time."""
    try:
        async with asyncio.timeout(READ_WITHIN), behind.records.engine.connect() as connection:
            yield connection
    except DATABASE_ERRORS:
        raise records_away() from None


async def found_call(behind: Backend, by: Principal, name: str) -> CallId:
    """The id of the call that has this name; of several that a carrier calls by one name it is the
    newest. Whoever has just begun a call, or been told of it, where it is held need not wait until
    it is recorded. Raises Problem 404."""
    async with records(behind) as connection:
        found = await find_calls(connection, by.tenant, name)
    if not found and is_call_id(name) and await behind.watch.settle(CallId(name)):
        async with records(behind) as connection:
            found = await find_calls(connection, by.tenant, name)
    if not found:
        raise missing("call")
    return found[0]
