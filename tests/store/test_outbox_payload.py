"""What events tell: as docs/webhooks.md shows it, and no more."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import time_machine
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from sipagent.model import EventType
from sipagent.outbox.courier import signed
from sipagent.outbox.payload import LARGEST_TRANSCRIPT, payload
from sipagent.outbox.schedule import GIVEN_UP_AFTER, PAUSES
from sipagent.providers.openai.webhooks import WebhookSecrets
from sipagent.store.facts import StoredTurn
from sipagent.store.outbox import Material, OutboxEvent
from sipagent.store.reading.rows import call_row
from sipagent.store.summaries import Made
from tests.store.couriers import SECRETS
from tests.store.kept import BEGAN, a_call

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "webhooks.md").read_text("utf-8")
CALL = call_row(a_call("rtc_u1_9c6574da8b8a41a18da9308f4ad974ce"))

OWN: dict[EventType, dict[str, Any]] = {
    EventType.TOOL_CALLED: {
        "id": "call_7Yq",
        "name": "order_status",
        "status": "done",
        "detail": None,
        "began": 21.4,
        "ended": 21.9,
    },
    EventType.TRANSFER_FAILED: {
        "number": 1,
        "destination": "front_desk",
        "outcome": "not_taken",
        "answer": "done",
    },
    EventType.BUDGET_WARNING: {
        "scope": "tenant",
        "name": "acme",
        "period": "month",
        "label": "2026-09",
        "share": 0.8,
        "limit": 4_000_000_000,
        "spent": False,
    },
    EventType.CONFIG_STALE: {
        "config_hash": "c65a4c01b87f",
        "findings": ["config/tenants/acme/tenant.yaml:7:5: agents.store: unknown key"],
        "more": 0,
    },
}
WITHOUT_CALL = (EventType.BUDGET_WARNING, EventType.CONFIG_STALE)


def material(type_: EventType) -> Material:
    """An event as the outbox has it, with what it is about."""
    of_call = type_ not in WITHOUT_CALL
    event = OutboxEvent(
        id="evt_0b1fd3b1e5f4f9b0f7a6c8d9e0a1b2c3",
        endpoint="crm",
        tenant="acme",
        type=type_.value,
        call_id=CALL.call_id if of_call else None,
        subject="call_8Zr" if type_ is EventType.MESSAGE_TAKEN else None,
        at=BEGAN + (1 if type_ is EventType.CALL_STARTED else 60),
        state="pending",
        since=BEGAN,
        next_at=BEGAN,
        attempts=0,
        tried_at=None,
        ended_at=None,
        answer=None,
        data=json.dumps(OWN.get(type_, {})),
    )
    return Material(
        event,
        CALL if of_call else None,
        fields={"name": "Ann", "message": "Please call me back about order 4711."},
        destination="front_desk",
        made=Made("Ann asked for order 4711, and wants to be called back.", {"order": "4711"}),
    )


def shown() -> dict[str, Any]:
    """The payloads of the page by their type."""
    blocks = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    payloads = [json.loads(block) for block in blocks]
    return {each["type"]: each for each in payloads}


@pytest.mark.parametrize("type_", EventType)
def test_the_page_shows_what_is_sent(type_: EventType) -> None:
    body = payload(material(type_))
    assert body is not None
    assert json.loads(body) == shown()[type_]
    assert f"`{type_}`" in PAGE


def test_the_page_tells_the_pauses() -> None:
    assert PAUSES == (5, 30, 120, 600, 3600, 21600)
    assert "5 seconds, 30 seconds, 2 minutes, 10 minutes, an hour" in " ".join(PAGE.split())
    assert GIVEN_UP_AFTER == 72 * 3600
    assert "72 hours" in PAGE


def test_the_code_of_the_page_verifies(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.setenv("SIPAGENT_WEBHOOK_SECRET", SECRETS[1])
    names: dict[str, Any] = {}
    exec(compile(code, "docs/webhooks.md", "exec"), names)  # noqa: S102  # that is what it is for
    body = payload(material(EventType.CALL_ENDED))
    assert body is not None
    headers = signed("evt_1", body, WebhookSecrets(SECRETS), BEGAN)
    with time_machine.travel(BEGAN):
        assert names["received"](body.encode(), headers) == json.loads(body)["data"]
        assert names["received"](body.encode(), headers) is None  # it has been received before
        with pytest.raises(WebhookVerificationError):
            names["received"](body.replace("acme", "beta").encode(), headers)
    with time_machine.travel(BEGAN + 600), pytest.raises(WebhookVerificationError):
        Webhook(SECRETS[0]).verify(body, headers)


@pytest.mark.parametrize("type_", [type_ for type_ in EventType if type_ not in WITHOUT_CALL])
def test_of_a_call_that_is_gone_nothing_is_told(type_: EventType) -> None:
    assert payload(replace(material(type_), call=None)) is None


def test_of_a_message_that_is_gone_nothing_is_told() -> None:
    assert payload(replace(material(EventType.MESSAGE_TAKEN), fields=None)) is None


def test_of_what_was_made_and_is_gone_nothing_is_told() -> None:
    assert payload(replace(material(EventType.CALL_SUMMARISED), made=None)) is None


def turns(*texts: str | None) -> tuple[StoredTurn, ...]:
    return tuple(
        StoredTurn(at, BEGAN + at, "caller", text, interrupted=False)
        for at, text in enumerate(texts)
    )


def told(some: tuple[StoredTurn, ...]) -> dict[str, Any]:
    body = payload(replace(material(EventType.CALL_ENDED), turns=some))
    assert body is not None
    data: dict[str, Any] = json.loads(body)["data"]
    return data


def test_a_transcript_is_bounded() -> None:
    assert "transcript" not in told(())
    short = told(turns("Hello.", None))
    assert [turn["text"] for turn in short["transcript"]] == ["Hello.", None]
    assert short["transcript_complete"] is True
    assert told(turns("Hello."))["transcript_complete"] is False  # of the call's two turns
    long = told(turns(*("\N{GRINNING FACE}\n" * 20_000 for _ in range(8))))
    assert len(long["transcript"]) == LARGEST_TRANSCRIPT // (6 * 20_000) == 4
    assert long["transcript_complete"] is False


def test_an_end_that_is_not_stored_yet_is_not_told() -> None:
    live = replace(CALL, outcome=None, ended_at=None)
    assert payload(replace(material(EventType.CALL_ENDED), call=live)) is None
    assert payload(replace(material(EventType.CALL_STARTED), call=live)) is not None
