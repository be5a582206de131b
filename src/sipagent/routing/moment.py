"""The moment of a call, in the zone of the number that was dialed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Moment:
    """`at` in unix seconds; `timezone` is an IANA name, UTC where there is none."""

    at: float
    timezone: str | None = None

    @property
    def local(self) -> datetime:
        """The aware time on the clocks where the number is."""
        return datetime.fromtimestamp(self.at, zone(self.timezone))


@lru_cache(maxsize=600)
def zone(name: str | None) -> ZoneInfo:
    """The zone of this name. Raises ZoneInfoNotFoundError (a KeyError) or ValueError."""
    return ZoneInfo(name or "UTC")


def from_iso(text: str, timezone: str | None) -> float:
    """Unix seconds of an ISO 8601 time; without an offset it is one of this zone.

    Raises ValueError.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=zone(timezone))
    return time.astimezone(UTC).timestamp()
