"""What the figures are called, what is promised of them, and how they are shown."""

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from benchmarks.scenarios import Figures, Sizes
from benchmarks.subjects import BARE, SIPAGENT

Trials = Mapping[str, Sequence[Figures]]
"""Of one round, by the subject's name: the figures of each repetition."""

_WIDTH = 46


@dataclass(frozen=True, slots=True)
class Bound:
    """What is promised: `most`, of sipagent's own figure or of its ratio to the bare server's."""

    of: Literal["ratio", "figure"]
    most: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `bare` is None where only sipagent's figure says anything."""

    title: str
    bare: float | None
    sipagent: float
    bound: Bound | None

    @property
    def ratio(self) -> float | None:
        return self.sipagent / self.bare if self.bare else None

    @property
    def holds(self) -> bool | None:
        """None where nothing is promised."""
        if self.bound is None:
            return None
        measured = self.ratio if self.bound.of == "ratio" else self.sipagent
        return measured is not None and measured <= self.bound.most

    def data(self) -> dict[str, Any]:
        bound = self.bound
        return {
            "title": self.title,
            "bare": self.bare,
            "sipagent": self.sipagent,
            "ratio": self.ratio,
            "bound": {"of": bound.of, "most": bound.most} if bound else None,
            "holds": self.holds,
        }


def arrival_rows(trials: Trials, bounded: bool) -> list[Row]:
    """The lines of a round of arrivals; without bounds where none is promised, as over TLS."""
    table: list[tuple[str, str, Bound | None]] = [
        ("CPU per call, ms", "cpu_per_call_ms", Bound("ratio", 1.5)),
        ("webhook to accept p50, ms", "accept_p50_ms", None),
        ("webhook to greeting p50, ms", "greeting_p50_ms", Bound("ratio", 1.5)),
        ("webhook to greeting p99, ms", "greeting_p99_ms", None),
        ("webhook's answer p50, ms", "answer_p50_ms", None),
        ("webhook's answer p99, ms", "answer_p99_ms", Bound("figure", 25.0)),
    ]
    return [_row(trials, title, key, bound if bounded else None) for title, key, bound in table]


def tools_rows(trials: Trials) -> list[Row]:
    """The lines of a round of tool calls, which the bare server has none of."""
    table = [
        ("tool call to output, our part p50, ms", "tool_p50_ms", Bound("figure", 2.0)),
        ("tool call to output, our part p99, ms", "tool_p99_ms", None),
        (
            "the same beside 50 tools that hang, p99, ms",
            "tool_beside_p99_ms",
            Bound("figure", 50.0),
        ),
    ]
    ours = trials[SIPAGENT.name]
    return [Row(title, None, _median(ours, key), bound) for title, key, bound in table]


def viewers_rows(trials: Trials) -> list[Row]:
    """The lines of a round with viewers: beside the same calls without them."""
    table: list[tuple[str, str, Bound | None]] = [
        ("500 viewers: webhook to greeting p50, ms", "greeting_p50_ms", None),
        ("500 viewers: webhook to greeting p99, ms", "greeting_p99_ms", Bound("ratio", 1.2)),
        ("500 viewers: CPU per call, ms", "cpu_per_call_ms", None),
    ]
    ours = trials[SIPAGENT.name]
    rows = [
        Row(title, _median(ours, f"{key}/without"), _median(ours, f"{key}/with"), bound)
        for title, key, bound in table
    ]
    tap = _median(ours, "tap_us/unwatched"), _median(ours, "tap_us/hub")
    return [*rows, Row("unwatched: a piece of speech, us", *tap, Bound("figure", 1.0))]


def held_rows(trials: Trials, levels: Sequence[int], bounded: bool) -> list[Row]:
    """The lines of a round of held calls: what is promised concerns the most calls."""
    rows: list[Row] = []
    for level in levels:
        top = bounded and level == levels[-1]
        held = f"{level:,} held: "
        rows.append(
            _row(
                trials,
                f"{held}CPU per event, us",
                f"cpu_per_event_us/{level}",
                Bound("ratio", 1.3) if top else None,
            )
        )
        rows.append(
            _row(
                trials,
                f"{held}KiB per call",
                f"kib_per_call/{level}",
                Bound("figure", 64.0) if top else None,
            )
        )
    if len(levels) > 1:
        few, most = levels[0], levels[-1]
        flat = Bound("figure", 1.1) if bounded else None
        title = f"CPU per event, {most:,} to {few:,} held"
        per_event = {
            name: _median(figures, f"cpu_per_event_us/{most}")
            / _median(figures, f"cpu_per_event_us/{few}")
            for name, figures in trials.items()
        }
        rows.append(Row(title, per_event[BARE.name], per_event[SIPAGENT.name], flat))
    return rows


def table(
    heading: str, rows: Sequence[Row], beside: tuple[str, str] = (BARE.name, SIPAGENT.name)
) -> str:
    """The rows as plain text; `beside` are the names of what stands beside each other."""
    head = f"{heading:<{_WIDTH}}{beside[0]:>9}{beside[1]:>10}{'ratio':>8}   bound"
    return "\n".join([head, "-" * len(head), *(_line(row) for row in rows), ""])


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    packages = ("fastapi", "uvicorn", "uvloop", "httptools", "httpx", "websockets", "pydantic")
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "system": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": {name: version(name) for name in packages},
    }


def sizes_data(sizes: Sizes) -> dict[str, Any]:
    return {name: getattr(sizes, name) for name in Sizes.__slots__}


def _row(trials: Trials, title: str, key: str, bound: Bound | None) -> Row:
    bare, ours = (_median(trials[subject.name], key) for subject in (BARE, SIPAGENT))
    return Row(title, bare, ours, bound)


def _median(figures: Sequence[Figures], key: str) -> float:
    return statistics.median(each[key] for each in figures)


def _line(row: Row) -> str:
    bare = f"{row.bare:9.2f}" if row.bare is not None else " " * 9
    ratio = f"{row.ratio:8.2f}" if row.ratio is not None else " " * 8
    verdict = ""
    if row.bound is not None:
        word = "holds" if row.holds else "MISSED"
        verdict = f"   {row.bound.of} <= {row.bound.most:g}: {word}"
    return f"  {row.title:<{_WIDTH - 2}}{bare}{row.sipagent:10.2f}{ratio}{verdict}"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())
