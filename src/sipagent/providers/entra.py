"""Tokens of Microsoft Entra: by a client secret, a federated token, or a managed identity."""

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, Protocol
from urllib.parse import quote

import httpx
import structlog
from pydantic_core import from_json

from sipagent.concurrency import TaskOwner
from sipagent.errors import SecretError, TokenError
from sipagent.providers.accounts import (
    AccountSpec,
    ClientSecret,
    EntraSpec,
    FederatedToken,
    ManagedIdentity,
)
from sipagent.providers.openai.credentials import AuthHeaders, header_lines

log = structlog.get_logger(__name__)

ASKED_WITHIN: Final = 4.0
"""Seconds for one request for a token."""

RENEWED_WITHIN: Final = 10.0
"""Seconds for one renewal, all attempts together."""

RETRY_AFTER: Final = 15.0
"""Seconds from a renewal that failed to the next one, while no call asks for it."""

SHORT: Final = 60.0
"""A token that cannot be renewed and has at most so many seconds left counts as missing."""

FORCED_EVERY: Final = 1.0
"""A token that is refused at this age in seconds, or younger, will not be better anew."""

_PAUSES: Final = (0.2, 0.8)
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_REFUSED: Final = frozenset({400, 401, 403})
_LONGEST_TOKEN: Final = 64 * 1024
_YEAR_10000: Final = 253_402_300_800.0
_PASSING: Final = "temporarily_unavailable"
"""RFC 6749 4.1.2.1: the one error word that asks for patience, whatever the status."""


@dataclass(frozen=True, slots=True)
class Token:
    """`life`: seconds for which it is good, counted from before it was asked for."""

    value: str = field(repr=False)
    life: float


@dataclass(frozen=True, slots=True)
class _Question:
    """A request for a token. `direct` ones never go through a proxy."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    direct: bool = False


class EntraIssuer:
    """Asks for tokens as an identity of Entra."""

    def __init__(self, spec: EntraSpec, context: ssl.SSLContext) -> None:
        self._spec = spec
        self._context = context

    async def token(self) -> Token:
        """A token, by the first proof that is taken. Raises TokenError."""
        last = TokenError("no-proof", refused=True)
        for question in await self._questions():
            try:
                return await self._ask(question)
            except TokenError as error:
                if not error.refused:
                    raise
                last = error
        raise last

    async def check(self) -> None:
        """Raises SecretError where the file or variable with the proof cannot be read."""
        identity = self._spec.identity
        if isinstance(identity, ClientSecret):
            await asyncio.to_thread(identity.secret.read)
        elif isinstance(identity, FederatedToken):
            await asyncio.to_thread(identity.token.read)

    async def _questions(self) -> list[_Question]:
        """What may be asked: several where a file holds several secrets."""
        identity = self._spec.identity
        try:
            if isinstance(identity, ClientSecret):
                secrets = await asyncio.to_thread(identity.secret.read)
                return [self._by_proof(identity, {"client_secret": one}) for one in secrets]
            if isinstance(identity, FederatedToken):
                token = (await asyncio.to_thread(identity.token.read))[0]
                proof = {"client_assertion_type": _ASSERTION, "client_assertion": token}
                return [self._by_proof(identity, proof)]
        except SecretError as error:
            raise TokenError("unreadable-proof") from error
        return [self._by_machine(identity)]

    def _by_proof(
        self, identity: ClientSecret | FederatedToken, proof: Mapping[str, str]
    ) -> _Question:
        tenant = quote(identity.tenant_id, safe="")
        form = {
            "grant_type": "client_credentials",
            "client_id": identity.client_id,
            "scope": self._spec.scope,
            **proof,
        }
        url = f"{self._spec.authority.rstrip('/')}/{tenant}/oauth2/v2.0/token"
        return _Question("POST", url, form=form)

    def _by_machine(self, identity: ManagedIdentity) -> _Question:
        query = {"resource": self._spec.scope.removesuffix("/.default")}
        if identity.client_id is not None:
            query["client_id"] = identity.client_id
        endpoint = os.environ.get("IDENTITY_ENDPOINT")
        header = os.environ.get("IDENTITY_HEADER")
        if endpoint and header:
            query = {"api-version": "2019-08-01", **query}
            headers = {"X-IDENTITY-HEADER": header}
            return _Question("GET", endpoint, headers, query, direct=True)
        query = {"api-version": "2018-02-01", **query}
        url = f"{identity.metadata.rstrip('/')}/metadata/identity/oauth2/token"
        return _Question("GET", url, {"Metadata": "true"}, query, direct=True)

    async def _ask(self, question: _Question) -> Token:
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(ASKED_WITHIN),
                httpx.AsyncClient(
                    verify=self._context,
                    timeout=ASKED_WITHIN,
                    follow_redirects=False,
                    trust_env=not question.direct,
                ) as client,
            ):
                answer = await client.request(
                    question.method,
                    question.url,
                    headers=dict(question.headers),
                    params=dict(question.query) or None,
                    data=None if question.form is None else dict(question.form),
                )
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise TokenError(type(error).__name__) from error
        return read_token(answer.status_code, answer.content, time.monotonic() - began)


def read_token(status: int, body: bytes, took: float, now: float | None = None) -> Token:
    """The token of an answer that took so many seconds. Raises TokenError.

    App Service tells the end as unix seconds only, and both it and IMDS tell numbers as text.
    """
    content = _object(body)
    if status != 200:
        word = content.get("error")
        told = isinstance(word, str) and word.isascii() and word.isprintable()
        code = str(word)[:64] if told else f"status-{status}"
        raise TokenError(code, refused=status in _REFUSED and code != _PASSING)
    value = content.get("access_token")
    usable = isinstance(value, str) and value.isascii() and value.isprintable()
    if not usable or not value or " " in value or len(value) > _LONGEST_TOKEN:
        raise TokenError("unusable-answer")
    life = _seconds(content.get("expires_in"))
    if life is None:
        end = _seconds(content.get("expires_on"))
        life = None if end is None else end - (time.time() if now is None else now) + took
    if life is None or life <= took:
        raise TokenError("unusable-answer")
    return Token(value, life)


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = from_json(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _seconds(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if 0 <= value < _YEAR_10000 else None  # NaN is in no range
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 12:
        return float(value)
    return None


class Issuer(Protocol):
    async def token(self) -> Token:
        """A new token, within its deadline. Raises TokenError."""

    async def check(self) -> None:
        """Raises SecretError where what proves who we are cannot be read."""


def renew_after(life: float) -> float:
    """Seconds after which a token is renewed: at 75 % of its life or 5 minutes before its end.

    A machine's endpoint hands out one token again and again until shortly before its end: of one
    that has little more than these 5 minutes left, it is not asked every second.
    """
    if life <= 300.0:
        return 0.75 * life
    return min(0.75 * life, max(30.0, life - 300.0))


class EntraCredentials:
    """The headers of an account's token, which is renewed before it ends.

    No call waits for a renewal while the token is good; those that must wait share one.
    `running_out` is told the word for why whenever a renewal fails and the token has ended or is
    about to: where no call comes, nobody else would hear of it.
    """

    def __init__(
        self,
        spec: AccountSpec,
        issuer: Issuer,
        running_out: Callable[[str], None] = lambda code: None,
    ) -> None:
        self._spec = spec
        self._issuer = issuer
        self._running_out = running_out
        self._headers: AuthHeaders | None = None
        self._began = self._until = float("-inf")
        self._tasks = TaskOwner(self._crashed, apart=True)
        self._renewal: asyncio.Task[TokenError | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ahead = True

    async def headers(self) -> AuthHeaders:
        if self._headers is not None and asyncio.get_running_loop().time() < self._until:
            return self._headers
        return await self._renewed()

    async def another(self, refused: Sequence[AuthHeaders]) -> AuthHeaders | None:
        now = asyncio.get_running_loop().time()
        current = self._headers
        if current is not None and current not in refused and now < self._until:
            return current
        if len(refused) > 1 or now <= self._began + FORCED_EVERY:
            return None
        return await self._renewed()

    async def refresh(self) -> None:
        """The proof is read at each renewal; here it is only seen whether that would work."""
        await self._issuer.check()

    def retire(self) -> None:
        self._ahead = False
        self._disarm()

    async def close(self) -> None:
        self.retire()
        await self._tasks.cancel(within=1.0)

    async def _renewed(self) -> AuthHeaders:
        """The headers after a renewal: the one that is under way, or a new one."""
        task = self._begin()
        await asyncio.wait({task})  # whoever is cancelled here leaves the renewal to the others
        if task.cancelled() or task.exception() is not None:
            raise TokenError("renewal-broken-off")
        error = task.result()
        if error is not None:
            raise TokenError(error.code, refused=error.refused)
        assert self._headers is not None
        return self._headers

    def _begin(self) -> "asyncio.Task[TokenError | None]":
        if self._renewal is None or self._renewal.done():
            self._disarm()
            name = f"entra:{self._spec.name}"
            self._renewal = self._tasks.start(self._renew(), name=name)
        return self._renewal

    async def _renew(self) -> TokenError | None:
        """Get a token and plan the next renewal; a failure leaves the old token until its end."""
        try:
            async with asyncio.timeout(RENEWED_WITHIN):
                life = await self._persist()
        except (TokenError, TimeoutError) as error:
            failure = error if isinstance(error, TokenError) else TokenError("TimeoutError")
            log.warning("token not renewed", account=self._spec.name, code=failure.code)
            self._missed(failure.code)
            return failure
        self._arm(renew_after(life))
        return None

    async def _persist(self) -> float:
        """Take a new token, and tell its life; what may pass is tried again."""
        loop = asyncio.get_running_loop()
        for pause in chain(_PAUSES, (None,)):
            began = loop.time()
            try:
                token = await self._issuer.token()
            except TokenError as error:
                if pause is None or error.refused:
                    raise
                await asyncio.sleep(pause)
            else:
                self._headers = AuthHeaders(header_lines(self._spec, token.value, token=True))
                self._began, self._until = began, began + token.life
                return token.life
        raise AssertionError("the last attempt returns or raises")

    def _missed(self, code: str) -> None:
        """Try again later, and tell where there will be no token until then."""
        self._arm(RETRY_AFTER)
        if asyncio.get_running_loop().time() + SHORT >= self._until:
            self._running_out(code)

    def _arm(self, delay: float) -> None:
        if self._ahead:
            self._disarm()
            self._timer = asyncio.get_running_loop().call_later(delay, self._begin)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _crashed(self, name: str, crash: BaseException) -> None:
        log.error("task crashed", task=name, error=type(crash).__name__)
        self._missed(type(crash).__name__)
