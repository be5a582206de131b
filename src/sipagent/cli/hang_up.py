"""`sipagent hang-up`: end one held call, whichever replica holds it."""

from typing import TYPE_CHECKING, Annotated

import typer

from sipagent.cli.options import fail
from sipagent.cli.process import BAD_CONFIGURATION, FINDINGS, UNREACHABLE, USAGE
from sipagent.errors import EngineError, SettingsError
from sipagent.model.ids import CallId, is_call_id

if TYPE_CHECKING:
    from sipagent.model.request import Reply


def hang_up(
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID", help="The call's id, rtc_...")],
    goodbye: Annotated[
        bool, typer.Option("--goodbye", help="After the agent has said goodbye.")
    ] = False,
) -> None:
    """End a call that is held, whichever replica holds it.

    Asks by the engine that replicas share (SIPAGENT_ENGINE=redis://...). Exit codes: 0 it is being
    ended, 1 nobody holds such a call or it cannot be ended now, 2 usage, 3 the engine is away or
    nobody has answered, 78 settings cannot be used.
    """
    import asyncio

    from sipagent import settings

    if not is_call_id(call_id):
        fail(USAGE, f"{call_id!r} is not the id of a call: letters, digits, _ and -")
    try:
        url = settings.read().redis_url
    except SettingsError as error:
        fail(BAD_CONFIGURATION, str(error))
    if url is None:
        reason = "SIPAGENT_ENGINE is embedded: this command asks replicas, by Redis"
        fail(USAGE, f"{reason}; ask POST /api/v1/calls/{call_id}/hang-up, or use the console")
    try:
        replied = asyncio.run(_ask(url, CallId(call_id), goodbye=goodbye))
    except EngineError as error:
        fail(UNREACHABLE, f"the engine is away: {error}")
    match replied.answer.value:
        case "done":
            typer.echo(f"{call_id} is being ended")
        case "unknown_call":
            fail(FINDINGS, f"nobody holds {call_id}")
        case "refused":
            fail(FINDINGS, f"{call_id} is not ended: {replied.why}")
        case _:
            fail(UNREACHABLE, "whoever holds the call has not answered; ask again")


async def _ask(url: str, call_id: CallId, *, goodbye: bool) -> "Reply":
    import asyncio

    from sipagent.engine.desk import nobody
    from sipagent.engine.redis.link import Link
    from sipagent.engine.redis.notices import Notices
    from sipagent.engine.redis.requests import ANSWERED_WITHIN, Requests
    from sipagent.engineroom import replica_name
    from sipagent.model.request import HangUp

    name = replica_name()
    async with Link(url) as link:
        notices = Notices(link, name)
        requests = Requests(link, notices, name, nobody)
        async with notices:
            try:
                async with asyncio.timeout(ANSWERED_WITHIN):
                    await notices.listening.wait()
            except TimeoutError:
                raise EngineError("no answer in time") from None
            try:
                return await requests.ask(call_id, HangUp(goodbye))
            finally:
                await requests.close()
