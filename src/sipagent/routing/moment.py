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


def day_and_month(at: float, timezone: str | None) -> tuple[str, str]:
    """The day and the month on the clocks of this zone, as in `2026-11-28` and `2026-11`."""
    day = datetime.fromtimestamp(at, zone(timezone)).date().isoformat()
    return day, day[:7]


def day_begins(day: str, timezone: str | None) -> float:
    """Unix seconds of the beginning of a day such as `2026-11-28`. Raises ValueError."""
    return datetime.fromisoformat(day).replace(tzinfo=zone(timezone)).timestamp()


def month_span(month: str, timezone: str | None) -> tuple[float, float]:
    """Unix seconds of the beginning of a month such as `2026-11` and of the next one.

    Raises ValueError.
    """
    return day_begins(f"{month}-01", timezone), day_begins(f"{month_after(month)}-01", timezone)


def month_after(month: str, step: int = 1) -> str:
    """The month so many months later. Raises ValueError."""
    year, _, number = month.partition("-")
    index = int(year) * 12 + int(number) - 1 + step
    return f"{index // 12:04}-{index % 12 + 1:02}"


def from_iso(text: str, timezone: str | None) -> float:
    """Unix seconds of an ISO 8601 time; without an offset it is one of this zone.

    Raises ValueError.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=zone(timezone))
    return time.astimezone(UTC).timestamp()
