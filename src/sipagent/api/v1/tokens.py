"""The tokens: made, listed and revoked by whoever may do everything else as well.

A tenant's admin has to do with its own tenant's tokens only, and nobody makes a token that may do
more, or lasts longer, than their own.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path
from fastapi import Query as QueryOf
from fastapi.responses import JSONResponse
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.api.problems import Problem, records_away
from sipagent.api.v1.base import (
    READ_WITHIN,
    Administrator,
    Behind,
    Duration,
    Flag,
    Model,
    Name,
    Query,
    TenantWanted,
    duration_of,
    missing,
    whose,
)
from sipagent.api.v1.errors import Unusable, described
from sipagent.api.v1.ports import Backend
from sipagent.model import TenantName
from sipagent.model.access import Principal, Scope
from sipagent.store import tokens
from sipagent.store.audit import author_of
from sipagent.store.database import DATABASE_ERRORS
from sipagent.store.shown import iso
from sipagent.store.tokens import LIFE, LONGEST_NAME, Token, Wanted

router = APIRouter(prefix="/api/v1/tokens", tags=["access"])

_NEVER: Final = "never"

TokenId = Annotated[
    str, Path(description="The token's id.", pattern=r"^[a-z0-9]{8,16}$", examples=["k7m2pq9xwz"])
]


class TokenWanted(Model):
    """A token that is to be."""

    name: Annotated[Name, Field(max_length=LONGEST_NAME)] = Field(
        description="The person or the program that gets it.", examples=["Anna, night desk"]
    )
    tenant: Name | None = Field(
        default=None, description="Whose data it opens; a tenant's admin needs none."
    )
    operator: bool = Field(
        default=False, description="In place of a tenant: it opens all tenants' data."
    )
    scope: Annotated[str, Field(pattern="^(read|control|admin)$")] = Field(
        default=Scope.READ.value, description="What it may do: read, control or admin."
    )
    expires_in: Duration | Annotated[str, Field(pattern=f"^{_NEVER}$")] | None = Field(
        default=None, description="When it is over; else in 90 days.", examples=["30d", _NEVER]
    )


class TokenTold(Model):
    """One token, without its secret."""

    id: str = Field(description="Its id, which is no secret.", examples=["k7m2pq9xwz"])
    name: str = Field(description="Who has it.", examples=["Anna, night desk"])
    tenant: str | None = Field(description="Whose data it opens; null: all tenants'.")
    scope: str = Field(description="read, control or admin.", examples=["control"])
    created_at: str = Field(description="When it was made.")
    created_by: str = Field(description="Who made it.")
    expires_at: str | None = Field(description="When it is over.")
    revoked_at: str | None = Field(description="Since when it is refused.")
    last_used_at: str | None = Field(description="When it was used, to the minute.")


class TokenMade(TokenTold):
    """A new token. Its text is told now, and never again."""

    token: str = Field(description="What is sent as `Authorization: Bearer`.")


class TokensTold(Model):
    """Tokens, the oldest first."""

    tokens: list[TokenTold]


class TokensAsked(Query):
    """Which tokens are wanted."""

    tenant: TenantWanted = None
    revoked: Flag = Field(default=False, description="Also those that were revoked.")


_PLACES: Final[dict[str, Any]] = {
    "response_model": TokenMade,
    "responses": described(404),
    "status_code": 201,
}


@router.post("", operation_id="create_token", **_PLACES)
async def create(by: Administrator, behind: Behind, wanted: TokenWanted) -> JSONResponse:
    """Make a token. This takes no Idempotency-Key, as its answer is kept nowhere."""
    tenant = _tenant(behind, by, wanted)
    expires_at = _expiry(behind, by, wanted.expires_in)
    scope = Scope(wanted.scope)
    if not by.may(scope):
        raise _more("scope")
    made = Wanted(wanted.name, tenant, scope, expires_at)
    async with _records(behind) as engine:
        found = await tokens.create(engine, made, author_of(by), at=behind.clock.wall())
    content = {**_told(found.token).model_dump(), "token": found.text}
    return JSONResponse(content, status_code=201, headers={"Cache-Control": "no-store"})


@router.get("", operation_id="list_tokens", responses=described(404))
async def list_(
    by: Administrator, behind: Behind, wanted: Annotated[TokensAsked, QueryOf()]
) -> TokensTold:
    """List tokens, of one tenant or of everybody."""
    tenant = whose(by, wanted.tenant)
    async with _records(behind) as engine:
        found = await tokens.listed(engine, tenant=tenant, every=wanted.revoked)
    return TokensTold(tokens=[_told(one) for one in found])


@router.delete("/{token}", operation_id="revoke_token", responses=described(404))
async def revoke(token: TokenId, by: Administrator, behind: Behind) -> TokenTold:
    """Have a token refused, on all replicas within five seconds. It cannot be taken back."""
    now = behind.clock.wall()
    async with _records(behind) as engine:
        found = await tokens.revoke(engine, token, author_of(by), at=now, tenant=by.tenant)
    if found is None:
        raise missing("token")
    return _told(found)


@asynccontextmanager
async def _records(behind: Backend) -> AsyncIterator[AsyncEngine]:
    """The records' engine. Raises Problem 503 where they do not answer in time."""
    try:
        async with asyncio.timeout(READ_WITHIN):
            yield behind.records.engine
    except DATABASE_ERRORS:
        raise records_away() from None


def _tenant(behind: Backend, by: Principal, wanted: TokenWanted) -> TenantName | None:
    """Whose data the token opens. Raises Problem and Unusable."""
    if wanted.operator:
        if wanted.tenant is not None:
            raise Unusable("#/operator", "Name a tenant, or the operator, and not both.")
        if not by.is_operator:
            raise _more("tenants")
        return None
    tenant = whose(by, wanted.tenant)
    if tenant is None:
        raise Unusable("#/tenant", "Name a tenant, or say that it is the operator's.")
    if by.is_operator and tenant not in behind.config.table.tenants:
        raise missing("tenant")
    return tenant


def _expiry(behind: Backend, by: Principal, wanted: str | None) -> float | None:
    """When the token is over; without a wish as late as its maker's own, and in 90 days at most.
    Raises Problem."""
    now, own = behind.clock.wall(), by.expires_at
    if wanted is None:
        return now + LIFE if own is None else min(own, now + LIFE)
    expires_at = None if wanted == _NEVER else now + duration_of(wanted)
    if own is not None and (expires_at is None or expires_at > own):
        raise _more("time")
    return expires_at


def _more(what: str) -> Problem:
    detail = f"Nobody makes a token that has more than their own: its {what} would be more."
    return Problem(403, "more-than-own", detail)


def _told(token: Token) -> TokenTold:
    return TokenTold(
        id=token.id,
        name=token.name,
        tenant=token.tenant,
        scope=token.scope.value,
        created_at=str(iso(token.created_at)),
        created_by=token.created_by,
        expires_at=iso(token.expires_at),
        revoked_at=iso(token.revoked_at),
        last_used_at=iso(token.last_used_at),
    )
