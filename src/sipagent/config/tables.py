"""Tables of numbers: CSV files of the operator, one number in each row.

Columns that are settings are read as such, all others become variables of the number.
"""

import csv
import io
import re
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sipagent.config.findings import START, Complaint, Findings, Place
from sipagent.config.gathering import Gathered
from sipagent.config.lines import SETTINGS, InTable, NumberLine, RuleLine
from sipagent.config.schema.base import (
    LANGUAGE_PATTERN,
    MONEY_PATTERN,
    RATE_PATTERN,
    VARIABLE_PATTERN,
)
from sipagent.config.schema.limits import NumberLimits, Spending
from sipagent.config.schema.persona import MAX_VALUE
from sipagent.config.sentences import PATTERNS
from sipagent.config.sources import pattern_problem
from sipagent.config.textfile import Unreadable
from sipagent.config.words import SECRET_MARKS, is_secret, quoted
from sipagent.model import DEFAULT_TENANT, TenantName

MAX_TABLE_BYTES: Final = 16 * 1024 * 1024
ENVIRONMENT: Final = "SIPAGENT_ENV"

_NUMBER: Final = "number"
_AGENT: Final = "agent"
_LIMITS: Final = {
    "max_concurrent_calls": None,
    "call_rate": RATE_PATTERN,
    "budget_day": MONEY_PATTERN,
    "budget_month": MONEY_PATTERN,
}
"""Columns of limits, and what a cell of each must be like; without a pattern, a whole number."""

_KNOWN: Final = (_NUMBER, *SETTINGS, _AGENT, *_LIMITS)
_WHOLE: Final = re.compile(r"[1-9][0-9]{0,6}", re.ASCII)


def table_lines(
    gathered: Gathered, pattern: object, base: Path
) -> Generator[NumberLine, None, bool]:
    """The lines of all tables that `numbers.table` names, in the order of their paths. Returns
    whether these are all that stand there."""
    steps = ("numbers", "table")
    main = gathered.main
    if not isinstance(pattern, str) or not pattern.strip():
        main.complain(Complaint(steps, "must be a path such as numbers/*.csv"))
        return False
    if "{env}" in pattern:
        name = gathered.context.environment.get(ENVIRONMENT, "")
        if not name or "/" in name or name in (".", ".."):
            why = "cannot be a folder's name" if name else "is not set"
            what = f"{{env}} stands for {ENVIRONMENT}, which {why}"
            main.complain(Complaint(steps, what, "set it to production, for example"))
            return False
        pattern = pattern.replace("{env}", name)
    if (problem := pattern_problem(pattern)) is not None:
        hint = "paths begin at this file's folder and stay within it"
        main.complain(Complaint(steps, f"the path {problem}", hint))
        return False
    found = gathered.context.source.matching(base, pattern)
    if not found:
        main.complain(Complaint(steps, f"there is no file {quoted(pattern)}"))
    whole = bool(found)
    for path in found:
        whole &= yield from _file(gathered, path)
    return whole


def _file(gathered: Gathered, path: Path) -> Generator[NumberLine, None, bool]:
    findings = gathered.report.of(str(path))
    text = gathered.context.source.text(path, MAX_TABLE_BYTES)
    if isinstance(text, Unreadable):
        place = Place(text.line, text.column)
        findings.add(place, (), f"the file {text.reason}", text.hint)
        return False
    gathered.files[path] = None
    yield from read_table(text, findings, gathered.tenants)
    return not findings.ordered()


def read_table(
    text: str, findings: Findings, owners: Collection[TenantName] = ()
) -> Iterator[NumberLine]:
    """The lines of one table; a row that cannot be used is told and left out. `owners` are the
    tenants that have files."""
    first, _, _ = text.partition("\n")
    delimiter = ";" if ";" in first and "," not in first else ","
    rows = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    table: _Table | None = None
    line = 1
    try:
        for row in rows:
            begins, line = line, rows.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if table is None:
                if len(row) == 1 and "\t" in row[0]:
                    hint = "separate them by commas, or by semicolons"
                    findings.add(Place(begins, 1), (), "the cells are separated by tabs", hint)
                    return
                names = [cell.strip() for cell in row]
                if not _usable_header(names, begins, findings):
                    return
                suspicious = any(mark in text for mark in SECRET_MARKS)
                table = _Table(names, findings, owners, suspicious)
                continue
            found = table.line(row, begins)
            if found is not None:
                yield found
    except csv.Error as error:
        hint = "a cell with a quote needs quotes around it, and the quote twice"
        findings.add(Place(line, 1), (), f"this is no CSV: {error}", hint)
    if table is None:
        findings.add(START, (), "the table is empty", "the first row names the columns")


def _usable_header(names: list[str], line: int, findings: Findings) -> bool:
    usable = True
    for at, name in enumerate(names, 1):
        if names.index(name) != at - 1:
            findings.add(Place(line, at), (name,), "the column stands twice", "keep one of the two")
            usable = False
        elif name not in _KNOWN and not _is_variable(name):
            message, hint = PATTERNS[VARIABLE_PATTERN]
            hint = findings.did_you_mean(name, frozenset(_KNOWN)) or hint
            message = f"{quoted(name)}: {message}" if name else "the column has no name"
            findings.add(Place(line, at), (), message, hint)
            usable = False
        elif name not in _KNOWN and (meant := findings.did_you_mean(name, frozenset(_KNOWN))):
            findings.warn(Place(line, at), (name,), "this column becomes a variable", meant)
    if _NUMBER not in names and not any(name.lower() == _NUMBER for name in names):
        findings.add(Place(line, 1), (), "there is no column number", "each row needs its number")
        usable = False
    return usable


@dataclass(frozen=True, slots=True)
class _Table:
    """A table behind its first row. `suspicious` says that there may be secrets in it."""

    names: list[str]
    findings: Findings
    owners: Collection[TenantName]
    suspicious: bool

    def line(self, row: list[str], number: int) -> NumberLine | None:
        """The line that a row writes; None where it cannot be used, which is told."""
        names = self.names
        if len(row) != len(names):
            message = f"the row has {len(row)} cells and the first row {len(names)}"
            hint = "a cell with a comma needs quotes around it"
            place = Place(number, min(len(row), len(names)) + 1)
            self.findings.add(place, (), message, hint)
            return None
        cells = {name: cell.strip() for name, cell in zip(names, row, strict=True)}
        tenant = TenantName(cells.get("tenant") or DEFAULT_TENANT)
        origin = InTable(self.findings, number, names, tenant if tenant in self.owners else None)
        if not self._usable(cells, origin):
            return None
        agent = cells.get(_AGENT)
        return NumberLine(
            cells[_NUMBER],
            origin,
            tenant=tenant,
            trunk=cells.get("trunk") or None,
            timezone=cells.get("timezone") or None,
            hours=cells.get("hours") or None,
            language=cells.get("language") or None,
            vars={name: cell for name, cell in cells.items() if name not in _KNOWN and cell},
            rules=(RuleLine(agent, origin, (_AGENT,)),) if agent else (),
            limits=_limits(cells),
        )

    def _usable(self, cells: Mapping[str, str], origin: InTable) -> bool:
        usable = True
        for name, cell in cells.items():
            if self.suspicious and is_secret(cell):
                message = "this looks like a secret, which must not stand in the file"
                origin.complain((name,), message)
                usable = False
            elif len(cell) > MAX_VALUE:
                origin.complain((name,), f"must have at most {MAX_VALUE:,} characters")
                usable = False
        language = cells.get("language")
        if language and re.match(LANGUAGE_PATTERN, language) is None:
            origin.complain(("language",), *PATTERNS[LANGUAGE_PATTERN])
            usable = False
        return usable and _usable_limits(cells, origin)


def _usable_limits(cells: Mapping[str, str], origin: InTable) -> bool:
    usable = True
    for name, pattern in _LIMITS.items():
        text = cells.get(name, "")
        if text and pattern is None and _WHOLE.fullmatch(text) is None:
            origin.complain((name,), "must be a whole number, 1 or more")
            usable = False
        elif text and pattern is not None and re.match(pattern, text) is None:
            origin.complain((name,), *PATTERNS[pattern])
            usable = False
    return usable


def _limits(cells: Mapping[str, str]) -> NumberLimits | None:
    """What the cells say of the number's limits; None where they say nothing."""
    most, rate = cells.get("max_concurrent_calls"), cells.get("call_rate")
    budget = {period: cells.get(f"budget_{period}") for period in ("day", "month")}
    sums: dict[str, Any] = {period: money for period, money in budget.items() if money}
    written: dict[str, Any] = {
        "max_concurrent_calls": int(most) if most else None,
        "call_rate": rate or None,
        "budget": Spending(**sums) if sums else None,
    }
    written = {name: value for name, value in written.items() if value is not None}
    return NumberLimits(**written) if written else None


def _is_variable(name: str) -> bool:
    return re.match(VARIABLE_PATTERN, name) is not None
