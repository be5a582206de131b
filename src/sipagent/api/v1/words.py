"""The words of calls: transcripts and search. Whoever opens them stands in the audit, which the
tenant can read; an operator says why."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from fastapi import Query as QueryOf
from pydantic import Field

from sipagent.api.problems import Problem
from sipagent.api.v1.base import (
    Behind,
    CallName,
    Limit,
    Moment,
    Name,
    Numbers,
    Query,
    Reader,
    Reason,
    TenantWanted,
    Words,
    noted,
    records,
    seconds_of,
    whose,
)
from sipagent.api.v1.base import full_numbers as full
from sipagent.api.v1.calls import story_of
from sipagent.api.v1.errors import Unusable, described
from sipagent.api.v1.shapes import Hit, Hits, Transcript, Turn, of
from sipagent.model import TenantName
from sipagent.model.access import Deed, Principal
from sipagent.store.reading import LONGEST_SEARCH, search_turns
from sipagent.store.shown import iso, said, shown_story

router = APIRouter(prefix="/api/v1/calls", tags=["words"])

_MONTH: Final = 31 * 86400.0


class TranscriptWanted(Query):
    """How words are read."""

    numbers: Numbers = None
    reason: Reason = None


class Searched(Query):
    """What is searched for, and where."""

    text: Words = Field(description="What was said, in any case.", examples=["refund"])
    tenant: TenantWanted = None
    since: Moment | None = Field(
        default=None, description="From this time on; else the last 31 days.", examples=["7d"]
    )
    until: Moment | None = Field(default=None, description="Until before; else now.")
    limit: Limit = 50
    numbers: Numbers = None
    reason: Reason = None


# Before `/{call}`, which would take `search` for a call.
@router.get("/search", operation_id="search_calls", responses=described(404))
async def search(by: Reader, behind: Behind, wanted: Annotated[Searched, QueryOf()]) -> Hits:
    """Search what was said in a tenant's calls of at most 31 days, the newest first."""
    tenant = whose(by, wanted.tenant)
    if tenant is None:
        raise Problem(403, "tenant-needed", "An operator searches one tenant's words: name it.")
    _justified(by, wanted.reason)
    now = behind.clock.wall()
    until = now if wanted.until is None else seconds_of(wanted.until, now)
    since = until - _MONTH if wanted.since is None else seconds_of(wanted.since, now)
    if not 0 <= until - since <= LONGEST_SEARCH + 1:
        raise Unusable("?since", "At most 31 days may lie between `since` and `until`.")
    whole = await full(behind, by, wanted.numbers, Deed("calls.numbers", "search", tenant))
    await noted(behind, by, Deed("calls.search", "search", tenant, None, wanted.reason))
    async with records(behind) as connection:
        found = await search_turns(
            connection,
            tenant,
            wanted.text,
            since=max(since, until - LONGEST_SEARCH),
            until=until,
            limit=wanted.limit,
        )
    return Hits(
        hits=[
            Hit(
                call_id=one.call_id,
                sequence=one.sequence,
                at=str(iso(one.at)),
                speaker=one.speaker,
                text=said(one.text, numbers=whole),
            )
            for one in found
        ]
    )


@router.get("/{call}/transcript", operation_id="get_transcript", responses=described(404))
async def transcript(
    call: CallName, by: Reader, behind: Behind, wanted: Annotated[TranscriptWanted, QueryOf()]
) -> Transcript:
    """Tell what was said, what tools were given and gave, and what messages say."""
    story = await story_of(behind, by, call, words=False)
    _justified(by, wanted.reason)
    call_id, tenant = story.call.call_id, TenantName(story.call.tenant)
    whole = await full(behind, by, wanted.numbers, Deed("calls.numbers", call_id, tenant))
    await noted(behind, by, Deed("calls.transcript", call_id, tenant, None, wanted.reason))
    story = await story_of(behind, by, call_id, words=True)
    return _told(shown_story(story, numbers=whole, words=True))


def _told(data: dict[str, Any]) -> Transcript:
    turns = [of(Turn, one) for one in data["transcript"]]
    told: Transcript = of(Transcript, {**data, "turns": turns})
    return told


def _justified(by: Principal, reason: Name | None) -> None:
    """Raises Problem 403 where an operator does not say why words are opened."""
    if by.is_operator and reason is None:
        detail = (
            "An operator opens a tenant's words with a `reason`, which the tenant can see in the"
            " audit."
        )
        raise Problem(403, "reason-needed", detail)
