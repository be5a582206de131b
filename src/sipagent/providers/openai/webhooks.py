"""Webhook deliveries: who may send them, and what they say. Pure but for the library's clock.

The signature is decided by `standardwebhooks`. What is checked before it is stricter than either
reference library (standardwebhooks 1.1.0, openai 3.52.0), so that whatever passes here passes
both, and nothing can reach the places where they raise something else than a refusal.
"""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from typing import Any, Final

from standardwebhooks import Webhook, WebhookVerificationError

from sipagent.errors import PayloadError, SignatureError
from sipagent.model import CallId, MediaSecurity, WebhookId, is_call_id
from sipagent.sip import Untrusted

INCOMING_CALL: Final = "realtime.call.incoming"

MOST_SECRETS: Final = 8
MOST_SIGNATURES: Final = 16

_SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # how secrets begin, not one of them
_FEWEST_KEY_BYTES: Final = 16
_MOST_KEY_BYTES: Final = 128

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
# No leading zero: the library signs the number's own text, which "0175..." is not.
_TIMESTAMP: Final = re.compile(r"[1-9][0-9]{0,10}", re.ASCII)
# 32 bytes have exactly one spelling: 43 characters, the last without stray bits, and one "=".
_V1: Final = re.compile(r"v1,[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", re.ASCII)
_OTHER_VERSION: Final = re.compile(r"(?!v1,)[A-Za-z0-9]{1,16},[!-+\--~]{0,512}", re.ASCII)

_LONGEST_TYPE: Final = 64
_LONGEST_INTEGER: Final = 32
_YEAR_10000: Final = 253_402_300_800.0


@dataclass(frozen=True, slots=True, eq=False)
class WebhookSecrets:
    """The secrets that may sign deliveries, all valid at once. They never show in `repr`.

    Raises ValueError for what cannot be a webhook secret; its message names the secret by its
    position only.
    """

    secrets: InitVar[Sequence[str]]
    verifiers: tuple[Webhook, ...] = field(init=False, repr=False)

    def __post_init__(self, secrets: Sequence[str]) -> None:
        keys = dict.fromkeys(_key(text, place) for place, text in enumerate(secrets, start=1))
        if not keys:
            raise ValueError("there is no webhook secret")
        if len(keys) > MOST_SECRETS:
            raise ValueError(f"there are {len(keys)} webhook secrets, more than {MOST_SECRETS}")
        object.__setattr__(self, "verifiers", tuple(Webhook(key) for key in keys))

    @classmethod
    def parse(cls, text: str) -> "WebhookSecrets":
        """The secrets of a text, parted by blanks, line ends or commas."""
        return cls([word for word in re.split(r"[\s,]+", text) if word])

    def __len__(self) -> int:
        return len(self.verifiers)

    def __repr__(self) -> str:
        return f"WebhookSecrets(<{len(self.verifiers)} hidden>)"


@dataclass(frozen=True, slots=True)
class IncomingCallEvent:
    """A call rings. `sip_headers` is any JSON value: `Headers.from_json` takes what is usable.

    `created_at` is None where the event does not say it, or says nothing that is a time.
    """

    call_id: CallId
    created_at: float | None
    sip_headers: object = field(repr=False)
    media_security: MediaSecurity


@dataclass(frozen=True, slots=True)
class OtherEvent:
    """Signed, and nothing that we act on. `type` is printable, and empty where there is none."""

    type: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery that is the provider's word. `sent_at` is when it was signed, in unix seconds by
    the provider's clock: each attempt is signed anew."""

    webhook_id: WebhookId
    sent_at: float


def verify(
    headers: Sequence[tuple[bytes, bytes]], body: bytes, secrets: WebhookSecrets
) -> Delivery:
    """The delivery, if one of the secrets signed it within 300 s of now, either way.

    Takes ASGI's raw headers. Raises SignatureError and nothing else, whatever it is given.
    """
    fields = {
        "webhook-id": _one(headers, "webhook-id"),
        "webhook-timestamp": _one(headers, "webhook-timestamp"),
        "webhook-signature": _one(headers, "webhook-signature"),
    }
    _check_form(fields)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise SignatureError("malformed-body", "The body is not UTF-8.") from None
    for verifier in secrets.verifiers:
        if _signed(verifier, fields, text):
            return Delivery(WebhookId(fields["webhook-id"]), float(fields["webhook-timestamp"]))
    raise SignatureError("no-matching-signature", "No signature matches.")


def parse_event(body: bytes) -> IncomingCallEvent | OtherEvent:
    """What a verified delivery says.

    Raises PayloadError for what is not JSON and for an incoming call without a usable id, and
    nothing else. Signed JSON of another shape is an OtherEvent: a second delivery of it would
    say no more.
    """
    event = _parse_json(body)
    kind = event.get("type") if isinstance(event, dict) else None
    if not isinstance(event, dict) or kind != INCOMING_CALL:
        return OtherEvent(Untrusted(kind).printable(_LONGEST_TYPE) if isinstance(kind, str) else "")
    data = event.get("data")
    call_id = data.get("call_id") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not is_call_id(call_id):
        detail = "data.call_id is not 1 to 128 characters of A-Z, a-z, 0-9, _ and -."
        raise PayloadError("invalid-call-id", detail)
    return IncomingCallEvent(
        call_id=call_id,
        created_at=_unix_time(event.get("created_at")),
        sip_headers=data.get("sip_headers"),
        media_security=_media_security(data.get("sip_media_security")),
    )


def _key(secret: str, place: int) -> bytes:
    """The key that a `whsec_` secret stands for; its base64 may come without padding."""
    name = f"webhook secret {place}"
    if not secret.startswith(_SECRET_PREFIX):
        raise ValueError(f"{name} does not begin with {_SECRET_PREFIX}")
    encoded = secret.removeprefix(_SECRET_PREFIX)
    padded = encoded if encoded.endswith("=") else encoded + "=" * (-len(encoded) % 4)
    try:
        key = base64.b64decode(padded.encode("ascii"), validate=True)
    except ValueError:  # binascii.Error and UnicodeEncodeError are such; both quote their input
        raise ValueError(f"{name} is not base64 after {_SECRET_PREFIX}") from None
    if not _FEWEST_KEY_BYTES <= len(key) <= _MOST_KEY_BYTES:
        size = f"{len(key)} bytes, not {_FEWEST_KEY_BYTES} to {_MOST_KEY_BYTES}"
        raise ValueError(f"{name} has {size}")
    return key


def _one(headers: Sequence[tuple[bytes, bytes]], name: str) -> str:
    """The value of a header that must occur once; bytes beyond ASCII become U+FFFD."""
    wanted = name.encode()
    values = [value for key, value in headers if key.lower() == wanted]
    if not values:
        raise SignatureError("missing-header", f"The {name} header is missing.")
    if len(values) > 1:
        raise SignatureError("duplicate-header", f"The {name} header occurs more than once.")
    return values[0].decode("ascii", "replace")


def _check_form(fields: dict[str, str]) -> None:
    if not _ID.fullmatch(fields["webhook-id"]):
        raise _malformed("webhook-id", "1 to 128 characters of A-Z, a-z, 0-9, _ and -")
    if not _TIMESTAMP.fullmatch(fields["webhook-timestamp"]):
        raise _malformed("webhook-timestamp", "a whole number of unix seconds")
    signatures = fields["webhook-signature"].split(" ", MOST_SIGNATURES)
    if len(signatures) > MOST_SIGNATURES or not all(
        _V1.fullmatch(one) or _OTHER_VERSION.fullmatch(one) for one in signatures
    ):
        shape = f"1 to {MOST_SIGNATURES} signatures such as v1,<base64>, parted by single spaces"
        raise _malformed("webhook-signature", shape)


def _malformed(name: str, shape: str) -> SignatureError:
    return SignatureError("malformed-header", f"The {name} header is not {shape}.")


def _signed(verifier: Webhook, fields: dict[str, str], text: str) -> bool:
    """Whether the library says so. Raises SignatureError for a time out of its tolerance."""
    try:
        verifier.verify(text, fields, json_parse=False)
    except WebhookVerificationError as refusal:
        if str(refusal).startswith("Message timestamp too"):
            detail = "The webhook-timestamp is more than 300 s from now."
            raise SignatureError("timestamp-out-of-tolerance", detail) from None
        return False
    except ValueError:  # nothing that passed the checks is known to lead here
        return False
    return True


def _parse_json(body: bytes) -> object:
    try:
        return json.loads(
            body.decode("utf-8"), parse_int=_number, object_pairs_hook=_object_of_unique_keys
        )
    except (ValueError, RecursionError):
        raise PayloadError("invalid-json", "The body is not usable JSON.") from None


def _number(digits: str) -> int | float:
    """An integer; one of absurd length as a float, for Python refuses to read it."""
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _object_of_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Of a key that occurs twice nobody can say which one was meant."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _unix_time(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    seconds = float(value)
    return seconds if 0 <= seconds < _YEAR_10000 else None  # NaN is in no range


def _media_security(value: object) -> MediaSecurity:
    if not isinstance(value, str):
        return MediaSecurity.UNKNOWN
    try:
        return MediaSecurity(value)
    except ValueError:
        return MediaSecurity.UNKNOWN
