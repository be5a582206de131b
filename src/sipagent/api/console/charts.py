"""Charts as SVG, made where the page is made. Pure.

A chart is a picture with a title and a description for whoever does not see it, and the table of
its numbers. It is drawn with classes alone: what colour they have says the style sheet, in the dark
as in the light. The words in it are escaped.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from markupsafe import Markup

WIDTH: Final = 640
HEIGHT: Final = 240
LEFT: Final = 76
RIGHT: Final = 12
TOP: Final = 12
BOTTOM: Final = 32
MOST_LABELS: Final = 8
"""Labels below the axis; of more, only some are written."""

COLOURS: Final = 6
"""Classes `series-0` to `series-5`; further series begin again."""

_INNER_WIDTH: Final = WIDTH - LEFT - RIGHT
_INNER_HEIGHT: Final = HEIGHT - TOP - BOTTOM
_TICKS: Final = 4
_BAR: Final = 0.8
"""What a bar, or the bars of one label, take of the room for it."""

_NICE: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_LEAST: Final = 1e-9
_MOST: Final = 1e15


class Kind(StrEnum):
    """LINE: one line for each series. BAR: series side by side. STACKED: one upon the other."""

    LINE = "line"
    BAR = "bar"
    STACKED = "stacked"


@dataclass(frozen=True, slots=True)
class Series:
    """Values, one for each of the chart's labels; None where there is none. None is below zero."""

    name: str
    values: tuple[float | None, ...]
    colour: int | None = None
    """Which of the classes `series-0` to `series-5`; without one they come in their order."""


def plainly(value: float) -> str:
    """A number as it stands beside an axis: `0.25`, `3`, `1,200`."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.2f}".rstrip("0").rstrip(".") if value >= 0.01 else f"{value:.2g}"


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn. `id` is unique in its page; `told` are words for the values."""

    id: str
    title: str
    kind: Kind
    labels: tuple[str, ...]
    series: tuple[Series, ...]
    told: Callable[[float], str] = plainly
    label: str = ""
    """What the labels are: the head of the table's first column."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value is not None for one in self.series for value in _known(one))

    @property
    def description(self) -> str:
        """The chart in a sentence: what it shows, from where to where, and its highest value."""
        if self.empty or not self.labels:
            return "There is nothing to show."
        span = f"from {self.labels[0]} to {self.labels[-1]}"
        tops = (
            f"{one.name} at most {self.told(max(_there(one), default=0.0))}" for one in self.series
        )
        return f"{span}: {', '.join(tops)}."

    def colour(self, number: int) -> int:
        """Which class the series of this number has."""
        own = self.series[number].colour
        return number % COLOURS if own is None else own

    def svg(self) -> Markup:
        """The picture; nothing where there is nothing to draw."""
        if self.empty or not self.labels:
            return Markup("")
        return Markup("").join(_drawn(self))

    def rows(self) -> list[tuple[str, ...]]:
        """The table of the numbers: a label and the value of each series."""
        columns = [_known(one) for one in self.series]
        return [
            (
                label,
                *("" if (value := column[at]) is None else self.told(value) for column in columns),
            )
            for at, label in enumerate(self.labels)
        ]


def _known(series: Series) -> list[float | None]:
    """The values without those that cannot be drawn."""
    return [
        None if value is None or not math.isfinite(value) else min(max(float(value), 0.0), _MOST)
        for value in series.values
    ]


def _there(series: Series) -> list[float]:
    return [value for value in _known(series) if value is not None]


def highest(chart: Chart) -> float:
    """The highest value that the axis must reach."""
    columns = [_known(one) for one in chart.series]
    if chart.kind is Kind.STACKED:
        return max(
            (sum(value or 0.0 for value in at) for at in zip(*columns, strict=True)), default=0.0
        )
    return max((value for column in columns for value in column if value is not None), default=0.0)


def ticks(top: float, *, whole: bool = False) -> tuple[float, ...]:
    """Values from 0 to at least `top` that are good to read, at equal distances; of what is counted
    there are `whole` ones only."""
    if top <= _LEAST:
        return (0.0, 1.0)
    rough = top / _TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    least = max(rough * (1 - _LEAST), 1.0 if whole else 0.0)
    steps = (size * 10.0**more * nice for more in (0, 1, 2) for nice in _NICE)
    step = next(one for one in steps if one >= least and (not whole or one == round(one)))
    count = math.ceil(top / step - _LEAST)
    return tuple(step * number for number in range(count + 1))


def _drawn(chart: Chart) -> Iterator[Markup]:
    yield Markup(
        '<svg class="plot plot-{}" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-t {}-d">'
        '<title id="{}-t">{}</title><desc id="{}-d">{}</desc>'
    ).format(
        chart.kind,
        WIDTH,
        HEIGHT,
        chart.id,
        chart.id,
        chart.id,
        chart.title,
        chart.id,
        chart.description,
    )
    counted = all(value == int(value) for one in chart.series for value in _there(one))
    marks = ticks(highest(chart), whole=counted)
    yield from _axes(chart, marks)
    draw = {Kind.LINE: _lines, Kind.BAR: _bars, Kind.STACKED: _stacks}[chart.kind]
    yield from draw(chart, marks[-1])
    yield Markup("</svg>")


def _axes(chart: Chart, marks: Sequence[float]) -> Iterator[Markup]:
    for mark in marks:
        y = _y(mark, marks[-1])
        yield Markup('<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
            LEFT, y, WIDTH - RIGHT, y
        )
        yield Markup('<text class="tick beside" text-anchor="end" x="{}" y="{}">{}</text>').format(
            LEFT - 6, y, chart.told(mark)
        )
    every = math.ceil(len(chart.labels) / MOST_LABELS)
    for at in range(0, len(chart.labels), every):
        yield Markup('<text class="tick" text-anchor="middle" x="{}" y="{}">{}</text>').format(
            _x(at, len(chart.labels)), HEIGHT - BOTTOM + 18, chart.labels[at]
        )


def _lines(chart: Chart, top: float) -> Iterator[Markup]:
    """Each series as a line, which is broken where a value is missing; a point that stands alone
    is a dot."""
    count = len(chart.labels)
    for number, one in enumerate(chart.series):
        colour = chart.colour(number)
        for run in _runs(_known(one)):
            if len(run) == 1:
                yield Markup('<circle class="dot series-{}" cx="{}" cy="{}" r="3"/>').format(
                    colour, _x(run[0][0], count), _y(run[0][1], top)
                )
                continue
            points = " ".join(f"{_x(at, count)},{_y(value, top)}" for at, value in run)
            yield Markup('<polyline class="line series-{}" points="{}"/>').format(colour, points)


def _runs(values: Sequence[float | None]) -> Iterator[list[tuple[int, float]]]:
    run: list[tuple[int, float]] = []
    for at, value in enumerate(values):
        if value is not None:
            run.append((at, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _bars(chart: Chart, top: float) -> Iterator[Markup]:
    room = _INNER_WIDTH / len(chart.labels)
    width = room * _BAR / len(chart.series)
    for number, one in enumerate(chart.series):
        for at, value in enumerate(_known(one)):
            if value:
                left = LEFT + room * (at + (1 - _BAR) / 2) + width * number
                yield _bar(chart.colour(number), left, width, (0.0, value), top)


def _stacks(chart: Chart, top: float) -> Iterator[Markup]:
    room = _INNER_WIDTH / len(chart.labels)
    below = [0.0] * len(chart.labels)
    for number, one in enumerate(chart.series):
        for at, value in enumerate(_known(one)):
            if value:
                left = LEFT + room * (at + (1 - _BAR) / 2)
                span = (below[at], below[at] + value)
                yield _bar(chart.colour(number), left, room * _BAR, span, top)
                below[at] += value


def _bar(colour: int, left: float, width: float, span: tuple[float, float], top: float) -> Markup:
    upper, lower = _y(span[1], top), _y(span[0], top)
    return Markup('<rect class="column series-{}" x="{}" y="{}" width="{}" height="{}"/>').format(
        colour, _short(left), upper, _short(width), _short(max(lower - upper, 0.5))
    )


def _x(at: int, count: int) -> float:
    """The middle of the room for a label."""
    return _short(LEFT + _INNER_WIDTH * (at + 0.5) / count)


def _y(value: float, top: float) -> float:
    return _short(TOP + _INNER_HEIGHT * (1 - value / top))


def _short(value: float) -> float:
    return round(value, 1)
