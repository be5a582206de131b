"""Nouns as rows: aliases by which carriers name calls, and text that every database takes."""

import pytest

from sipagent.model import AccountName, CallId, IncomingCall, WebhookId
from sipagent.sip import Headers, Invite
from sipagent.store.rows import COLUMNS, MOST_ALIASES, RowKind, alias_rows, clean, clipped
from sipagent.store.sinks import is_refusal
from sipagent.store.statements import statements


def aliases(*headers: tuple[str, str]) -> list[tuple[str, str]]:
    call = IncomingCall(
        CallId("rtc_1"),
        WebhookId("wh_1"),
        AccountName("default"),
        Invite(),
        headers=Headers.from_json([{"name": name, "value": value} for name, value in headers]),
    )
    return [(alias, header) for alias, _, header in alias_rows(call)]


ALIASES = {
    "SIP": (("Call-ID", "a84b4c76e66710@pc33.example"), "a84b4c76e66710@pc33.example"),
    "SIP, compact": (("i", "f81d4fae@pc33"), "f81d4fae@pc33"),
    "RFC 7989": (
        ("Session-ID", "ab30317f1a784dc48ff824d0d3715d86;remote=0"),
        "ab30317f1a784dc48ff824d0d3715d86",
    ),
    "Twilio": (("X-Twilio-CallSid", "CA0123"), "CA0123"),
    "Telnyx leg": (("X-call_leg_id", "428c31b6"), "428c31b6"),
    "Telnyx session": (("X-call_session_id", "428c31b7"), "428c31b7"),
    "Telnyx control": (("X-Telnyx-Call-Control-ID", "v3:x"), "v3:x"),
    "Plivo": (("X-PH-CallUUID", "f0"), "f0"),
    "Genesys": (("x-inin-cnv", "c0ffee"), "c0ffee"),
    "another": (("X-Acme-Call-Id", "7"), "7"),
}


@pytest.mark.parametrize(("header", "alias"), ALIASES.values(), ids=ALIASES)
def test_a_carriers_name_of_a_call_is_an_alias(header: tuple[str, str], alias: str) -> None:
    assert [found for found, _ in aliases(header)] == [alias]


@pytest.mark.parametrize(
    "header",
    [
        ("X-Twilio-AccountSid", "AC1"),
        ("X-Number", "+17134810111"),
        ("To", "<sip:+17134810111@x>"),
        ("X-Called-Number", "+17134810111"),
        ("X-VoiceConnector-ID", "vc"),
        ("Call-ID", "  "),
        ("Call-ID", "x" * 257),
        ("X-Recall-Idea", "1"),
    ],
    ids=str,
)
def test_other_headers_are_none(header: tuple[str, str]) -> None:
    assert aliases(header) == []


def test_a_caller_cannot_make_many_aliases() -> None:
    headers = [(f"X-A{number}-Call-Id", f"id{number}") for number in range(50)]

    assert len(aliases(*headers)) == MOST_ALIASES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("¿Sí?", "¿Sí?"),
        ("a\0b", "ab"),
        ("\ud83d\ude00", "\ufffd" * 6),
        ("x\udfff", "x\ufffd\ufffd\ufffd"),
        ("\0\ud800", "\ufffd\ufffd\ufffd"),
    ],
    ids=ascii,
)
def test_text_is_what_every_database_takes(text: str, expected: str) -> None:
    assert clean(text) == expected
    assert clean(text).encode().count(0) == 0
    assert clipped(text, 2) == expected[:2]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_every_kind_of_row_has_a_statement_with_its_columns(dialect: str) -> None:
    sql = statements(dialect)
    mark = "?" if dialect == "sqlite" else "$"

    assert set(sql) == set(RowKind)
    assert {kind: sql[kind].count(mark) for kind in sql} == {
        kind: len(columns) for kind, columns in COLUMNS.items()
    }


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OverflowError(), True),
        (ValueError(), True),
        (TimeoutError(), False),
        (OSError(28, ""), False),
    ],
    ids=["number too large", "bad value", "no answer", "disk full"],
)
def test_only_a_rows_own_fault_is_a_refusal(error: Exception, expected: bool) -> None:
    assert is_refusal(error) is expected
