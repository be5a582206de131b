"""Asks tenants' own endpoints what becomes of a call, by Standard Webhooks: a POST that is signed,
and an answer that is short, in time and of our form, or none."""

import asyncio
import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import structlog
from standardwebhooks import Webhook

from sipagent.errors import EgressError, EgressTrouble, SecretError
from sipagent.model import CallId, Consult, Consulted
from sipagent.model.secret import ReadSecret
from sipagent.routing import advice_of
from sipagent.sessions.ports import Clock
from sipagent.tools.egress import Answer, Ask, Egress

log = structlog.get_logger(__name__)

LARGEST_ANSWER: Final = 16 * 1024
"""Bytes of an answer: an agent's name and a few values."""

TYPE: Final = "call.consult"

_PREFIX: Final = "whsec_"
_FEWEST_KEY_BYTES: Final = 16
_NO_WORD: Final = 204
"""RFC 9110 15.3.5: the endpoint has nothing to say of this call."""

_LATE: Final = "no answer in time"
_TROUBLES: Final = {
    EgressTrouble.REFUSED: "it may not be asked",
    EgressTrouble.UNREACHABLE: "it cannot be reached",
    EgressTrouble.TIMED_OUT: _LATE,
    EgressTrouble.TOO_LARGE: "its answer is too long",
    EgressTrouble.CIRCUIT_OPEN: "it has failed too often of late",
}


class _UnsignedError(Exception):
    """The secret cannot sign anything. It is never quoted."""


@dataclass(frozen=True, slots=True)
class EndpointConsultant:
    """The `Consultant` that goes through the egress guard."""

    egress: Egress
    secrets: ReadSecret
    clock: Clock

    async def ask(self, call_id: CallId, consult: Consult) -> Consulted:
        began = self.clock.monotonic()
        try:
            async with asyncio.timeout(consult.timeout):
                consulted = consulted_of(await self._answer(call_id, consult))
        except TimeoutError:
            consulted = Consulted(None, _LATE)
        except EgressError as error:
            consulted = Consulted(None, _TROUBLES[error.kind])
        except (SecretError, _UnsignedError) as error:
            consulted = Consulted(None, "the secret that signs cannot be used")
            reason = str(error) if isinstance(error, SecretError) else "no secret of a webhook"
            log.error("consulting is not possible", secret=consult.secret, reason=reason)  # noqa: TRY400  # a traceback says no more
        except Exception as error:  # the crash boundary of what others send
            log.exception("consulting failed", error=type(error).__name__)
            consulted = Consulted(None, "it could not be asked")
        log.info(
            "endpoint consulted",
            host=urlsplit(consult.url).hostname,
            heeded=consulted.advice is not None,
            reason=consulted.because,
            milliseconds=round(1000 * (self.clock.monotonic() - began)),
        )
        return consulted

    async def _answer(self, call_id: CallId, consult: Consult) -> Answer:
        """Raises EgressError, SecretError and _UnsignedError."""
        secret = self.secrets(consult.tenant, consult.secret)
        at = datetime.fromtimestamp(int(self.clock.wall()), UTC)
        told = {"call_id": call_id, "tenant": consult.tenant, **consult.known}
        body = json.dumps({"type": TYPE, "timestamp": at.isoformat(), "data": told})
        return await self.egress.request(
            Ask(
                "POST",
                consult.url,
                signed(secret, f"consult_{call_id}", at, body),
                body.encode(),
                within=consult.timeout,
                most_bytes=LARGEST_ANSWER,
                # Its troubles are not those of the tenant's tools.
                tenant=f"consult:{consult.tenant}",
                # Only the operator's files may name a URL that is not encrypted.
                plain=True,
            )
        )


def signed(secret: str, message_id: str, at: datetime, body: str) -> dict[str, str]:
    """The headers of a request that is signed with a `whsec_` secret. Raises _UnsignedError."""
    signature = Webhook(_key(secret)).sign(message_id, at, body)
    return {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


def _key(secret: str) -> bytes:
    """The key that the secret stands for; its base64 may come without padding."""
    encoded = secret.removeprefix(_PREFIX)
    padded = encoded if encoded.endswith("=") else encoded + "=" * (-len(encoded) % 4)
    try:
        key = base64.b64decode(padded.encode("ascii"), validate=True)
    except ValueError:  # its text quotes the secret
        raise _UnsignedError from None
    if encoded == secret or len(key) < _FEWEST_KEY_BYTES:
        raise _UnsignedError
    return key


def consulted_of(answer: Answer) -> Consulted:
    """What an answer comes to."""
    if answer.status == _NO_WORD:
        return Consulted(None, "it has nothing to say")
    if not 200 <= answer.status < 300:
        return Consulted(None, f"it answered {answer.status}")
    advice = advice_of(answer.body)
    return (
        Consulted(None, "its answer is none of the form") if advice is None else Consulted(advice)
    )
