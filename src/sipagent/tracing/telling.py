"""Which of those whom calls ask get to know the trace, by the header `traceparent`. Pure.

Others can be third parties, and the id would join what they see of a call with what we see: nobody
is told whose host the operator has not named.
"""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from sipagent.model import CallId
from sipagent.model.trace import span_id_of, traceparent

ALL = "*"


def hosts_of(text: str) -> frozenset[str]:
    """The hosts of a setting: `crm.internal,*.example.com`, or `*` for all."""
    return frozenset(one.strip().lower() for one in text.split(",") if one.strip())


def is_told(url: str, hosts: frozenset[str]) -> bool:
    """Whether the host of this URL is one of these."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    if host is None:
        return False
    tails = (host[at:] for at, sign in enumerate(host) if sign == ".")
    return ALL in hosts or host in hosts or any(f"*{tail}" in hosts for tail in tails)


def trace_headers(
    call_id: CallId,
    span: tuple[str, ...],
    url: str,
    hosts: frozenset[str],
    sampled: Callable[[CallId], bool],
) -> Mapping[str, str]:
    """What a request of the call's to this URL says of its trace, made within the span that `span`
    names."""
    if not hosts or not is_told(url, hosts) or not sampled(call_id):
        return {}
    return {"traceparent": traceparent(call_id, span_id_of(call_id, *span))}
