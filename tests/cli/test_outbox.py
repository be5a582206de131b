"""`sipagent outbox`: what was told, what could not be, and telling it again."""

from typing import Any

import pytest

from sipagent.store import tables
from tests.cli.kept import keep
from tests.cli.support import Place
from tests.store.kept import BEGAN


@pytest.fixture(autouse=True)
def _no_other_records(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIPAGENT_DATABASE_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def event(number: int, state: str = "pending", **changes: Any) -> dict[str, Any]:
    row = {
        "id": f"evt_{number}",
        "endpoint": "crm",
        "tenant": "acme",
        "type": "call.ended",
        "call_id": f"rtc_{number}",
        "at": BEGAN + number,
        "data": "{}",
        "state": state,
        "since": BEGAN,
        "next_at": BEGAN + 60,
        "attempts": 3,
        "tried_at": BEGAN + 30,
        "answer": "503",
        "ended_at": None if state == "pending" else BEGAN + 30,
    }
    return row | changes


@pytest.fixture
def kept(place: Place) -> Place:
    keep(
        place,
        event(1),
        event(2, "dead"),
        event(3, "delivered", answer="204"),
        event(4, "dead", tenant="beta"),
        event(2, "dead", endpoint="log"),
        table=tables.outbox,
    )
    return place


def ids(place: Place, *words: str) -> list[tuple[str, str, str]]:
    found = place.json("outbox", "list", *words)
    return [(one["id"], one["webhook"], one["state"]) for one in found]


def test_a_list_is_columns(kept: Place) -> None:
    lines = kept.run("outbox", "list").stdout.splitlines()
    assert lines[0].split() == [
        *("at", "event", "type", "tenant", "webhook", "state", "tries", "answer", "next"),
    ]
    assert [line.split()[3] for line in lines[1:]] == ["evt_4", "evt_3", "evt_2", "evt_2", "evt_1"]
    assert "503" in lines[5]
    assert lines[2].rstrip().endswith("204")


def test_a_list_is_of_what_is_asked_for(kept: Place) -> None:
    assert ids(kept, "--state", "dead", "--tenant", "acme") == [
        ("evt_2", "crm", "dead"),
        ("evt_2", "log", "dead"),
    ]
    assert ids(kept, "--webhook", "log") == [("evt_2", "log", "dead")]
    assert len(ids(kept, "--limit", "2")) == 2
    assert ids(kept, "--tenant", "nobody") == []
    wrong = kept.run("outbox", "list", "--state", "deed")
    assert wrong.exit_code == 2
    assert '"deed" is none of pending, delivered, dead' in wrong.output


def test_one_event_is_sent_again_whatever_became_of_it(kept: Place) -> None:
    done = kept.run("outbox", "replay", "evt_3")
    assert (done.exit_code, done.stdout) == (0, "to be sent again: 1 event\n")
    assert ids(kept, "--state", "delivered") == []
    assert '"replay events"' in (kept.data / "audit.jsonl").read_text("utf-8")


def test_all_of_a_tenant_that_were_given_up_are_sent_again(kept: Place) -> None:
    done = kept.run("outbox", "replay", "--dead", "--tenant", "acme")
    assert done.stdout == "to be sent again: 2 events\n"
    assert ids(kept, "--state", "dead") == [("evt_4", "crm", "dead")]
    again = kept.run("outbox", "replay", "--dead", "--tenant", "acme")
    assert again.exit_code == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), 2),
        (("evt_1", "--dead"), 2),
        (("--dead",), 2),
        (("evt_9",), 1),
        (("evt_1", "--tenant", "beta"), 1),
    ],
)
def test_what_cannot_be_replayed(kept: Place, words: tuple[str, ...], code: int) -> None:
    assert kept.run("outbox", "replay", *words).exit_code == code
