"""Both reference libraries as oracles: we accept nothing that one of them refuses.

What we refuse and both accept is written down in `STRICTER`; nothing else may be.
"""

import base64
import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import openai
import pytest
import standardwebhooks
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipagent.providers.openai.webhooks import WebhookSecrets
from tests.providers.deliveries import (
    ARABIC,
    BARE,
    BODY,
    FROM_ARABIC,
    GOOD,
    HOSTILE_TIMESTAMPS,
    NOW,
    OTHER_SECRET,
    SECRET,
    SECRETS,
    V1A,
    VECTORS,
    WRONG,
    RawHeaders,
    Vector,
    accepts,
    headers,
    signed,
    v1,
)


@pytest.fixture(autouse=True)
def frozen_clock() -> object:
    with time_machine.travel(NOW, tick=False):
        yield


def as_mapping(raw: RawHeaders) -> dict[str, str]:
    """What a lenient framework would hand to a library: the last of repeats, UTF-8 where it is."""

    def text(value: bytes) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")

    return {text(name).lower(): text(value) for name, value in raw}


CLIENT = openai.OpenAI(api_key="sk-unused", webhook_secret="unused")


def openai_accepts(raw: RawHeaders, body: bytes, secret: str) -> bool:
    try:
        CLIENT.webhooks.verify_signature(body, as_mapping(raw), secret=secret)
    except Exception:  # noqa: BLE001  # they raise nearly anything
        return False
    return True


def standardwebhooks_accepts(raw: RawHeaders, body: bytes, secret: str) -> bool:
    try:
        standardwebhooks.Webhook(secret).verify(body, as_mapping(raw), json_parse=False)
    except Exception:  # noqa: BLE001  # they raise nearly anything
        return False
    return True


def value_of(raw: RawHeaders, name: str) -> str:
    return as_mapping(raw).get(name, "")


def is_duplicated(raw: RawHeaders) -> bool:
    names = [name.lower() for name, _ in raw if name.lower().startswith(b"webhook-")]
    return len(names) != len(set(names))


def is_exact_v1(token: str) -> bool:
    value = token.removeprefix("v1,")
    try:
        decoded = base64.b64decode(value, validate=True)
    except ValueError:
        return False
    return len(decoded) == 32 and base64.b64encode(decoded).decode() == value


ID_LETTERS = frozenset(string.ascii_letters + string.digits + "_-")

STRICTER: dict[str, Callable[[RawHeaders], bool]] = {
    "an id that is not 1 to 128 of A-Z a-z 0-9 _ -": lambda raw: (
        not 1 <= len(value_of(raw, "webhook-id")) <= 128
        or not set(value_of(raw, "webhook-id")) <= ID_LETTERS
    ),
    "a timestamp that is not ASCII digits without sign, blank, point or leading zero": lambda raw: (
        not set(value_of(raw, "webhook-timestamp")) <= set(string.digits)
        or value_of(raw, "webhook-timestamp").startswith("0")
    ),
    "more than 16 signatures": lambda raw: len(value_of(raw, "webhook-signature").split()) > 16,
    "a bare signature": lambda raw: any(
        "," not in token for token in value_of(raw, "webhook-signature").split(" ")
    ),
    "a v1 signature that is not 32 bytes in base64's one spelling": lambda raw: any(
        token.startswith("v1,") and not is_exact_v1(token)
        for token in value_of(raw, "webhook-signature").split(" ")
    ),
    "an odd signature of another version": lambda raw: any(
        "," in token
        and not token.startswith("v1,")
        and not (
            token.isascii()
            and token.isprintable()
            and token.split(",")[0].isalnum()
            and len(token) <= 512
        )
        for token in value_of(raw, "webhook-signature").split(" ")
    ),
    "a webhook-* header that occurs twice": is_duplicated,
}
"""Everything that both libraries accept and we refuse. Nothing else may be refused."""


def both_texts(timestamp: str, message_id: str = "wh_1") -> str:
    """One signature of the header's own text for openai, one of the number for the other."""
    return f"{v1(message_id, timestamp)} {v1(message_id, str(int(float(timestamp))))}"


REFUSED_BY_US_ALONE = [
    ("an id that is not 1 to 128 of A-Z a-z 0-9 _ -", signed("wh.1")),
    ("an id that is not 1 to 128 of A-Z a-z 0-9 _ -", signed("w" * 129)),
    ("an id that is not 1 to 128 of A-Z a-z 0-9 _ -", signed("../../files")),
    *(
        (
            "a timestamp that is not ASCII digits without sign, blank, point or leading zero",
            headers(timestamp=text, signature=both_texts(text)),
        )
        for text in (
            HOSTILE_TIMESTAMPS["leading zero"],
            HOSTILE_TIMESTAMPS["plus"],
            HOSTILE_TIMESTAMPS["blank before"],
            HOSTILE_TIMESTAMPS["underscores"],
            HOSTILE_TIMESTAMPS["arabic digits"],
        )
    ),
    ("more than 16 signatures", headers(signature=" ".join([GOOD] * 17))),
    ("a bare signature", headers(signature=f"{GOOD} {BARE}")),
    (
        "a v1 signature that is not 32 bytes in base64's one spelling",
        headers(signature=f"v1,abcd {GOOD}"),
    ),
    ("an odd signature of another version", headers(signature=f"v-1,x {GOOD}")),
    ("a webhook-* header that occurs twice", [*headers(), headers()[0]]),
]


@pytest.mark.parametrize(("reason", "raw"), REFUSED_BY_US_ALONE)
def test_each_stricter_rule_refuses_what_both_libraries_accept(
    reason: str, raw: RawHeaders
) -> None:
    assert openai_accepts(raw, BODY, SECRET)
    assert standardwebhooks_accepts(raw, BODY, SECRET)
    assert not accepts(raw, BODY, SECRETS)
    assert [name for name, holds in STRICTER.items() if holds(raw)] == [reason]


def test_each_stricter_rule_has_an_example() -> None:
    assert {reason for reason, _ in REFUSED_BY_US_ALONE} == set(STRICTER)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.label for vector in VECTORS])
def test_vectors_agree_with_both_libraries(vector: Vector) -> None:
    with time_machine.travel(vector.now, tick=False):
        assert_agrees(vector.headers, vector.body, vector.secret)


def assert_agrees(raw: RawHeaders, body: bytes, secret: str) -> None:
    ours = accepts(raw, body, WebhookSecrets([secret]))
    theirs = openai_accepts(raw, body, secret) and standardwebhooks_accepts(raw, body, secret)
    if ours:
        assert theirs
    elif theirs:
        assert any(holds(raw) for holds in STRICTER.values())


@dataclass(frozen=True)
class Shape:
    """A delivery about to be signed and spoilt."""

    message_id: str
    timestamp: str
    body: bytes
    tokens: tuple[str, ...]
    joint: str


EDGES = [-86_400, -301, -300, -299, -1, 0, 1, 299, 300, 301, 86_400]
ODD = st.text(alphabet="v12,=+/Az-_.é٢ \t\x00", max_size=12)


def spelt(seconds: int, spelling: str) -> str:
    digits = str(NOW + seconds)
    return {
        "plain": digits,
        "zero": f"0{digits}",
        "plus": f"+{digits}",
        "blank": f" {digits}",
        "underscore": f"{digits[0]}_{digits[1:]}",
        "arabic": digits.translate(ARABIC),
        "float": f"{digits}.0",
    }[spelling]


PLAIN_MOSTLY = ["plain"] * 8 + ["zero", "plus", "blank", "underscore", "arabic", "float"]
TIMESTAMPS = st.builds(spelt, st.sampled_from(EDGES), st.sampled_from(PLAIN_MOSTLY)) | ODD
SHAPES = st.builds(
    Shape,
    message_id=st.sampled_from(["wh_1", "wh-2", "w" * 128, "w" * 129, "wh.3", "é"]) | ODD,
    timestamp=TIMESTAMPS,
    body=st.sampled_from([BODY, b"", b"{}", b"\xff", "é".encode()]) | st.binary(max_size=20),
    tokens=st.lists(
        st.sampled_from(
            ["own", "own", "own", "number", "bare", "wrong", "other", "cut", V1A, "v2,"]
        )
        | ODD,
        max_size=18,
    ).map(tuple),
    joint=st.sampled_from([" ", " ", " ", " ", "  ", "\t", ","]),
)


def token_text(kind: str, shape: Shape) -> str:
    own = v1(shape.message_id, shape.timestamp, shape.body)
    number = shape.timestamp.translate(FROM_ARABIC)
    number = number.replace("_", "").removesuffix(".0").lstrip("+0 ")
    named = {
        "own": own,
        "number": v1(shape.message_id, number, shape.body),
        "bare": own.removeprefix("v1,"),
        "wrong": WRONG,
        "other": v1(shape.message_id, shape.timestamp, shape.body, OTHER_SECRET),
        "cut": own[:-1],
    }
    return named.get(kind, kind)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[RawHeaders, bytes]:
    """Mostly one spoilt detail of a signed delivery, sometimes several."""
    shape = draw(SHAPES)
    usual: dict[str, Any] = {
        "message_id": "wh_1",
        "timestamp": str(NOW),
        "body": BODY,
        "tokens": ("own",),
        "joint": " ",
    }
    for name, value in usual.items():
        if draw(st.integers(0, 2)):
            shape = replace(shape, **{name: value})
    tokens = [token_text(token, shape) for token in shape.tokens]
    raw = headers(shape.message_id, shape.timestamp, shape.joint.join(tokens))
    spoil = draw(st.sampled_from(["", "", "", "", "twice", "lost", "capitals", "body"]))
    place = draw(st.integers(0, 2))
    if spoil == "twice":
        raw.append(raw[place])
    elif spoil == "lost":
        del raw[place]
    elif spoil == "capitals":
        raw = [(name.upper(), value) for name, value in raw]
    return raw, shape.body + b" " if spoil == "body" else shape.body


@settings(
    max_examples=10_000,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(deliveries())
def test_what_we_accept_both_libraries_accept(delivery: tuple[RawHeaders, bytes]) -> None:
    raw, body = delivery
    assert_agrees(raw, body, SECRET)


@settings(
    max_examples=500,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"webhook-id", b"Webhook-Timestamp", b"webhook-signature"])
            | st.binary(max_size=8),
            st.sampled_from([b"wh_1", str(NOW).encode(), GOOD.encode()]) | st.binary(max_size=40),
        ),
        max_size=6,
    ),
    st.binary(max_size=40),
)
def test_any_bytes_are_refused_as_a_signature_error(raw: RawHeaders, body: bytes) -> None:
    assert not accepts(raw, body, SECRETS)
