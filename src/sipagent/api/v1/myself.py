"""Who asks: what a token is, and what it may."""

from fastapi import APIRouter
from pydantic import Field

from sipagent.api.v1.base import Model, Reader
from sipagent.api.v1.errors import described
from sipagent.store.shown import iso

router = APIRouter(prefix="/api/v1", tags=["access"])


class Me(Model):
    """Whoever the token stands for."""

    token_id: str = Field(description="The token's id, which is no secret.", examples=["tok_7k2p"])
    name: str = Field(description="The person or program.", examples=["ana"])
    tenant: str | None = Field(description="Whose data it sees; null: the operator.")
    scope: str = Field(description="read, control or admin.", examples=["control"])
    operator: bool = Field(description="Whether it is the operator's.")
    expires_at: str | None = Field(description="When it ends; null: when it is revoked.")


@router.get("/me", operation_id="get_me", responses=described())
async def me(by: Reader) -> Me:
    """Tell whom the token stands for, and what it may."""
    return Me(
        token_id=by.token_id,
        name=by.name,
        tenant=by.tenant,
        scope=by.scope.value,
        operator=by.is_operator,
        expires_at=iso(by.expires_at),
    )
