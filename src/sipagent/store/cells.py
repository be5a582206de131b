"""Values as cells of a table that a spreadsheet opens. Pure."""

import csv
import io
from collections.abc import Sequence
from typing import Any, Final

from sipagent.sip.untrusted import visible

_DEFUSED: Final = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula (OWASP, CSV Injection)."""


def cell(value: Any) -> str:
    """A value as a cell's text, which no spreadsheet runs and no terminal obeys."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list():
            text = " ".join(map(str, value))
        case _:
            text = str(value)
    danger = text.startswith(_DEFUSED)
    shown = "\n".join(visible(line) for line in text.split("\n"))
    return f"'{shown}" if danger or shown.startswith(_DEFUSED) else shown


def csv_line(values: Sequence[Any]) -> str:
    """The values as one line of CSV."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\r\n").writerow([cell(value) for value in values])
    return file.getvalue()
