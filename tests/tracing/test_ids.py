"""Ids of traces follow from the call's, as a shell would make them too."""

import hashlib
import re
from pathlib import Path

from sipagent.model import CallId
from sipagent.model.trace import span_id_of, trace_id_of, traceparent

CALL = CallId("rtc_u0_1")
PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text("utf-8")


def test_a_trace_id_is_what_the_page_says() -> None:
    assert trace_id_of(CALL) == hashlib.sha256(b"rtc_u0_1").hexdigest()[:32]
    assert re.search(r"printf %s \S+ \| sha256sum \| cut -c1-32", PAGE)


def test_spans_have_ids_of_their_own_that_are_the_same_for_all_who_ask() -> None:
    ids = [
        span_id_of(CALL),
        span_id_of(CALL, "tool", "a"),
        span_id_of(CALL, "tool", "b"),
        span_id_of(CALL, "toola"),
        span_id_of(CallId("rtc_u0_2")),
    ]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in ids)
    assert span_id_of(CALL, "tool", "a") == ids[1]


def test_the_header_is_that_of_w3c() -> None:
    header = traceparent(CALL, span_id_of(CALL))
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", header)
