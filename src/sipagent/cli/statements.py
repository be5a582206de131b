"""`sipagent statements`: what each tenant's calls took and cost in a month."""

import csv
import io
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sipagent.cli.changing import changing, located
from sipagent.cli.options import (
    DEFAULT_CONFIG,
    DEFAULT_DATA,
    ConfigFile,
    DataDir,
    fail,
    in_force_or_exit,
    table,
)
from sipagent.cli.process import FINDINGS
from sipagent.cli.records import TenantOption, as_json, reading

if TYPE_CHECKING:
    from sipagent.model import TenantName
    from sipagent.store.billing import Statement

_MICROS: Final = 1_000_000
_HEADS: Final = ("month", "tenant", "calls", "minutes", "USD", "unknown", "incomplete", "closed")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_USED: Final = (
    *("bills", "text_in", "text_cached", "text_out", "audio_in", "audio_cached", "audio_out"),
    *("image_in", "image_cached", "seconds"),
)

app = typer.Typer(
    help="List, show and close the monthly statements of tenants.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class StatementFormat(StrEnum):
    """How a statement is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


TenantArgument = Annotated[str, typer.Argument(metavar="TENANT", help="Whose statement it is.")]
MonthArgument = Annotated[str, typer.Argument(metavar="MONTH", help="A month such as 2026-11.")]
Output = Annotated[StatementFormat, typer.Option("--format", help="How it is printed.")]


@app.command("list")
def list_(
    tenant: TenantOption = None,
    data_dir: DataDir = DEFAULT_DATA,
    output: Output = StatementFormat.TEXT,
) -> None:
    """List the closed statements, the newest first.

    Exit codes: 0 listed, 3 the records' server was not reached, 78 the records cannot be read.
    """
    from sipagent.model import TenantName
    from sipagent.store.billing import closed_months

    whose = None if tenant is None else TenantName(tenant)
    found = reading(data_dir, lambda engine: closed_months(engine, whose))
    if output is StatementFormat.JSON:
        typer.echo(as_json([_summary(statement) for statement in found]))
        return
    rows = [tuple(str(value) for value in _summary(each).values()) for each in found]
    if output is StatementFormat.CSV:
        typer.echo(_csv([_HEADS, *rows]), nl=False)
        return
    for line in table(rows, heads=_HEADS) if rows else ["no statements"]:
        typer.echo(line)


@app.command()
def show(
    tenant: TenantArgument,
    month: MonthArgument,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
    output: Output = StatementFormat.TEXT,
) -> None:
    """Show a tenant's statement of a month: the closed one, or what is recorded so far.

    Exit codes: 0 shown, 2 no such tenant or month, 3 the records' server was not reached, 78 the
    records cannot be read, or for an open month the agents file.
    """
    from sipagent.model import TenantName
    from sipagent.store.billing import statement_of

    name = TenantName(tenant)
    statement = _closed(name, month, data_dir)
    if statement is None:
        zone = _zone(name, config, data_dir)
        statement = reading(data_dir, lambda engine: statement_of(engine, name, month, zone))
    _print(statement, output)


@app.command()
def close(
    tenant: TenantArgument,
    month: MonthArgument,
    config: ConfigFile = DEFAULT_CONFIG,
    data_dir: DataDir = DEFAULT_DATA,
    output: Output = StatementFormat.TEXT,
) -> None:
    """Close a month of a tenant, which can be done two days after its end, and show its statement.

    A closed month is never changed: closing it again shows the same.

    Exit codes: 0 closed, 1 too early or before the tenant's first record, 2 no such tenant or
    month, 3 the records' server was not reached, 78 the records or the agents file cannot be used.
    """
    from sipagent.errors import NotClosableError
    from sipagent.model import TenantName
    from sipagent.store import billing

    name = TenantName(tenant)
    statement = _closed(name, month, data_dir)
    if statement is None:
        zone = _zone(name, config, data_dir)
        try:
            statement = changing(
                located(data_dir),
                lambda engine: billing.close(engine, name, month, zone, time.time()),
            )
        except NotClosableError as error:
            fail(FINDINGS, str(error))
    _print(statement, output)


def _closed(tenant: "TenantName", month: str, data_dir: Path) -> "Statement | None":
    """The month's closed statement, which needs no configuration, or the end with 2 for what is no
    month."""
    from sipagent.config.words import quoted
    from sipagent.routing.moment import month_span
    from sipagent.store.billing import closed_statement

    try:
        month_span(month, None)
    except ValueError:
        message = f"{quoted(month)} is no month: write it as in 2026-11"
        raise typer.BadParameter(message, param_hint="MONTH") from None
    return reading(data_dir, lambda engine: closed_statement(engine, tenant, month))


def _zone(tenant: "TenantName", config: Path, data_dir: Path) -> str | None:
    """The zone of a tenant of the configuration, or else of the records, which is told on standard
    error; the end with 2 for one that is in neither."""
    from sipagent.config.words import closest, quoted
    from sipagent.store.billing import zone_on_record

    tenants = in_force_or_exit(config, data_dir).table.tenants
    if tenant in tenants:
        return tenants[tenant].timezone
    zone = reading(data_dir, lambda engine: zone_on_record(engine, tenant))
    if zone is None:
        meant = closest(tenant, tenants)
        hint = f" (did you mean {meant}?)" if meant else ""
        message = f"there is no tenant {quoted(tenant)}, and no record of one{hint}"
        raise typer.BadParameter(message, param_hint="TENANT")
    told = f"tenant {quoted(tenant)} is not in the configuration: its months begin in {zone}"
    typer.echo(told, err=True)
    return zone


def _print(statement: "Statement", output: StatementFormat) -> None:
    match output:
        case StatementFormat.JSON:
            typer.echo(as_json(_whole(statement)))
        case StatementFormat.CSV:
            typer.echo(_csv(_rows(statement)), nl=False)
        case StatementFormat.TEXT:
            for line in _text(statement):
                typer.echo(line)


def _summary(statement: "Statement") -> dict[str, Any]:
    return {
        "month": statement.month,
        "tenant": statement.tenant,
        "calls": statement.answered,
        "minutes": statement.minutes,
        "usd": _usd(statement.cost),
        "unknown": statement.unknown,
        "incomplete": statement.incomplete,
        "closed_at": _time(statement.closed_at),
    }


def _whole(statement: "Statement") -> dict[str, Any]:
    from dataclasses import asdict

    sums = {"cost": statement.cost, "usd": _usd(statement.cost), "unknown": statement.unknown}
    return {**asdict(statement), **sums}


def _rows(statement: "Statement") -> list[tuple[str, ...]]:
    """One row for each model, each adjustment and the sum."""
    heads = ("month", "model", "kind", *_USED, "unknown", "cost_microdollars")
    blank = ("",) * len(_USED)
    lines = [
        (
            *(statement.month, line.model, line.kind),
            *(str(getattr(line, name)) for name in _USED),
            *(str(line.unknown), str(line.cost)),
        )
        for line in statement.lines
    ]
    late = [
        (each.month, "", "adjustment", str(each.bills), *blank[1:], "", str(each.cost))
        for each in statement.adjustments
    ]
    whole = (statement.month, "", "sum", *blank, str(statement.unknown), str(statement.cost))
    return [heads, *lines, *late, whole]


def _text(statement: "Statement") -> list[str]:
    state = _time(statement.closed_at) or "open"
    first = [
        ("statement", f"{statement.tenant}, {statement.month} ({statement.zone})"),
        ("closed", state),
        ("calls", f"{statement.answered} answered of {statement.calls}"),
        ("minutes", f"{statement.minutes:g}"),
        ("cost", f"{_usd(statement.cost)} USD"),
    ]
    if statement.unknown:
        bills = _bills(statement.unknown)
        first.append(("unknown", f"{bills} without a price: the sum is a lower bound"))
    if statement.incomplete:
        calls = "1 call" if statement.incomplete == 1 else f"{statement.incomplete} calls"
        first.append(("incomplete", f"{calls} with lost usage: the sum is a lower bound"))
    told = [f"{name:<12}{text}" for name, text in first]
    told += [
        f"{'late':<12}{_bills(each.bills)} of {each.month}, {_usd(each.cost)} USD"
        for each in statement.adjustments
    ]
    heads, *rows = _rows(statement)
    used = [row[1:] for row in rows[: len(statement.lines)]]
    return [*told, *(["", *table(used, heads=heads[1:])] if used else [])]


def _bills(many: int) -> str:
    return "1 bill" if many == 1 else f"{many} bills"


def _csv(rows: list[tuple[str, ...]]) -> str:
    """The rows, in which no cell is a formula for a spreadsheet."""
    out = io.StringIO()
    safe = [[f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in rows]
    csv.writer(out, lineterminator="\n").writerows(safe)
    return out.getvalue()


def _usd(micros: int) -> str:
    """Micro-dollars as USD, all of their digits."""
    return f"{micros // _MICROS}.{micros % _MICROS:06}"


def _time(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
