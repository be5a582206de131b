"""What of a tenant's calls is kept, how long, and in which form."""

from dataclasses import dataclass
from typing import Final

from sipagent.model.plan import Redaction

DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Privacy:
    """One tenant's wishes.

    `transcripts` are the seconds for which words are kept, `records` those for which anything of a
    call is; None is for ever. With `hmac` telephone numbers are stored as what nobody can turn back
    into them. `redact` is left out of words before they are stored, shown or sent: all that can
    be, unless the tenant says otherwise.
    """

    transcripts: float = 30 * DAY
    records: float | None = None
    hmac: bool = False
    redact: tuple[Redaction, ...] = tuple(sorted(Redaction))


PRIVACY: Final = Privacy()
"""That of a tenant which says nothing of it."""

OF_FORMER_TENANTS: Final = Privacy(hmac=True)
"""That of a tenant which the file has no more: nobody can say that its numbers may be seen."""
