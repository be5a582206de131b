"""The `Idempotency-Key` of requests: what was asked twice is done once, and answered twice alike.

In a POST route: `return await once.answer(request, by, work)`, where `work` does it and gives the
Response.
"""

import hashlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Final

import structlog
from fastapi import Header, Request, Response

from sipagent.api.problems import Problem, records_away
from sipagent.api.v1.ports import Records
from sipagent.concurrency import finish
from sipagent.model.access import Principal
from sipagent.sessions.ports import Clock
from sipagent.store.database import DATABASE_ERRORS, reason_of
from sipagent.store.idempotency import Answer, IdempotencyKeys, Key, Known

log = structlog.get_logger(__name__)

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
LONGEST: Final = 128

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=HEADER,
        min_length=1,
        max_length=LONGEST,
        pattern=r"^[!-~]+$",
        description=(
            "A word of your own for this request. The same request under the same key within 24"
            " hours is done once and answered alike; one that was refused may be asked again."
        ),
        examples=["5f9c7a52-5b0e-4a55-9d0a-1c2b3d4e5f60"],
    ),
]
"""For a route's signature, so that the header is described and judged; what `once` reads itself."""


class Once:
    """Has each request under a key done once, on whichever replica it arrives."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._keys = IdempotencyKeys(lambda: records.engine, clock)

    async def answer(
        self,
        request: Request,
        by: Principal,
        work: Callable[[], Awaitable[Response]],
        *,
        harmless: bool = False,
    ) -> Response:
        """What `work` answers, or has answered to this request before.

        `harmless` is what may be done twice: it is done also while the records are away. Only what
        has been done is kept: whoever was refused, as the call was not known yet or nobody held it,
        asks again under the same key. Raises Problem: 409 while the first of two is still at it, or
        where the key stands for another request; 503.
        """
        written = request.headers.get(HEADER)
        if not written:
            return await work()
        key = Key(by.token_id, written, await _fingerprint(request))
        try:
            known = await self._keys.begin(key)
        except DATABASE_ERRORS:
            if harmless:
                return await work()
            raise records_away() from None
        match known:
            case Known.BUSY:
                detail = "The first request under this Idempotency-Key is being worked at."
                raise Problem(409, "in-progress", detail, headers={"Retry-After": "1"})
            case Known.OTHER:
                detail = "This Idempotency-Key stands for another request; take a new one."
                raise Problem(409, "key-reused", detail)
            case Answer():
                return _replayed(known)
            case _:
                return await self._done(key, work)

    async def _done(self, key: Key, work: Callable[[], Awaitable[Response]]) -> Response:
        """What `work` answers, kept for the next time if it has been done."""
        try:
            response = await work()
        except Exception:
            await finish(self._drop(key), name="drop idempotency key")
            raise
        await self._end(key, response)
        return response

    async def _end(self, key: Key, response: Response) -> None:
        status = response.status_code
        if status >= HTTPStatus.BAD_REQUEST:
            await finish(self._drop(key), name="drop idempotency key")
            return
        answer = Answer(status, response.media_type, bytes(response.body).decode())
        try:
            await finish(self._keys.end(key, answer), name="keep answer")
        except DATABASE_ERRORS as error:  # it is done; the next attempt waits, and does it again
            log.warning("answer not kept", reason=reason_of(error))

    async def _drop(self, key: Key) -> None:
        try:
            await self._keys.drop(key)
        except DATABASE_ERRORS as error:
            log.warning("idempotency key not dropped", reason=reason_of(error))


async def _fingerprint(request: Request) -> str:
    """What the request comes to: another method, address or body is another request."""
    query = request.url.query
    head = f"{request.method} {request.url.path}?{query}\n"
    return hashlib.sha256(head.encode() + await request.body()).hexdigest()


def _replayed(answer: Answer) -> Response:
    return Response(
        answer.body,
        answer.status,
        headers={REPLAYED: "true"},
        media_type=answer.media_type,
    )
