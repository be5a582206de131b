"""Ids of traces (W3C Trace Context). They follow from the id of the call: whoever goes on with it
goes on with its trace, and a line, a record and a trace are found from each other."""

from collections.abc import Callable, Mapping
from hashlib import sha256

from sipagent.model.ids import CallId


def trace_id_of(call_id: CallId) -> str:
    """The id of the call's trace: the first 32 hexadecimal digits of the SHA-256 of its id."""
    return sha256(call_id.encode()).hexdigest()[:32]


def span_id_of(call_id: CallId, *what: str) -> str:
    """The id of a span of the call's trace, 16 hexadecimal digits; that of the call itself if
    nothing says `what` it is."""
    if not what:
        return sha256(call_id.encode()).hexdigest()[32:48]
    return sha256("\0".join((call_id, *what)).encode()).hexdigest()[:16]


def traceparent(call_id: CallId, span_id: str) -> str:
    """The header by which others go on with the call's trace below this span."""
    return f"00-{trace_id_of(call_id)}-{span_id}-01"


TraceHeaders = Callable[[CallId, tuple[str, ...], str], Mapping[str, str]]
"""What a request of a call's to a URL says of its trace, and of the span within which it is made;
`span_id_of` is told the same."""


def untraced(_: CallId, __: tuple[str, ...], ___: str) -> Mapping[str, str]:
    """Nothing."""
    return {}
