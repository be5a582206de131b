"""What a page of usage draws, made of sums and waits. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sipagent.api.console.charts import Chart, Kind, Series
from sipagent.model import Kind as Ending
from sipagent.store.reading import Day, Waits
from sipagent.store.why import wording

_MICROS: Final = 1_000_000
_COLOURS: Final = {
    Ending.COMPLETED: 2,
    Ending.REJECTED: 5,
    Ending.ABANDONED: 1,
    Ending.FAILED: 3,
    Ending.LOST: 4,
    "live": 0,
}
"""How calls end, and the colour of each, which is the same in every picture."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The days that are shown; their sums, of one tenant or of many; and of each day how long
    callers waited for the answer and for the first sound."""

    dates: Sequence[date]
    days: Sequence[Day]
    answers: Sequence[Waits]
    sounds: Sequence[Waits]


def pictures(measured: Measured) -> list[Chart]:
    """The charts of a page, in their order."""
    labels = tuple(day.isoformat() for day in measured.dates)
    by = _by_date(measured)

    def summed(of: Callable[[Day], float]) -> tuple[float | None, ...]:
        return tuple(float(sum(of(day) for day in days)) for days in by)

    outcomes = tuple(
        Series(kind, tuple(float(_ended(days, kind)) for days in by), colour)
        for kind, colour in _COLOURS.items()
    )
    calls = summed(lambda day: day.calls)
    if not any(calls):
        outcomes = ()
    minutes = Series("minutes", summed(lambda day: day.minutes) if any(calls) else ())
    cost = Series("cost", summed(lambda day: day.cost / _MICROS) if any(calls) else ())
    found = [
        Chart("outcomes", "Calls by outcome", Kind.STACKED, labels, _some(outcomes), label="day"),
        Chart("minutes", "Minutes", Kind.BAR, labels, (minutes,), label="day"),
        Chart("cost", "Cost in USD", Kind.BAR, labels, (cost,), label="day"),
        _latency("answer", "From the webhook to the answer", labels, measured.answers),
        _latency("sound", "From the webhook to the first sound", labels, measured.sounds),
    ]
    return [chart for chart in found if chart.series]


def _by_date(measured: Measured) -> list[list[Day]]:
    by: dict[date, list[Day]] = {day: [] for day in measured.dates}
    for day in measured.days:
        by[day.day].append(day)
    return list(by.values())


def _ended(days: Iterable[Day], kind: str) -> int:
    """How many of these calls ended in a way of this kind."""
    return sum(
        many
        for day in days
        for name, many in day.outcomes.items()
        if name.partition(".")[0] == kind
    )


def _some(series: Iterable[Series]) -> tuple[Series, ...]:
    """Those that have anything at all."""
    return tuple(one for one in series if any(one.values))


def told_wait(seconds: float) -> str:
    """A time that somebody waits, to the hundredth of a second while it is short."""
    return f"{seconds:.2f} s" if seconds < 10 else wording.seconds(seconds)


def _latency(id_: str, title: str, labels: tuple[str, ...], found: Sequence[Waits]) -> Chart:
    shares = ((0.5, "p50"), (0.95, "p95"))
    series = tuple(
        Series(name, tuple(waits.percentile(share) for waits in found)) for share, name in shares
    )
    return Chart(id_, title, Kind.LINE, labels, series, told=told_wait, label="day")
