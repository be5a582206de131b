"""The records, read. Every query takes the tenant whose calls it may see; None is the operator,
who sees all.

*List*: calls, the newest first, page by page. *Messages*: what callers want to have told. *Story*:
everything of one call. *Tail*: what is new. *Day*: sums of one tenant's day in its zone.
*Unrouted*: a number that leads nowhere. *Survey*: what the calls of a span have in common. *Waits*:
how long callers waited. *Agents*: what the calls of several came to, side by side.
"""

from sipagent.store.facts import (
    CallRow,
    Closed,
    Failure,
    Group,
    Moment,
    StoredAlias,
    StoredHappening,
    StoredMessage,
    StoredToolCall,
    StoredTransfer,
    StoredTurn,
    StoredUsage,
    Story,
    Survey,
    ToolCount,
    Traits,
    Unrouted,
)
from sipagent.store.reading.agents import AgentSums, sums_by_agent
from sipagent.store.reading.lastcalls import LastCall, last_calls
from sipagent.store.reading.listing import (
    MOST_CALLS,
    MOST_NEW,
    CallFilter,
    Cursor,
    Page,
    count_calls,
    decided_since,
    ended_since,
    list_calls,
    outcomes_of,
)
from sipagent.store.reading.messages import MessageRow, find_messages, list_messages
from sipagent.store.reading.rollup import Day, Span, daily, spans_of, tenants_of
from sipagent.store.reading.search import LONGEST_SEARCH, Hit, search_turns
from sipagent.store.reading.spent import spent_in
from sipagent.store.reading.story import find_calls, read_call, read_stories, read_story
from sipagent.store.reading.survey import survey
from sipagent.store.reading.unrouted import unrouted_numbers
from sipagent.store.reading.waits import Wait, Waits, waits

__all__ = [
    "LONGEST_SEARCH",
    "MOST_CALLS",
    "MOST_NEW",
    "AgentSums",
    "CallFilter",
    "CallRow",
    "Closed",
    "Cursor",
    "Day",
    "Failure",
    "Group",
    "Hit",
    "LastCall",
    "MessageRow",
    "Moment",
    "Page",
    "Span",
    "StoredAlias",
    "StoredHappening",
    "StoredMessage",
    "StoredToolCall",
    "StoredTransfer",
    "StoredTurn",
    "StoredUsage",
    "Story",
    "Survey",
    "ToolCount",
    "Traits",
    "Unrouted",
    "Wait",
    "Waits",
    "count_calls",
    "daily",
    "decided_since",
    "ended_since",
    "find_calls",
    "find_messages",
    "last_calls",
    "list_calls",
    "list_messages",
    "outcomes_of",
    "read_call",
    "read_stories",
    "read_story",
    "search_turns",
    "spans_of",
    "spent_in",
    "sums_by_agent",
    "survey",
    "tenants_of",
    "unrouted_numbers",
    "waits",
]
