"""Who is told a trace: nobody whose host is not named."""

import pytest

from sipagent.model import CallId
from sipagent.model.trace import span_id_of, traceparent
from sipagent.tracing.telling import hosts_of, is_told, trace_headers

CALL = CallId("rtc_1")


@pytest.mark.parametrize(
    ("hosts", "url", "told"),
    [
        ("", "https://crm.example.com/x", False),
        ("crm.example.com", "https://crm.example.com/x", True),
        ("crm.example.com", "https://crm.example.com:8443/x", True),
        ("crm.example.com", "https://CRM.example.com/x", True),
        ("crm.example.com", "https://xcrm.example.com/x", False),
        ("crm.example.com", "https://crm.example.com.evil.test/x", False),
        ("crm.example.com", "https://crm.example.com@evil.test/x", False),
        ("*.example.com", "https://crm.example.com/x", True),
        ("*.example.com", "https://a.crm.example.com/x", True),
        ("*.example.com", "https://example.com/x", False),
        ("*.example.com", "https://evilexample.com/x", False),
        ("a, B.internal", "http://b.internal/x", True),
        ("*", "https://anybody.test/", True),
        ("*", "https://[", False),
        ("*", "no url", False),
    ],
)
def test_only_hosts_that_are_named_are_told(hosts: str, url: str, *, told: bool) -> None:
    assert is_told(url, hosts_of(hosts)) is told


def test_a_call_that_is_not_sampled_is_told_to_nobody() -> None:
    all_of_them = hosts_of("*")
    url = "https://crm.test/{order}"
    assert trace_headers(CALL, (), url, all_of_them, lambda _: False) == {}
    assert trace_headers(CALL, ("tool", "call_1"), url, all_of_them, lambda _: True) == {
        "traceparent": traceparent(CALL, span_id_of(CALL, "tool", "call_1"))
    }
