"""Who asks: Bearer tokens, what they may, and who has tried too often.

Nothing of a token is in an error or a log line.
"""

import asyncio
import hashlib
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, IPv6Network
from typing import Annotated, Final
from weakref import WeakValueDictionary

from fastapi import Depends, FastAPI, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from sipagent.api.problems import Problem, records_away
from sipagent.api.v1.ports import Keys
from sipagent.model.access import Principal, Scope
from sipagent.sessions.ports import Clock
from sipagent.store.database import DATABASE_ERRORS

MOST_FAILED: Final = 10
"""Attempts with no token that holds, from one address within FAILED_WITHIN."""

FAILED_WITHIN: Final = 60.0
TURN_WITHIN: Final = 5.0
"""Seconds in which an address gets to ask about a token that has not been admitted yet."""

MOST_ADDRESSES: Final = 4096
MOST_ADMITTED: Final = 4096

_LONGEST: Final = 256

_bearer: Final = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="A token of `sipagent tokens create`.",
)


class Attempts:
    """How often each address has failed lately; of MOST_ADDRESSES, those that failed last.

    Of IPv6 a whole /64 is one address: whoever has one has all of it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def failed(self, address: str) -> None:
        now, one = self._clock.monotonic(), _one_of(address)
        recent = [at for at in self._failed.pop(one, ()) if at > now - FAILED_WITHIN]
        self._failed[one] = [*recent, now][-MOST_FAILED:]
        while len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)

    def wait(self, address: str) -> float:
        """Seconds until this address may try again; 0 where it may."""
        failed = self._failed.get(_one_of(address))
        if failed is None or len(failed) < MOST_FAILED:
            return 0.0
        return max(0.0, failed[0] + FAILED_WITHIN - self._clock.monotonic())


def _one_of(address: str) -> str:
    """What counts as one address with this one."""
    if ":" not in address:
        return address
    try:
        known = IPv6Address(address)
    except ValueError:
        return address
    return str(known.ipv4_mapped or IPv6Network((int(known) >> 64 << 64, 64)))


class Doorkeeper:
    """Admits whoever bears a token that holds. Also the console signs people in by it.

    An address that has failed too often is refused unasked, but for tokens that were admitted
    before: many people share an address, and one of them must not shut out the others. Of one
    address no more tokens are asked about at a time than may fail, so that many at once are not
    more attempts than many one after the other.
    """

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._attempts = Attempts(clock)
        self._admitted: OrderedDict[bytes, None] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def admit(self, token: str | None, address: str) -> Principal:
        """Whoever this token stands for. Raises Problem: 401, 429, or 503 while that cannot be
        known."""
        if not token:
            raise _unknown(MISSING)
        mark = _mark(token)
        if mark in self._admitted:
            principal = await self._judged(token, mark, address)
        else:
            async with self._turn(address):
                if wait := self._attempts.wait(address):
                    raise _too_many(wait)
                principal = await self._judged(token, mark, address)
        self._admitted[mark] = None
        self._admitted.move_to_end(mark)
        if len(self._admitted) > MOST_ADMITTED:
            self._admitted.popitem(last=False)
        return principal

    def has_admitted(self, token: str) -> bool:
        """Whether this token held when it was last asked about, here and lately."""
        return _mark(token) in self._admitted

    @asynccontextmanager
    async def _turn(self, address: str) -> AsyncIterator[None]:
        """One of the places of this address. Raises Problem 503 where none becomes free, which is
        where the records do not answer those who have them."""
        places = self._turns.setdefault(_one_of(address), asyncio.Semaphore(MOST_FAILED))
        try:
            async with asyncio.timeout(TURN_WITHIN):
                await places.acquire()
        except TimeoutError:
            raise records_away() from None
        try:
            yield
        finally:
            places.release()

    async def _judged(self, token: str, mark: bytes, address: str) -> Principal:
        principal = await self._principal(token)
        if principal is None:
            self._admitted.pop(mark, None)
            self._attempts.failed(address)
            raise _unknown(INVALID)
        return principal

    async def _principal(self, token: str) -> Principal | None:
        if len(token) > _LONGEST:
            return None
        try:
            return await self._keys.principal(token)
        except DATABASE_ERRORS:
            raise records_away() from None


def _mark(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


MISSING: Final = "Send a token of `sipagent tokens create` as `Authorization: Bearer TOKEN`."
INVALID: Final = "This token is unknown, over, or revoked."


def install(app: FastAPI, doorkeeper: Doorkeeper) -> None:
    """Have `require` of this application's routes ask this doorkeeper."""
    app.state.doorkeeper = doorkeeper


def doorkeeper_of(request: Request) -> Doorkeeper:
    found = request.app.state.doorkeeper
    assert isinstance(found, Doorkeeper)
    return found


def address_of(request: Request) -> str:
    """Where a request comes from, as far as its connection tells."""
    return request.client.host if request.client is not None else ""


async def bearer(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Principal:
    """Whoever the request's token stands for. Raises Problem."""
    token = None if credentials is None else credentials.credentials
    principal = await doorkeeper_of(request).admit(token, address_of(request))
    request.state.principal = principal
    return principal


def require(scope: Scope) -> Callable[..., Awaitable[Principal]]:
    """A dependency that gives the Principal of whoever asks, who may do this:
    `by: Annotated[Principal, Depends(require(Scope.READ))]`."""

    async def permitted(by: Annotated[Principal, Depends(bearer)]) -> Principal:
        check(by, scope)
        return by

    return permitted


def check(by: Principal, scope: Scope) -> None:
    """Raises Problem 403 where this is more than they may."""
    if not by.may(scope):
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        raise Problem(
            403,
            "scope",
            f"This needs a token with the scope {scope}; this one has {by.scope}.",
            headers={"WWW-Authenticate": challenge},
        )


def check_operator(by: Principal) -> None:
    """Raises Problem 403 where they are not the operator: for what is nobody's own."""
    if not by.is_operator:
        raise Problem(403, "operator-only", "This needs a token of the operator's.")


def _unknown(detail: str) -> Problem:
    challenge = "Bearer" if detail is MISSING else 'Bearer error="invalid_token"'
    return Problem(401, "token", detail, headers={"WWW-Authenticate": challenge})


def _too_many(wait: float) -> Problem:
    detail = "Too many attempts without a token that holds. Wait before the next."
    return Problem(429, "too-many-attempts", detail, headers={"Retry-After": str(math.ceil(wait))})
