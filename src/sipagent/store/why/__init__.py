"""Why a call went as it went, in plain sentences. Pure: facts in, sentences out.

*Told*: one call. *Span*: all that ended within a time. *Incident*: calls of several tenants that
failed or were cut off within moments, which have one cause. *Sharing*: what failed calls have in
common and others not.
Texts of callers, carriers and providers are printed without what could move a terminal's cursor.
"""

from sipagent.store.why.call import Told, tell
from sipagent.store.why.span import Incident, Sharing, SpanTold, incidents, shares, tell_span
from sipagent.store.why.unrouted import AGENT, line_to_paste, tell_unrouted

__all__ = [
    "AGENT",
    "Incident",
    "Sharing",
    "SpanTold",
    "Told",
    "incidents",
    "line_to_paste",
    "shares",
    "tell",
    "tell_span",
    "tell_unrouted",
]
