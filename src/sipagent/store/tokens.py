"""Tokens of the control API: made once, told once, stored as what nobody can turn back.

A token's text is `sipa_<id>_<secret>`. Its id may be seen by anybody; of the secret, which is 32
random bytes, the records have the SHA-256 alone.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.model import Json, TenantName
from sipagent.model.access import Deed, Principal, Scope
from sipagent.store.audit import Author, append, tell
from sipagent.store.purging import writing
from sipagent.store.tables import tokens

USED_EVERY: Final = 60.0
"""Seconds after which it is written again that a token is used."""

LONGEST_NAME: Final = 100

LIFE: Final = 90 * 86_400.0
"""Seconds for which a token holds unless it is said otherwise."""

_ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_ID_LENGTH: Final = 10
_SECRET_BYTES: Final = 32
_TEXT: Final = re.compile(r"sipa_(?P<id>[a-z0-9]{8,16})_(?P<secret>[A-Za-z0-9_-]{43,86})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Presented:
    """A token as somebody sends it: the id that it names, and what its secret comes to."""

    id: str
    digest: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it stands in the records. Times are unix seconds."""

    id: str
    name: str
    tenant: TenantName | None
    scope: Scope
    created_at: float
    created_by: str
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None
    digest: str = field(repr=False)

    def holds(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def is_of(self, presented: Presented) -> bool:
        """Whether this is the token that was sent; how long that takes tells nothing."""
        return hmac.compare_digest(self.digest, presented.digest)

    @property
    def principal(self) -> Principal:
        return Principal(self.id, self.name, self.tenant, self.scope, self.expires_at)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A token that is to be: for whom, for what, and until when."""

    name: str
    tenant: TenantName | None
    scope: Scope
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Made:
    """A token that is there now, with its text, which nobody can be told again."""

    token: Token
    text: str = field(repr=False)


def presented(text: str) -> Presented | None:
    """What a text says of itself; None if it is no token of any installation."""
    match = _TEXT.fullmatch(text)
    return None if match is None else Presented(match["id"], _digest(match["secret"]))


async def create(engine: AsyncEngine, wanted: Wanted, by: Author, *, at: float) -> Made:
    """The token holds, and is in the audit."""
    id_ = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    values = {
        "id": id_,
        "name": wanted.name,
        "tenant": wanted.tenant,
        "scope": wanted.scope.value,
        "secret": _digest(secret),
        "created_at": at,
        "created_by": by.name,
        "expires_at": wanted.expires_at,
    }
    detail: Json = {
        "name": wanted.name,
        "scope": wanted.scope.value,
        "expires_at": wanted.expires_at,
    }
    async with writing(engine) as connection:
        await connection.execute(insert(tokens).values(values))
        deed = Deed("tokens.create", id_, wanted.tenant, detail)
        line = await append(connection, by, deed, at=at)
        row = (await connection.execute(select(tokens).where(tokens.c.id == id_))).one()
    tell(line)
    return Made(_token(row), f"sipa_{id_}_{secret}")


async def revoke(
    engine: AsyncEngine, token_id: str, by: Author, *, at: float, tenant: TenantName | None = None
) -> Token | None:
    """The token is refused from now on, and that is in the audit; None where there is none of this
    id, or none of the `tenant`. One that was revoked before stays so, and nothing is told twice."""
    named = [tokens.c.id == token_id]
    if tenant is not None:
        named.append(tokens.c.tenant == tenant)
    async with writing(engine) as connection:
        fresh = update(tokens).where(*named, tokens.c.revoked_at.is_(None))
        changed = await connection.execute(fresh.values(revoked_at=at))
        row = (await connection.execute(select(tokens).where(*named))).first()
        line = None
        if row is not None and changed.rowcount:
            deed = Deed("tokens.revoke", token_id, row.tenant, {"name": row.name})
            line = await append(connection, by, deed, at=at)
    if line is not None:
        tell(line)
    return None if row is None else _token(row)


async def listed(
    engine: AsyncEngine, *, tenant: TenantName | None = None, every: bool = False
) -> Sequence[Token]:
    """The tokens, of one tenant or of all and the operator, the oldest first; with `every` also
    those that were revoked."""
    asked = select(tokens).order_by(tokens.c.created_at, tokens.c.id)
    if tenant is not None:
        asked = asked.where(tokens.c.tenant == tenant)
    if not every:
        asked = asked.where(tokens.c.revoked_at.is_(None))
    async with engine.connect() as connection:
        return [_token(row) for row in await connection.execute(asked)]


async def found(engine: AsyncEngine, token_id: str) -> Token | None:
    """The token of this id, also one that does not hold."""
    async with engine.connect() as connection:
        row = (await connection.execute(select(tokens).where(tokens.c.id == token_id))).first()
    return None if row is None else _token(row)


async def operators(engine: AsyncEngine) -> bool:
    """Whether the operator has a token that was not revoked; one that is over counts, as the API is
    to be there for tenants all the same."""
    asked = select(tokens.c.id).where(tokens.c.tenant.is_(None), tokens.c.revoked_at.is_(None))
    async with engine.connect() as connection:
        return await connection.scalar(asked.limit(1)) is not None


async def note_used(engine: AsyncEngine, token_id: str, *, at: float) -> None:
    """It is written that the token was used, unless that was done a moment ago."""
    stale = or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at < at - USED_EVERY)
    async with writing(engine) as connection:
        here = update(tokens).where(tokens.c.id == token_id, stale)
        await connection.execute(here.values(last_used_at=at))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: Row[Any]) -> Token:
    return Token(
        row.id,
        row.name,
        row.tenant,
        Scope(row.scope),
        row.created_at,
        row.created_by,
        row.expires_at,
        row.revoked_at,
        row.last_used_at,
        row.secret,
    )
