"""What the commands that read records share: options, the way to the records, and printing."""

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from sipagent.cli.options import duration_of, fail
from sipagent.cli.process import BAD_CONFIGURATION, UNREACHABLE

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from sipagent.model import TenantName
    from sipagent.store.reading import CallFilter

Result = TypeVar("Result")

TenantOption = Annotated[
    str | None, typer.Option("--tenant", metavar="NAME", help="This tenant's calls only.")
]
AgentOption = Annotated[
    str | None,
    typer.Option("--agent", metavar="NAME", help="Of this agent, as NAME or TENANT/NAME."),
]
OutcomeOption = Annotated[
    str | None,
    typer.Option(
        "--outcome", metavar="NAME", help="That ended so: failed, or failed.accept_refused."
    ),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="How long ago (30m, 2h, 3d), or ISO 8601, else in UTC."),
]
Until = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="The end of the time, in the same forms; else now."),
]
Dialed = Annotated[str | None, typer.Option("--dialed", metavar="NUMBER", help="To this number.")]
CallerOption = Annotated[
    str | None, typer.Option("--caller", metavar="NUMBER", help="From this number.")
]
TrunkOption = Annotated[str | None, typer.Option("--trunk", help="By this trunk.")]
AccountOption = Annotated[str | None, typer.Option("--account", help="On this account.")]
Live = Annotated[bool, typer.Option("--live", help="That have not ended.")]
Numbers = Annotated[
    bool, typer.Option("--numbers", help="Telephone numbers and callers' names in full.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")]

_DAY: Final = 86400.0
_URL_VARIABLES: Final = ("SIPAGENT_DATABASE_URL", "DATABASE_URL")


def reading(data_dir: Path, work: Callable[["AsyncEngine"], Awaitable[Result]]) -> Result:
    """What the work makes of the records, or the end with 78, or with 3 where their server was not
    reached."""
    import asyncio

    from sipagent import settings
    from sipagent.errors import SettingsError, StoreError
    from sipagent.store.location import location_of
    from sipagent.store.reading.opening import records

    try:
        url = next(filter(None, map(settings.value_of, _URL_VARIABLES)), None)
        location = location_of(url, data_dir)
    except SettingsError as error:
        fail(BAD_CONFIGURATION, str(error))

    async def read() -> Result:
        async with records(location) as engine:
            return await work(engine)

    try:
        return asyncio.run(read())
    except StoreError as error:
        hint = "; --data-dir and SIPAGENT_DATABASE_URL say where records are"
        code = BAD_CONFIGURATION if location.file is not None else UNREACHABLE
        fail(code, f"{error}{hint if location.file is not None else ''}")


def moment(text: str | None, option: str, *, ago: float | None = None) -> float | None:
    """Unix seconds of `2h` before now or of ISO 8601; without a text, so many seconds ago. Anything
    else ends the command."""
    if text is None:
        return None if ago is None else time.time() - ago
    seconds = duration_of(text)
    if seconds is not None:
        return time.time() - seconds
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        from sipagent.config.words import quoted

        advice = "write 30m, 2h or 3d for so long ago, or ISO 8601, as in 2026-11-23T10:00"
        raise typer.BadParameter(
            f"{quoted(text)} is no time: {advice}", param_hint=option
        ) from None
    return (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()


def span(
    since: str | None, until: str | None, *, ago: float, most: float | None = None
) -> tuple[float, float]:
    """The time from `since` to `until` as unix seconds, by default the last `ago`."""
    end = moment(until, "--until", ago=0.0)
    begin = moment(since, "--since", ago=ago)
    assert begin is not None
    assert end is not None
    if begin >= end:
        raise typer.BadParameter("--since is not before --until", param_hint="--since")
    if most is not None and end - begin > most + 1:
        days = f"{most / _DAY:g} days"
        raise typer.BadParameter(f"at most {days} may lie between them", param_hint="--since")
    return begin, end


def whose(tenant: str | None, agent: str | None = None) -> "tuple[TenantName | None, str | None]":
    """The tenant and the agent that are meant; `--agent TENANT/NAME` says both."""
    from sipagent.model import TenantName

    if agent is not None and "/" in agent:
        named, _, agent = agent.partition("/")
        if tenant not in (None, named):
            raise typer.BadParameter(f"is not of tenant {tenant}", param_hint="--agent")
        tenant = named
    return None if tenant is None else TenantName(tenant), agent


def filter_of(
    agent: str | None = None,
    outcome: str | None = None,
    since: str | None = None,
    until: str | None = None,
    dialed: Sequence[str] = (),
    caller: Sequence[str] = (),
    trunk: str | None = None,
    account: str | None = None,
    live: bool = False,
) -> "CallFilter":
    """The filter that the options describe, or the end with 2."""
    from sipagent.store.reading import CallFilter

    return CallFilter(
        agent=agent,
        outcomes=_outcomes(outcome),
        since=moment(since, "--since"),
        until=moment(until, "--until"),
        dialed=tuple(dialed),
        caller=tuple(caller),
        trunk=trunk,
        account=account,
        live=live,
    )


def stored_forms(
    text: str | None, option: str, tenant: "TenantName | None", data_dir: Path
) -> tuple[str, ...]:
    """The forms in which a number may stand in the records: as it is written, as E.164, and as the
    tenant's records have it where they hide numbers and the installation's key is here."""
    if text is None:
        return ()
    from sipagent.sip import to_e164

    written = text.strip()
    if not written:
        raise typer.BadParameter("write a number", param_hint=option)
    number = to_e164(written)
    plain = tuple(dict.fromkeys(filter(None, (number, written))))
    if number is None or tenant is None:
        return plain
    return (*plain, *_hidden(number, tenant, data_dir))


def _hidden(number: str, tenant: "TenantName", data_dir: Path) -> tuple[str, ...]:
    """What stands for the number in the tenant's records; nothing where there is no key, which a
    command that reads does not make."""
    from pydantic import SecretStr

    from sipagent import settings
    from sipagent.errors import SettingsError, StoreError
    from sipagent.store.numbers import KEY_FILE, VARIABLE, installation_key

    try:
        given = settings.value_of(VARIABLE)
        if given is None and not (data_dir / KEY_FILE).is_file():
            return ()
        key = installation_key(None if given is None else SecretStr(given), data_dir)
    except (SettingsError, StoreError) as error:
        fail(BAD_CONFIGURATION, str(error))
    return (key.stored(tenant, key.fingerprint(number)),)


def _outcomes(word: str | None) -> tuple[str, ...]:
    if word is None:
        return ()
    from sipagent.config.words import closest, quoted
    from sipagent.model import Kind, Reason
    from sipagent.store.reading import outcomes_of

    try:
        return outcomes_of(word)
    except ValueError:
        known = [*Kind, *(f"{reason.kind}.{reason}" for reason in Reason)]
        meant = closest(word, known)
        advice = f"did you mean {meant}?" if meant else f"write one of {', '.join(Kind)}"
        message = f"{quoted(word)} is no outcome: {advice}"
        raise typer.BadParameter(message, param_hint="--outcome") from None


def as_json(value: Any, *, indent: int | None = 2) -> str:
    """The value as JSON in which nothing can move a terminal's cursor or turn its text round."""
    from sipagent.sip.untrusted import visible

    text = json.dumps(value, indent=indent, ensure_ascii=False)
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(
        one if one == "\n" or visible(one) else json.dumps(one)[1:-1].replace("\x7f", "\\u007f")
        for one in text
    )
