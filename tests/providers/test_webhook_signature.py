"""Who may send a delivery: the reference libraries' own cases, hostile shapes, rotation."""

import hmac
import pathlib
from collections.abc import Callable

import pytest
import time_machine

from sipagent.errors import SignatureError
from sipagent.providers.openai import webhooks
from sipagent.providers.openai.webhooks import MOST_SECRETS, WebhookSecrets, verify
from tests.providers.deliveries import (
    BODY,
    NOW,
    OTHER_SECRET,
    SECRET,
    SECRETS,
    VECTORS,
    WRONG,
    Vector,
    accepts,
    headers,
    key_of,
    unpadded,
    v1,
)


@pytest.fixture(autouse=True)
def frozen_clock() -> object:
    with time_machine.travel(NOW, tick=False):
        yield


def test_there_are_at_least_150_vectors() -> None:
    assert len(VECTORS) >= 150
    assert len({vector.label for vector in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector.label for vector in VECTORS])
def test_vector(vector: Vector) -> None:
    secrets = WebhookSecrets([vector.secret])
    with time_machine.travel(vector.now, tick=False):
        try:
            found: str | None = verify(vector.headers, vector.body, secrets).webhook_id
            code = None
        except SignatureError as refusal:
            found, code = None, refusal.code
            assert_tells_nothing(refusal, vector)
    assert code == vector.code
    if vector.code is None:
        lowered = {name.lower(): value for name, value in vector.headers}
        assert found == lowered[b"webhook-id"].decode()


def assert_tells_nothing(refusal: SignatureError, vector: Vector) -> None:
    """No secret, body, signature or id in what a log or an answer would show."""
    shown = f"{refusal!r} {refusal} {refusal.args} {refusal.__cause__!r}"
    assert refusal.__cause__ is None
    assert refusal.__suppress_context__ or refusal.__context__ is None
    parts = [value.decode("latin-1") for _, value in vector.headers]
    parts += [vector.secret, vector.secret.removeprefix("whsec_"), vector.body.decode("latin-1")]
    parts += [word.removeprefix("v1,") for part in parts for word in part.split()]
    for part in parts:
        assert len(part) < 6 or part not in shown


@pytest.mark.parametrize("size", [16, 24, 31, 32, 33, 34, 64, 128])
@pytest.mark.parametrize("spelling", [str, unpadded], ids=["padded", "unpadded"])
def test_secret_is_taken_with_and_without_padding(
    size: int, spelling: Callable[[str], str]
) -> None:
    secret = key_of(size)
    secrets = WebhookSecrets([spelling(secret)])
    assert verify(headers(signature=v1(secret=secret)), BODY, secrets).webhook_id == "wh_1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "whsec_=",
        "whsec_====",
        "RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",
        "WHSEC_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",
        "sk-proj-canarycanarycanarycanary",
        "whsec_canarycanarycanary!canary",
        "whsec_canarycanary-canary_canary",
        "whsec_canarycanarycanarycanarycanar=",
        "whsec_canarycanarycanarycanaryc",
        "whsec_canarycanar\nycanarycanary",
        "whsec_canarycanarycanarycanaryé",
        "whsec_canarycanarycanaryc\ud800",
        key_of(15),
        key_of(129),
    ],
)
def test_unusable_secret_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="webhook secret 2 ") as caught:
        WebhookSecrets([SECRET, text])
    assert type(caught.value) is ValueError
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert SECRET.removeprefix("whsec_") not in str(caught.value)


def test_secrets_are_parsed_from_a_file_or_a_variable() -> None:
    secrets = WebhookSecrets.parse(f"\n {SECRET},{OTHER_SECRET}\r\n{SECRET}\n,\n")
    assert len(secrets) == 2
    assert verify(headers(), BODY, secrets).webhook_id == "wh_1"
    assert verify(headers(signature=v1(secret=OTHER_SECRET)), BODY, secrets).webhook_id == "wh_1"


@pytest.mark.parametrize("text", ["", "  \n", ",", " , \n"])
def test_no_secret_at_all_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="there is no webhook secret"):
        WebhookSecrets.parse(text)


def test_at_most_eight_secrets_and_repeats_do_not_count() -> None:
    eight = [key_of(24 + extra) for extra in range(MOST_SECRETS)]
    assert len(WebhookSecrets([*eight, *eight, unpadded(eight[1])])) == MOST_SECRETS
    with pytest.raises(ValueError, match="there are 9 webhook secrets, more than 8"):
        WebhookSecrets([*eight, SECRET])


def test_secrets_never_show_and_do_not_change() -> None:
    assert repr(SECRETS) == str(SECRETS) == f"{SECRETS}" == "WebhookSecrets(<1 hidden>)"
    with pytest.raises(AttributeError):
        SECRETS.verifiers = ()  # type: ignore[misc]


def test_old_secret_is_honoured_until_it_is_removed() -> None:
    by_old, by_new = headers(signature=v1(secret=OTHER_SECRET)), headers()
    before = WebhookSecrets([OTHER_SECRET])
    during = WebhookSecrets([SECRET, OTHER_SECRET])
    after = WebhookSecrets([SECRET])
    accepted = [
        [accepts(delivery, BODY, secrets) for delivery in (by_old, by_new)]
        for secrets in (before, during, after)
    ]
    assert accepted == [[True, False], [True, True], [False, True]]


def test_none_of_a_thousand_deliveries_is_refused_during_a_swap() -> None:
    stages = [[OTHER_SECRET], [OTHER_SECRET, SECRET], [SECRET, OTHER_SECRET], [SECRET]]
    refused = 0
    for number in range(1000):
        stage = number // 250
        signer = stages[stage][number % len(stages[stage])]
        delivery = headers(f"wh_{number}", signature=v1(f"wh_{number}", secret=signer))
        refused += not accepts(delivery, BODY, WebhookSecrets(stages[stage]))
    assert refused == 0


def test_only_the_library_compares_and_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    real = hmac.compare_digest

    def recorded(left: bytes, right: bytes) -> bool:
        compared.append(len(right))
        return real(left, right)

    monkeypatch.setattr(hmac, "compare_digest", recorded)
    with pytest.raises(SignatureError):
        verify(headers(signature=f"{WRONG} {WRONG}"), BODY, SECRETS)
    assert compared == [32, 32]
    source = pathlib.Path(webhooks.__file__).read_text(encoding="utf-8")
    assert "hmac" not in source
    assert "hashlib" not in source
