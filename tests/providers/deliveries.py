"""Signed deliveries for the tests: the reference libraries' own cases and hostile shapes."""

import base64
import hashlib
import hmac
from dataclasses import dataclass

from sipagent.errors import SignatureError
from sipagent.providers.openai.webhooks import WebhookSecrets, verify

ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
FROM_ARABIC = str.maketrans("٠١٢٣٤٥٦٧٨٩", "0123456789")
FULLWIDTH = {digit: digit + 0xFEE0 for digit in range(ord("0"), ord("9") + 1)}

NOW = 1_750_861_210
BODY = b'{"type": "realtime.call.incoming", "data": {"call_id": "rtc_1"}}'
SECRET = "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c="
OTHER_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRETS = WebhookSecrets([SECRET])

RawHeaders = list[tuple[bytes, bytes]]


def v1(
    message_id: str | bytes = "wh_1",
    timestamp: str | bytes = str(NOW),
    body: bytes = BODY,
    secret: str = SECRET,
) -> str:
    """A signature by the specification's text, written without either library."""

    def raw(part: str | bytes) -> bytes:
        return part if isinstance(part, bytes) else part.encode()

    key = base64.b64decode(secret.removeprefix("whsec_") + "==")
    signed = b".".join((raw(message_id), raw(timestamp), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


GOOD = v1()
BARE = GOOD.removeprefix("v1,")


def headers(
    message_id: str | bytes | None = "wh_1",
    timestamp: str | bytes | None = str(NOW),
    signature: str | bytes | None = GOOD,
) -> RawHeaders:
    named = {
        b"webhook-id": message_id,
        b"webhook-timestamp": timestamp,
        b"webhook-signature": signature,
    }
    return [
        (name, value if isinstance(value, bytes) else value.encode())
        for name, value in named.items()
        if value is not None
    ]


@dataclass(frozen=True)
class Vector:
    label: str
    headers: RawHeaders
    code: str | None
    """None where the delivery is accepted."""
    body: bytes = BODY
    secret: str = SECRET
    now: float = NOW


SW_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SW_BODY = b'{"test": 2432232314}'
SW_AT = 1_614_265_330
SW = Vector(
    "standardwebhooks: its own vector",
    headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        str(SW_AT),
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    None,
    body=SW_BODY,
    secret=SW_SECRET,
    now=SW_AT,
)
OPENAI_BODY = (
    b'{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210,'
    b' "type": "response.completed", "data": {"id": "resp_123"}}'
)
OPENAI = Vector(
    "openai: its own vector",
    headers(
        "wh_685c059ae39c8190af8c71ed1022a24d",
        str(NOW),
        "v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY=",
    ),
    None,
    body=OPENAI_BODY,
)


def signed(message_id: str = "wh_1", timestamp: str = str(NOW), body: bytes = BODY) -> RawHeaders:
    return headers(message_id, timestamp, v1(message_id, timestamp, body))


def signed_at(seconds: int) -> RawHeaders:
    return signed(timestamp=str(NOW + seconds))


def unpadded(secret: str) -> str:
    return secret.rstrip("=")


def key_of(size: int) -> str:
    return "whsec_" + base64.b64encode(bytes(range(size))).decode()


WRONG = v1(body=b"another body")
V1A = "v1a," + base64.b64encode(bytes(64)).decode()


def accepts(raw: RawHeaders, body: bytes, secrets: WebhookSecrets) -> bool:
    try:
        verify(raw, body, secrets)
    except SignatureError:
        return False
    return True


REFERENCE = [
    SW,
    OPENAI,
    Vector("valid", signed(), None),
    Vector("valid, empty body", signed(body=b""), None, body=b""),
    Vector("valid, body is no JSON", signed(body=b"no json"), None, body=b"no json"),
    Vector("valid, body beyond ASCII", signed(body="é".encode()), None, body="é".encode()),
    Vector("missing id", headers(message_id=None), "missing-header"),
    Vector("missing timestamp", headers(timestamp=None), "missing-header"),
    Vector("missing signature", headers(signature=None), "missing-header"),
    Vector("no headers at all", [], "missing-header"),
    Vector("unbranded names only", [(b"svix-id", b"wh_1")], "missing-header"),
    Vector("empty id", headers(message_id=""), "malformed-header"),
    Vector("empty timestamp", headers(timestamp=""), "malformed-header"),
    Vector("empty signature", headers(signature=""), "malformed-header"),
    Vector("timestamp hello", headers(timestamp="hello"), "malformed-header"),
    Vector("wrong signature", headers(signature=WRONG), "no-matching-signature"),
    Vector("signature of another id", headers("wh_2"), "no-matching-signature"),
    Vector("signature of another time", headers(timestamp=str(NOW - 1)), "no-matching-signature"),
    Vector("another secret's", headers(), "no-matching-signature", secret=OTHER_SECRET),
    Vector("another body", headers(), "no-matching-signature", body=BODY + b" "),
    Vector("300 s old", signed_at(-300), None),
    Vector("301 s old", signed_at(-301), "timestamp-out-of-tolerance"),
    Vector("300 s early", signed_at(300), None),
    Vector("301 s early", signed_at(301), "timestamp-out-of-tolerance"),
    Vector("299 s old", signed_at(-299), None),
    Vector("299 s early", signed_at(299), None),
    Vector("300.5 s old", signed_at(-300), "timestamp-out-of-tolerance", now=NOW + 0.5),
    Vector("300.5 s early", signed_at(301), "timestamp-out-of-tolerance", now=NOW + 0.5),
    Vector("an hour old", signed_at(-3600), "timestamp-out-of-tolerance"),
    Vector("a day early", signed_at(86_400), "timestamp-out-of-tolerance"),
    Vector("stale and forged", headers(timestamp="1"), "timestamp-out-of-tolerance"),
    Vector("float timestamp", signed(timestamp=f"{NOW}.5"), "malformed-header"),
    Vector("float timestamp without fraction", signed(timestamp=f"{NOW}.0"), "malformed-header"),
    Vector("timestamp 1.5", signed(timestamp="1.5"), "malformed-header"),
    Vector("negative timestamp", signed(timestamp=f"-{NOW}"), "malformed-header"),
    Vector("timestamp zero", signed(timestamp="0"), "malformed-header"),
    Vector("four signatures, one valid", headers(signature=f"{WRONG} v2,x {V1A} {GOOD}"), None),
    Vector("valid one first", headers(signature=f"{GOOD} {WRONG}"), None),
    Vector("two wrong", headers(signature=f"{WRONG} {WRONG}"), "no-matching-signature"),
    Vector("partial v1,", headers(signature="v1,"), "malformed-header"),
    Vector("partial v1", headers(signature="v1"), "malformed-header"),
    Vector("v2 only", headers(signature="v2," + BARE), "no-matching-signature"),
    Vector("v1a only", headers(signature="v1a," + BARE), "no-matching-signature"),
    Vector("names in capitals", [(k.upper(), v) for k, v in headers()], None),
    Vector("names in title case", [(k.title(), v) for k, v in headers()], None),
    Vector("other headers between", [(b"host", b"x"), *headers(), (b"accept", b"*/*")], None),
    Vector("headers in another order", headers()[::-1], None),
    Vector("sixteen signatures", headers(signature=" ".join([WRONG] * 15 + [GOOD])), None),
    Vector("id of 128", signed("w" * 128), None),
    Vector("id of every allowed kind", signed("aZ09_-"), None),
]

HOSTILE_IDS = {
    "dotted": "wh.1",
    "one that ends in a dot": "wh_1.",
    "of 129": "w" * 129,
    "of 8 KiB": "w" * 8192,
    "blank": " ",
    "with a blank inside": "wh 1",
    "with a blank before": " wh_1",
    "with a blank behind": "wh_1 ",
    "with a tab behind": "wh_1\t",
    "path": "../../files",
    "slash": "wh/1",
    "quote": 'wh"1',
    "template": "{{wh}}",
    "colon": "wh:1",
    "plus": "wh+1",
    "equals": "wh=1",
    "NUL": "wh\x001",
    "newline behind": "wh_1\n",
    "CRLF": "wh\r\n1",
    "latin letter": "whé",
    "fullwidth": "\uff57\uff48_1",
    "bidi": "wh\u202e1",
}
HOSTILE_TIMESTAMPS = {
    "leading zero": f"0{NOW}",
    "plus": f"+{NOW}",
    "blank before": f" {NOW}",
    "blank behind": f"{NOW} ",
    "tab behind": f"{NOW}\t",
    "newline behind": f"{NOW}\n",
    "underscores": "1_750_861_210",
    "exponent": "1.75086121e9",
    "exponent without point": "175086121e1",
    "hex": hex(NOW),
    "nan": "nan",
    "inf": "inf",
    "-inf": "-inf",
    "1e400": "1e400",
    "arabic digits": str(NOW).translate(ARABIC),
    "fullwidth digits": str(NOW).translate(FULLWIDTH),
    "superscript": "²",
    "4,301 digits": "1" * 4301,
    "60,000 digits": "9" * 60_000,
    "12 digits": "1" * 12,
    "two numbers": f"{NOW},{NOW}",
    "a date": "2025-06-25T14:20:10Z",
    "milliseconds with point": f"{NOW}.000",
    "NUL": f"{NOW}\x00",
    "minus zero": "-0",
}
HOSTILE_SIGNATURES: dict[str, str | bytes] = {
    "bare": BARE,
    "bare behind a valid one": f"{GOOD} {BARE}",
    "bare before a valid one": f"{BARE} {GOOD}",
    "no comma": "v1" + BARE,
    "two commas": f"v1,{BARE},",
    "comma-separated list": f"{GOOD},{WRONG}",
    "tab-separated": f"{WRONG}\t{GOOD}",
    "newline-separated": f"{WRONG}\n{GOOD}",
    "two blanks": f"{WRONG}  {GOOD}",
    "blank before": f" {GOOD}",
    "blank behind": f"{GOOD} ",
    "only a blank": " ",
    "only a comma": ",",
    "no version": f",{BARE}",
    "version in capitals, bare body": "V1",
    "version with a sign": f"v-1,{BARE}",
    "no-break space": f"{WRONG}\u00a0{GOOD}".encode(),
    "seventeen": " ".join([WRONG] * 16 + [GOOD]),
    "ten thousand": " ".join([GOOD] * 10_000),
    "one pad missing": GOOD.rstrip("="),
    "one pad too many": GOOD + "=",
    "pads only": "v1,====",
    "four characters": "v1,abcd",
    "five characters": "v1,abcde",
    "not base64": "v1,!!!!",
    "not base64 before a valid one": f"v1,!!!! {GOOD}",
    "short before a valid one": f"v1,abcd {GOOD}",
    "one character": "v1,A",
    "urlsafe alphabet": "v1," + "-_" * 21 + "A=",
    "stray bits": GOOD[:-2] + chr(ord(GOOD[-2]) + 1) + "=",
    "newline inside": GOOD[:10] + "\n" + GOOD[10:],
    "letter beyond ASCII": f"v1,é{BARE}",
    "latin-1 byte": b"v1,\xe9",
    "only é": "é",
    "NUL": f"{GOOD}\x00",
    "fullwidth": "\uff56\uff11," + BARE,
    "60 KiB": "v1," + "A" * 60_000,
    "long one of another version": f"v2,{'A' * 60_000} {GOOD}",
    "quoted": f'"{GOOD}"',
    "hex": "v1," + "00" * 32,
    "JSON": '{"v1": "x"}',
}


def hostile() -> list[Vector]:
    return [
        *(
            Vector(f"id: {label}", signed(text), "malformed-header")
            for label, text in HOSTILE_IDS.items()
        ),
        *(
            Vector(f"timestamp: {label}", signed(timestamp=text), "malformed-header")
            for label, text in HOSTILE_TIMESTAMPS.items()
        ),
        *(
            Vector(f"signature: {label}", headers(signature=text), "malformed-header")
            for label, text in HOSTILE_SIGNATURES.items()
        ),
        *(
            Vector(f"twice: {name.decode()}", [*headers(), (name, value)], "duplicate-header")
            for name, value in headers()
        ),
        *(
            Vector(
                f"twice, in capitals: {name.decode()}", [(name.upper(), value), *headers()], code
            )
            for (name, value), code in zip(headers(), ["duplicate-header"] * 3, strict=True)
        ),
        Vector("id of a raw byte", headers(b"\xff"), "malformed-header"),
        Vector("timestamp of a raw byte", headers(timestamp=b"\xff"), "malformed-header"),
        Vector("names only", [(name, b"") for name, _ in headers()], "malformed-header"),
        Vector("header name of raw bytes", [(b"\xff\x00", b"\xff"), *headers()], None),
        Vector("underscore in the name", [(b"webhook_id", b"x"), *headers()], None),
        Vector("body \\xff", signed(body=b"\xff"), "malformed-body", body=b"\xff"),
        Vector("body cut in a letter", signed(body=b"\xc3"), "malformed-body", body=b"\xc3"),
        Vector("overlong body", signed(body=b"\xc0\x80"), "malformed-body", body=b"\xc0\x80"),
        Vector(
            "surrogate body",
            signed(body=b"\xed\xa0\x80"),
            "malformed-body",
            body=b"\xed\xa0\x80",
        ),
        Vector("UTF-16 body", headers(), "malformed-body", body=BODY.decode().encode("utf-16")),
        Vector("body with NUL", signed(body=b"\x00"), None, body=b"\x00"),
        Vector(
            "body with a byte order mark", signed(body=b"\xef\xbb\xbf1"), None, b"\xef\xbb\xbf1"
        ),
        Vector("100,000 deep", signed(body=b"[" * 100_000), None, body=b"[" * 100_000),
    ]


VECTORS = [*REFERENCE, *hostile()]
