"""What a verified delivery says: every body is an event or a PayloadError."""

import json
import math
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.errors import PayloadError
from sipagent.model import CallId, MediaSecurity
from sipagent.providers.openai.webhooks import IncomingCallEvent, OtherEvent, parse_event
from sipagent.sip import Headers

SIP_HEADERS = [
    {"name": "From", "value": '"+14067704205" <sip:+14067704205@209.58.144.243>;tag=as6442942c'},
    {"name": "To", "value": "sip:proj_XnGzQBp38qGPqjV5GaYVXVGY@sip.api.openai.com;transport=tls"},
    {"name": "x-number", "value": "17134810111"},
    {"name": "x-number", "value": "17134810112"},
]


def event(data: object = None, **fields: object) -> dict[str, object]:
    whole: dict[str, object] = {
        "object": "event",
        "id": "evt_1",
        "type": "realtime.call.incoming",
        "created_at": 1_759_480_405,
        "data": {"call_id": "rtc_1", "sip_headers": SIP_HEADERS} if data is None else data,
    }
    return whole | fields


def parse(value: object) -> IncomingCallEvent | OtherEvent:
    return parse_event(json.dumps(value).encode())


def incoming(value: object) -> IncomingCallEvent:
    found = parse(value)
    assert isinstance(found, IncomingCallEvent)
    return found


def test_incoming_call_is_read_whole() -> None:
    assert parse(event()) == IncomingCallEvent(
        call_id=CallId("rtc_1"),
        created_at=1_759_480_405.0,
        sip_headers=SIP_HEADERS,
        media_security=MediaSecurity.UNKNOWN,
    )


def test_repeated_sip_headers_keep_their_order() -> None:
    headers = Headers.from_json(incoming(event()).sip_headers)
    assert headers.all("x-number") == ("17134810111", "17134810112")


def test_printed_event_does_not_show_the_caller() -> None:
    assert "14067704205" not in repr(parse(event()))


@pytest.mark.parametrize(
    "call_id", ["rtc_1", "a", "-", "_", "0", "A" * 128, "rtc_u1_9f3-Z", "null", "constructor"]
)
def test_usable_call_id_is_passed_on_unchanged(call_id: str) -> None:
    assert incoming(event({"call_id": call_id})).call_id == call_id


@pytest.mark.parametrize(
    "data",
    [
        {},
        None,
        [],
        "rtc_1",
        5,
        True,
        ["call_id", "rtc_1"],
        [{"call_id": "rtc_1"}],
        {"call_id": None},
        {"call_id": ""},
        {"call_id": 5},
        {"call_id": 5.0},
        {"call_id": True},
        {"call_id": ["rtc_1"]},
        {"call_id": {"id": "rtc_1"}},
        {"call_id": "A" * 129},
        {"call_id": "A" * 60_000},
        {"call_id": "../../files"},
        {"call_id": ".."},
        {"call_id": "rtc_1/accept"},
        {"call_id": "rtc_1?x=1"},
        {"call_id": "rtc_1#"},
        {"call_id": "rtc%5f1"},
        {"call_id": "rtc 1"},
        {"call_id": " rtc_1"},
        {"call_id": "rtc_1\n"},
        {"call_id": "rtc_1\r\nX: y"},
        {"call_id": "rtc_1\x00"},
        {"call_id": "rtc.1"},
        {"call_id": "rtc:1"},
        {"call_id": "rtc@1"},
        {"call_id": "rtcé"},
        {"call_id": "rtc_\u0661"},
        {"call_id": "rtc_\uff11"},
        {"call_id": "rtc_\u202e1"},
        {"call_id": "\ud800"},
        {"call_id": "{{ rtc }}"},
        {"callId": "rtc_1"},
        {"CALL_ID": "rtc_1"},
        {"session_id": "live_1"},
    ],
    ids=repr,
)
def test_unusable_call_id_is_refused(data: object) -> None:
    body = json.dumps(event() | {"data": data}).encode()
    with pytest.raises(PayloadError) as caught:
        parse_event(body)
    assert caught.value.code == "invalid-call-id"
    assert "rtc" not in str(caught.value)


def test_missing_data_is_refused() -> None:
    whole = event()
    del whole["data"]
    with pytest.raises(PayloadError) as caught:
        parse(whole)
    assert caught.value.code == "invalid-call-id"


@pytest.mark.parametrize(
    ("created_at", "expected"),
    [
        ("1759480405", 1_759_480_405.0),
        ("1759480405.5", 1_759_480_405.5),
        ("1.759480405e9", 1_759_480_405.0),
        ("0", 0.0),
        ("-0.0", 0.0),
        ("253402300799", 253_402_300_799.0),
        ("253402300800", None),
        ("1759480405000", None),
        ("-1", None),
        ("-1e-9", None),
        ("1e999", None),
        ("-1e999", None),
        ("NaN", None),
        ("Infinity", None),
        ("-Infinity", None),
        ("9" * 33, None),
        ("9" * 400, None),
        ("9" * 5000, None),
        ("-" + "9" * 5000, None),
        ("null", None),
        ("true", None),
        ("false", None),
        ('"1759480405"', None),
        ('"2025-10-03T08:33:25Z"', None),
        ("[1759480405]", None),
        ('{"seconds": 1759480405}', None),
    ],
)
def test_created_at_is_a_time_or_nothing(created_at: str, expected: float | None) -> None:
    text = json.dumps(event(created_at="@")).replace('"@"', created_at)
    found = parse_event(text.encode())
    assert isinstance(found, IncomingCallEvent)
    assert found.created_at == expected
    assert found.created_at is None or math.isfinite(found.created_at)


def test_created_at_may_be_missing() -> None:
    whole = event()
    del whole["created_at"]
    assert incoming(whole).created_at is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("rtp", MediaSecurity.RTP),
        ("srtp", MediaSecurity.SRTP),
        ("unknown", MediaSecurity.UNKNOWN),
        ("zrtp", MediaSecurity.UNKNOWN),
        ("SRTP", MediaSecurity.UNKNOWN),
        ("", MediaSecurity.UNKNOWN),
        (None, MediaSecurity.UNKNOWN),
        (1, MediaSecurity.UNKNOWN),
        (["srtp"], MediaSecurity.UNKNOWN),
        ({"srtp": 1}, MediaSecurity.UNKNOWN),
    ],
)
def test_media_security_is_known_or_unknown(value: object, expected: MediaSecurity) -> None:
    found = incoming(event({"call_id": "rtc_1", "sip_media_security": value}))
    assert found.media_security is expected


@pytest.mark.parametrize(
    "sip_headers",
    [None, 5, "From: x", {}, {"name": "From"}, [], [None], [[]], [{"name": 1}], [{"value": "x"}]],
    ids=repr,
)
def test_unusable_sip_headers_are_no_error(sip_headers: object) -> None:
    found = incoming(event({"call_id": "rtc_1", "sip_headers": sip_headers}))
    assert found.sip_headers == sip_headers
    assert len(Headers.from_json(found.sip_headers)) == 0


def test_missing_sip_headers_are_no_error() -> None:
    assert incoming(event({"call_id": "rtc_1"})).sip_headers is None


def test_lone_surrogates_in_sip_headers_are_passed_on() -> None:
    pair = {"name": "From", "value": "\ud800<sip:a@b>"}
    assert incoming(event({"call_id": "rtc_1", "sip_headers": [pair]})).sip_headers == [pair]


def test_unknown_fields_are_ignored() -> None:
    found = incoming(event({"call_id": "rtc_1", "new": {"deep": [1]}}, livemode=True))
    assert found.call_id == "rtc_1"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (event(type="response.completed"), "response.completed"),
        (event(type="live.call.incoming"), "live.call.incoming"),
        (event(type="live.transport.incoming"), "live.transport.incoming"),
        (event(type="realtime.call.ended"), "realtime.call.ended"),
        (event(type="Realtime.Call.Incoming"), "Realtime.Call.Incoming"),
        (event(type="realtime.call.incoming "), "realtime.call.incoming "),
        (event(type="realtime.call.incoming\x00"), "realtime.call.incoming"),
        (event(type="\u200brealtime.call.incoming"), "realtime.call.incoming"),
        (event(type="a\r\nb\x1b[2J\u202ec\ud800"), "ab[2Jc"),
        (event(type="x" * 60_000), "x" * 64),
        (event(type=""), ""),
        (event(type=None), ""),
        (event(type=5), ""),
        (event(type=["realtime.call.incoming"]), ""),
        ({"data": {"call_id": "rtc_1"}}, ""),
        ({}, ""),
        ([], ""),
        ([event()], ""),
        (None, ""),
        (True, ""),
        (5, ""),
        (1e308, ""),
        ("realtime.call.incoming", ""),
    ],
)
def test_everything_else_is_another_event(value: object, kind: str) -> None:
    assert parse(value) == OtherEvent(kind)


@pytest.mark.parametrize("body", [b"NaN", b"Infinity", b"1e999", b"9" * 60_000, b" null\r\n"])
def test_odd_scalars_are_another_event(body: bytes) -> None:
    assert parse_event(body) == OtherEvent("")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"\x00",
        b"no json",
        b"{",
        b"}",
        b'{"type": "realtime.call.incoming"',
        b'{"type": "realtime.call.incoming",}',
        b"{'type': 'realtime.call.incoming'}",
        b"{type: 1}",
        b'{"type" "x"}',
        b"{} {}",
        b"{}{}",
        b"{}\x00",
        b"[1,]",
        b"01",
        b"+1",
        b".5",
        b"0x10",
        b"nul",
        b'"',
        b'"\\u12"',
        b'"\\x41"',
        b'"a\nb"',
        b"// c\n{}",
        b"\xef\xbb\xbf{}",
        b"\xff",
        b'{"type": "\xff"}',
        b'{"type": "\xc3"}',
        b'{"type": "\xed\xa0\x80"}',
        '{"type": "x"}'.encode("utf-16"),
        '{"type": "x"}'.encode("utf-32"),
        b"\x1f\x8b\x08\x00",
        b"[" * 60_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"a":' * 10_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"type": "x", "type": "realtime.call.incoming"}',
        b'{"type": "realtime.call.incoming", "data": {"call_id": "rtc_1", "call_id": "rtc_2"}}',
        b'{"type": "realtime.call.incoming", "\\u0074ype": "x", "data": {"call_id": "rtc_1"}}',
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadError) as caught:
        parse_event(body)
    assert caught.value.code == "invalid-json"
    assert str(caught.value) == "The body is not usable JSON."
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("depth", [10, 500, 900, 1000, 5000, 20_000])
def test_deep_sip_headers_never_crash(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    whole = b'{"type": "realtime.call.incoming", "data": {"call_id": "rtc_1", "sip_headers": %b}}'
    assert_usable(whole % deep)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "data", "call_id", "created_at", "sip_headers"]) | st.text(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
EVENTS = st.fixed_dictionaries(
    {"type": st.just("realtime.call.incoming") | st.text(max_size=80)},
    optional={
        "data": st.fixed_dictionaries(
            {"call_id": st.from_regex(r"[A-Za-z0-9_-]{1,4}", fullmatch=True) | JSON},
            optional={"sip_headers": JSON, "sip_media_security": JSON},
        )
        | JSON,
        "created_at": JSON,
    },
)


def outcome(body: bytes) -> IncomingCallEvent | OtherEvent | PayloadError:
    try:
        return parse_event(body)
    except PayloadError as refusal:
        return refusal


def assert_usable(body: bytes) -> None:
    found = outcome(body)
    if isinstance(found, PayloadError):
        assert found.code in {"invalid-json", "invalid-call-id"}
    elif isinstance(found, OtherEvent):
        assert len(found.type) <= 64
        assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs"} for c in found.type)
    else:
        assert 1 <= len(found.call_id) <= 128
        assert found.created_at is None or found.created_at >= 0
        assert repr(found)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(EVENTS | JSON)
def test_any_json_is_an_event_or_a_payload_error(value: Any) -> None:
    assert_usable(json.dumps(value).encode())


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 200))
def test_any_bytes_are_an_event_or_a_payload_error(noise: bytes, start: int, length: int) -> None:
    body = json.dumps(event()).encode()
    assert_usable(noise)
    assert_usable(body[:start] + noise + body[start + length :])
