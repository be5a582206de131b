"""What a tenant's entry says of privacy, as the service keeps to it."""

from typing import Any

from sipagent.config.schema.base import given
from sipagent.config.schema.operations import Privacy as Written
from sipagent.config.spaces import Space
from sipagent.model import PRIVACY, Privacy, Redaction
from sipagent.model.privacy import DAY


def privacy_of(space: Space) -> Privacy:
    """The tenant's privacy; words are never kept longer than the records they belong to."""
    written: Written | None = None if space.entry is None else given(space.entry.privacy)
    if written is None:
        return PRIVACY
    records = _seconds(given(written.records))
    transcripts = _seconds(given(written.transcripts)) or PRIVACY.transcripts
    redact = given(written.redact)
    return Privacy(
        transcripts=transcripts if records is None else min(transcripts, records),
        records=records,
        hmac=written.numbers_at_rest == "hmac",
        redact=PRIVACY.redact if redact is None else tuple(sorted(map(Redaction, set(redact)))),
    )


def outlives_records(space: Space) -> bool:
    """Whether the entry keeps words longer than the records that they belong to."""
    written: Written | None = None if space.entry is None else given(space.entry.privacy)
    if written is None:
        return False
    transcripts, records = _seconds(given(written.transcripts)), _seconds(given(written.records))
    return transcripts is not None and records is not None and transcripts > records


def privacy_facts(privacy: Privacy) -> list[Any]:
    """Everything of it that a call could notice, as JSON."""
    return [privacy.transcripts, privacy.records, privacy.hmac, list(privacy.redact)]


def _seconds(days: str | None) -> float | None:
    """Seconds of `30d`."""
    return None if days is None else int(days[:-1]) * DAY
