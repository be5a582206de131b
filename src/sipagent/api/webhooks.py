"""The provider's webhook: verify, read, hand over, answer. Nothing here waits for the provider."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import structlog
from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sipagent.api.problems import crashed, problem, refused
from sipagent.api.sampling import Sampler
from sipagent.api.server import MAX_BODY, read_body
from sipagent.errors import PayloadError, SignatureError
from sipagent.metrics import Metrics
from sipagent.model import AccountName
from sipagent.providers.openai.webhooks import (
    MOST_SECRETS,
    Delivery,
    IncomingCallEvent,
    WebhookSecrets,
    parse_event,
    verify,
)
from sipagent.sessions.intake import Announcement, Intake

log = structlog.get_logger(__name__)

ANY_ACCOUNT: Final = "openai"
"""`/webhooks/openai` finds the account by its secret. With more secrets than one account may have
it is off: a forged delivery would cost a comparison with each of them."""

_PREFIX: Final = "/webhooks/"


class Refused(StrEnum):
    """Results of deliveries that lead to no call; the label of a metric, as `Taken` is."""

    IGNORED = "ignored"
    UNKNOWN_ACCOUNT = "unknown-account"
    TOO_MANY_SECRETS = "too-many-secrets"
    TOO_LARGE = "too-large"


@dataclass(frozen=True, slots=True)
class Verified:
    account: AccountName
    delivery: Delivery


Candidates = Sequence[tuple[AccountName, WebhookSecrets]]


@dataclass(frozen=True, slots=True)
class WebhookReceiver:
    """Takes deliveries for these accounts' secrets, which are looked up at each delivery.

    Anybody can post what is refused: all of it is counted, and a sample of it logged.
    """

    secrets: Mapping[AccountName, WebhookSecrets]
    intake: Intake
    metrics: Metrics
    refusals: Sampler = field(default_factory=Sampler)

    async def receive(self, account: str, request: Request) -> Response:
        """200 for whatever needs no second delivery; 400, 404 or 413 otherwise, never a 5xx."""
        began = time.perf_counter()
        result, response = await self._answer(account, request)
        self.metrics.webhooks.requests.labels(result).inc()
        self.metrics.webhooks.seconds.observe(time.perf_counter() - began)
        return response

    async def _answer(self, account: str, request: Request) -> tuple[str, Response]:
        if not self._candidates(account):
            return self._nobody(account)
        body = await read_body(request)
        if body is None:
            detail = f"A webhook's body has at most {MAX_BODY} bytes."
            close = {"Connection": "close"}
            return Refused.TOO_LARGE, problem(413, Refused.TOO_LARGE, detail, headers=close)
        # Again: the secrets may be others than before the body came, and the account gone.
        candidates = self._candidates(account)
        if not candidates:
            return self._nobody(account)
        try:
            verified = _verify(candidates, request.scope["headers"], body)
            event = parse_event(body)
        except (SignatureError, PayloadError) as refused:
            if (left_out := self.refusals.admit()) is not None:
                log.info("delivery refused", code=refused.code, left_out=left_out or None)
            return refused.code, problem(400, refused.code, str(refused))
        if not isinstance(event, IncomingCallEvent):
            log.info("event ignored", type=event.type, account=verified.account)
            return Refused.IGNORED, _result(Refused.IGNORED)
        taken = await self.intake.take(
            Announcement(
                call_id=event.call_id,
                webhook_id=verified.delivery.webhook_id,
                account=verified.account,
                sent_at=verified.delivery.sent_at,
                created_at=event.created_at,
                sip_headers=event.sip_headers,
                media_security=event.media_security,
            )
        )
        return taken, _result(taken)

    def _candidates(self, account: str) -> Candidates:
        """The accounts that a delivery to this address may be for, with their secrets now."""
        name = AccountName(account)
        if account == ANY_ACCOUNT and self._few:
            return tuple(self.secrets.items())
        return ((name, self.secrets[name]),) if name in self.secrets else ()

    @property
    def _few(self) -> bool:
        return sum(len(secrets) for secrets in self.secrets.values()) <= MOST_SECRETS

    def _nobody(self, account: str) -> tuple[str, Response]:
        if account == ANY_ACCOUNT and self.secrets:
            detail = (
                f"There are more than {MOST_SECRETS} secrets: post to /webhooks/ and the"
                " account's name."
            )
            return Refused.TOO_MANY_SECRETS, problem(404, Refused.TOO_MANY_SECRETS, detail)
        detail = "There is no account of this name."
        if self._few:
            detail = f"There is no account of this name; /webhooks/{ANY_ACCOUNT} serves them all."
        return Refused.UNKNOWN_ACCOUNT, problem(404, Refused.UNKNOWN_ACCOUNT, detail)


@dataclass(frozen=True, slots=True)
class WebhookFront:
    """The service as an ASGI application: webhooks, and `app` for everything else.

    Webhooks do not pass through FastAPI's middlewares and router, which have nothing to do for
    them: bytes in, bytes out.
    """

    receiver: WebhookReceiver
    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(_PREFIX):
            await self.app(scope, receive, send)
            return
        try:
            response = await self._webhook(Request(scope, receive))
        except Exception as crash:  # the crash boundary of one delivery
            log.exception("delivery crashed", error=type(crash).__name__)
            response = crashed()
        await response(scope, receive, send)

    async def _webhook(self, request: Request) -> Response:
        account = request.scope["path"].removeprefix(_PREFIX)
        if not account or "/" in account:
            return refused(404)
        if request.method != "POST":
            return refused(405, headers={"Allow": "POST"})
        return await self.receiver.receive(account, request)


def _result(word: str) -> Response:
    return Response(f'{{"result":"{word}"}}', media_type="application/json")


def _verify(candidates: Candidates, headers: list[tuple[bytes, bytes]], body: bytes) -> Verified:
    """The account whose secret verifies. Raises the last account's SignatureError."""
    for account, secrets in candidates[:-1]:
        try:
            return Verified(account, verify(headers, body, secrets))
        except SignatureError:
            continue
    account, secrets = candidates[-1]
    return Verified(account, verify(headers, body, secrets))
