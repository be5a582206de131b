"""What to do about a number that leads nowhere."""

import json

from sipagent.sip.untrusted import visible
from sipagent.store.facts import Unrouted
from sipagent.store.numbers import is_hashed
from sipagent.store.why.wording import at, count, plain

AGENT = "AGENT"
"""What stands in a line where the operator must say who answers. No agent can have this name."""


def line_to_paste(dialed: str, agent: str = AGENT) -> str:
    """The line that gives the number to an agent, below `numbers:` of the agents file."""
    return f"  {json.dumps(visible(dialed, 64), ensure_ascii=False)}: {agent}"


def tell_unrouted(one: Unrouted, agent: str = AGENT) -> tuple[str, ...]:
    """The number, the header that carried it and the line to paste. The number is told in full:
    it is to be copied, and nobody's who called."""
    where = f" by trunk {one.trunk}" if one.trunk else ""
    when = f"{count(one.calls, 'call')}{where} on account {one.account}, last at {at(one.last_at)}"
    if one.dialed is None:
        return (f"No header carried a number: {when}.",)
    if is_hashed(one.dialed):
        return (f"A number that is stored hidden leads nowhere: {when}.",)
    header = plain(one.header, numbers=True) if one.header else "unknown"
    return (
        f"{visible(one.dialed, 64)} leads nowhere (header {header}): {when}.",
        line_to_paste(one.dialed, agent),
    )
