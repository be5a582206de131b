"""Charts are drawn as they should be read, whatever the numbers are."""

import math
import re
import xml.etree.ElementTree as ET

import pytest

from sipagent.api.console.charts import (
    HEIGHT,
    LEFT,
    MOST_LABELS,
    WIDTH,
    Chart,
    Kind,
    Series,
    highest,
    plainly,
    ticks,
)

SVG = "{http://www.w3.org/2000/svg}"


def a_chart(kind: Kind, *values: tuple[float | None, ...], labels: int | None = None) -> Chart:
    count = len(values[0]) if labels is None else labels
    series = tuple(Series(f"s{at}", one) for at, one in enumerate(values))
    return Chart("c", "Calls", kind, tuple(f"d{at}" for at in range(count)), series)


def drawn(chart: Chart) -> ET.Element:
    """The picture as XML, which it must be."""
    return ET.fromstring(str(chart.svg()))  # noqa: S314  # of ours


def of(chart: Chart, name: str, look: str) -> list[dict[str, str]]:
    """The attributes of the parts of this look."""
    found = drawn(chart).iter(name)
    return [dict(one.attrib) for one in found if one.attrib.get("class", "").startswith(look)]


@pytest.mark.parametrize(
    ("top", "found"),
    [
        (0.0, (0, 1)),
        (1e-12, (0, 1)),
        (1, (0, 0.25, 0.5, 0.75, 1.0)),
        (3, (0, 1, 2, 3)),
        (7, (0, 2, 4, 6, 8)),
        (10, (0, 2.5, 5, 7.5, 10)),
        (97, (0, 25, 50, 75, 100)),
        (0.21, (0, 0.1, 0.2, 0.3)),
        (1e15, (0, 2.5e14, 5e14, 7.5e14, 1e15)),
    ],
    ids=str,
)
def test_an_axis_has_values_that_are_good_to_read(top: float, found: tuple[float, ...]) -> None:
    assert ticks(top) == pytest.approx(found)


def test_an_axis_reaches_whatever_there_is() -> None:
    for exponent in range(-8, 16):
        for digit in (1, 1.0001, 2.5, 3.3, 9.99):
            top = digit * 10.0**exponent
            marks = ticks(top)
            assert marks[-1] >= top * (1 - 1e-9)
            assert 2 <= len(marks) <= 6


def test_a_bar_stands_for_each_value() -> None:
    chart = a_chart(Kind.BAR, (1.0, 2.0, 0.0), (4.0, None, 3.0))
    bars = of(chart, "rect", "column")
    assert [one["class"] for one in bars] == [*["column series-0"] * 2, *["column series-1"] * 2]
    heights = [float(one["height"]) for one in bars]
    assert heights == pytest.approx([49, 98, 196, 147])
    assert all(float(one["y"]) + float(one["height"]) == pytest.approx(208) for one in bars)
    lefts = [float(one["x"]) for one in bars]
    assert LEFT < lefts[0] < lefts[2] < lefts[1]


def test_stacked_bars_stand_one_upon_the_other() -> None:
    chart = a_chart(Kind.STACKED, (1.0, 2.0), (3.0, None))
    assert highest(chart) == 4
    first, second, upper = of(chart, "rect", "column")
    assert float(upper["y"]) + float(upper["height"]) == pytest.approx(float(first["y"]))
    assert upper["x"] == first["x"]
    assert float(second["height"]) == pytest.approx(2 * float(first["height"]))


def test_a_line_is_broken_where_nothing_is_known() -> None:
    chart = a_chart(Kind.LINE, (1.0, 2.0, None, 4.0, None, 1.0, 2.0))
    lines = of(chart, "polyline", "line")
    assert [len(one["points"].split()) for one in lines] == [2, 2]
    (alone,) = of(chart, "circle", "dot")
    assert float(alone["cy"]) == 12


def test_one_point_is_drawn() -> None:
    chart = a_chart(Kind.LINE, (0.0,))
    (dot,) = of(chart, "circle", "dot")
    assert (float(dot["cx"]), float(dot["cy"])) == (LEFT + (WIDTH - LEFT - 12) / 2, 208)
    assert chart.rows() == [("d0", "0")]


@pytest.mark.parametrize(
    "chart",
    [
        Chart("c", "t", Kind.LINE, (), ()),
        Chart("c", "t", Kind.BAR, (), (Series("s", ()),)),
        a_chart(Kind.LINE, (None, None)),
        a_chart(Kind.BAR, (math.nan, math.inf)),
    ],
    ids=["no series", "no labels", "no values", "no numbers"],
)
def test_without_numbers_nothing_is_drawn(chart: Chart) -> None:
    assert chart.empty or not chart.labels
    assert chart.svg() == ""
    assert chart.description == "There is nothing to show."


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(
    "values",
    [(0.0, 0.0), (1e300, 1.0), (-5.0, 2.0), (math.nan, 2.0), (1e-9, 5e-324), (1.0,) * 400],
    ids=["zero", "huge", "negative", "nan", "tiny", "many"],
)
def test_whatever_the_numbers_are_all_of_it_is_in_the_picture(
    kind: Kind, values: tuple[float, ...]
) -> None:
    root = drawn(a_chart(kind, values, values))
    for one in root.iter():
        for name in ("x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "width", "height"):
            if name in one.attrib:
                assert -20 <= float(one.attrib[name]) <= max(WIDTH, HEIGHT), (name, one.attrib)
        for point in one.attrib.get("points", "").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_few_labels_are_written_of_many() -> None:
    root = drawn(a_chart(Kind.BAR, tuple(float(at) for at in range(92))))
    labels = [one.text for one in root.iter(f"{SVG}text") or ()] or [
        one.text for one in root.iter("text")
    ]
    assert len([one for one in labels if one and re.fullmatch(r"d\d+", one)]) <= MOST_LABELS


def test_a_chart_is_told_to_whoever_does_not_see_it() -> None:
    chart = a_chart(Kind.BAR, (1.0, 2.5), (4.0, None))
    root = drawn(chart)
    assert root.attrib["role"] == "img"
    ids = {one.attrib["id"]: one.text for one in root if "id" in one.attrib}
    assert [ids[one] for one in root.attrib["aria-labelledby"].split()] == [
        "Calls",
        "from d0 to d1: s0 at most 2.5, s1 at most 4.",
    ]
    assert chart.rows() == [("d0", "1", "4"), ("d1", "2.5", "")]


def test_words_are_escaped_and_nothing_is_inline() -> None:
    mark = '"><script>alert(1)</script>&'
    chart = Chart("c", mark, Kind.STACKED, (mark,), (Series(mark, (1.0,)),), told=lambda _: mark)
    assert "<script" not in str(chart.svg())
    for one in drawn(chart).iter():
        assert "style" not in one.attrib
        assert not [name for name in one.attrib if name.startswith("on") or name == "fill"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (3.0, "3"), (1200.0, "1,200"), (0.25, "0.25"), (0.004, "0.004"), (2.5, "2.5")],
)
def test_numbers_are_told_plainly(value: float, text: str) -> None:
    assert plainly(value) == text
