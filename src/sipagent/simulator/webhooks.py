"""Signed webhooks, as the provider posts them."""

import base64
import hashlib
import hmac
import time
import uuid
from typing import Any

import httpx
from pydantic_core import to_json

from sipagent.errors import SimulatorError
from sipagent.simulator.call import CallOrder
from sipagent.simulator.orders import DeliverOrder
from sipagent.simulator.refusal import JsonObject

_TIMEOUT = 10.0
_USER_AGENT = "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)"


def incoming_event(order: CallOrder) -> JsonObject:
    """The `realtime.call.incoming` of a call."""
    data: JsonObject = {
        "call_id": order.call_id,
        "sip_headers": [{"name": name, "value": value} for name, value in order.headers],
    }
    if order.media_security is not None:
        data["sip_media_security"] = order.media_security
    return {
        "object": "event",
        "id": order.event_id,
        "type": "realtime.call.incoming",
        "created_at": order.created_at,
        "data": data,
    }


def sign(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The Standard Webhooks signature, keyed as the openai SDK keys it."""
    prefix = "whsec_"
    key = (
        base64.b64decode(secret.removeprefix(prefix))
        if secret.startswith(prefix)
        else secret.encode()
    )
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def webhook_headers(
    secret: str, webhook_id: str, body: bytes, options: DeliverOrder
) -> dict[str, str]:
    """The headers of one delivery; the timestamp is that of the attempt."""
    timestamp = int(time.time()) if options.timestamp is None else options.timestamp
    signature = options.signature or sign(options.secret or secret, webhook_id, timestamp, body)
    return {
        "user-agent": _USER_AGENT,
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
        **options.headers,
    }


class Deliverer:
    """Posts webhooks. `secret` signs them; `deliver_to` is where they go by default."""

    def __init__(self, secret: str, deliver_to: str | None) -> None:
        self.secret = secret
        self.deliver_to = deliver_to
        self._client: httpx.AsyncClient | None = None

    async def deliver(self, event: JsonObject, webhook_id: str, options: DeliverOrder) -> Any:
        """What came of it: `{"status": 200, ...}`, or `{"status": null, "error": ...}`.

        Raises:
            SimulatorError: there is nowhere to deliver to.
        """
        url = options.deliver_to or self.deliver_to
        if url is None:
            raise SimulatorError("deliver_to: nowhere to deliver to (serve --deliver-to URL)")
        webhook_id = f"wh_{uuid.uuid4().hex}" if options.fresh else webhook_id
        webhook_id = options.webhook_id or webhook_id
        body = to_json(event)
        headers = webhook_headers(self.secret, webhook_id, body, options)
        started = time.monotonic()
        outcome: JsonObject
        try:
            response = await self._http().post(url, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            outcome = {"status": None, "error": f"{type(error).__name__}: {error}".rstrip(": ")}
        else:
            outcome = {"status": response.status_code}
        return {
            **outcome,
            "webhook_id": webhook_id,
            "seconds": round(time.monotonic() - started, 4),
        }

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=_TIMEOUT,
                trust_env=False,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            )
        return self._client
