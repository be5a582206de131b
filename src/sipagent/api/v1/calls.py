"""The calls: listed, told, and told in sentences."""

from dataclasses import asdict
from typing import Annotated, Final

from fastapi import APIRouter
from fastapi import Query as QueryOf
from pydantic import AfterValidator, Field, WithJsonSchema

from sipagent.api.v1.base import (
    Behind,
    CallName,
    Flag,
    Limit,
    Moment,
    Name,
    Numbers,
    Query,
    Reader,
    TenantWanted,
    found_call,
    full_numbers,
    judged,
    missing,
    records,
    seconds_of,
    whose,
)
from sipagent.api.v1.errors import described
from sipagent.api.v1.ports import Backend
from sipagent.api.v1.shapes import Call, Calls, CallStory, Why, of
from sipagent.model import Kind, Reason, TenantName
from sipagent.model.access import Deed, Principal
from sipagent.store.facts import Story
from sipagent.store.reading import CallFilter, Cursor, list_calls, outcomes_of, read_story
from sipagent.store.shown import shown_call, shown_story
from sipagent.store.why import tell

router = APIRouter(prefix="/api/v1/calls", tags=["calls"])


_OUTCOMES: Final = [*Kind, *(f"{reason.kind}.{reason}" for reason in Reason)]


def _outcome(word: str) -> str:
    return judged(word, outcomes_of, "there is no such outcome")


def _place(text: str) -> str:
    return judged(text, Cursor.parse, "copy it from `next`")


Outcome = Annotated[
    str, AfterValidator(_outcome), WithJsonSchema({"type": "string", "enum": _OUTCOMES})
]
Place = Annotated[
    str,
    Field(max_length=200, pattern=r"^[0-9]{1,12}(\.[0-9]{1,9})?~[A-Za-z0-9_-]+$"),
    AfterValidator(_place),
]
"""The text of a Cursor."""


class CallsWanted(Query):
    """Which calls are wanted."""

    tenant: TenantWanted = None
    agent: Name | None = Field(default=None, description="Of this agent.", examples=["reception"])
    outcome: Outcome | None = Field(
        default=None,
        description="That ended so: a kind as `failed`, or a whole outcome.",
        examples=["failed.accept_refused"],
    )
    since: Moment | None = Field(
        default=None,
        description="That began at or after: RFC 3339, or so long ago, as `2h`.",
        examples=["2h"],
    )
    until: Moment | None = Field(
        default=None, description="That began before.", examples=["2026-11-29T10:00:00Z"]
    )
    dialed: Name | None = Field(
        default=None, description="To this number.", examples=["+442079460018"]
    )
    caller: Name | None = Field(
        default=None, description="From this number.", examples=["+447700900123"]
    )
    trunk: Name | None = Field(default=None, description="By this trunk.", examples=["wavix"])
    account: Name | None = Field(default=None, description="On this account.", examples=["openai"])
    live: Flag = Field(default=False, description="That have not ended.", examples=["true"])
    limit: Limit = 50
    after: Place | None = Field(
        default=None,
        description="Go on after a page, with what its `next` said.",
        examples=["1795942331.302~rtc_u1_9c6574da"],
    )
    numbers: Numbers = None


class NumbersWanted(Query):
    """How telephone numbers are told."""

    numbers: Numbers = None


@router.get("", operation_id="list_calls", responses=described())
async def calls(by: Reader, behind: Behind, wanted: Annotated[CallsWanted, QueryOf()]) -> Calls:
    """List calls, the newest first."""
    tenant = whose(by, wanted.tenant)
    filter_ = _filter(behind, tenant, wanted)
    after = None if wanted.after is None else Cursor.parse(wanted.after)
    whole = await full_numbers(behind, by, wanted.numbers, Deed("calls.numbers", "calls", tenant))
    async with records(behind) as connection:
        page = await list_calls(connection, tenant, filter_, limit=wanted.limit, after=after)
    told = [of(Call, shown_call(one, numbers=whole)) for one in page.calls]
    return Calls(calls=told, next=None if page.next is None else str(page.next))


@router.get("/{call}", operation_id="get_call", responses=described(404))
async def call_(
    call: CallName, by: Reader, behind: Behind, wanted: Annotated[NumbersWanted, QueryOf()]
) -> CallStory:
    """Tell everything that is kept of a call, but for its words."""
    story = await story_of(behind, by, call, words=False)
    whole = await _whole(behind, by, wanted.numbers, story)
    data = shown_story(story, numbers=whole, words=False)
    told: CallStory = of(CallStory, data)
    return told


@router.get("/{call}/why", operation_id="explain_call", responses=described(404))
async def why(
    call: CallName, by: Reader, behind: Behind, wanted: Annotated[NumbersWanted, QueryOf()]
) -> Why:
    """Say in plain sentences why a call went as it went."""
    story = await story_of(behind, by, call, words=False)
    whole = await _whole(behind, by, wanted.numbers, story)
    parts = {name: list(lines) for name, lines in asdict(tell(story, numbers=whole)).items()}
    return Why(call_id=story.call.call_id, **parts)


async def story_of(behind: Backend, by: Principal, name: str, *, words: bool) -> Story:
    """The story of the call that has this name. Raises Problem 404."""
    call_id = await found_call(behind, by, name)
    async with records(behind) as connection:
        story = await read_story(connection, by.tenant, call_id, words=words)
    if story is None:
        raise missing("call")
    return story


async def _whole(behind: Backend, by: Principal, numbers: str | None, story: Story) -> bool:
    call = story.call
    deed = Deed("calls.numbers", call.call_id, TenantName(call.tenant))
    return await full_numbers(behind, by, numbers, deed)


def _filter(behind: Backend, tenant: TenantName | None, wanted: CallsWanted) -> CallFilter:
    now, forms = behind.clock.wall(), behind.records.forms_of
    return CallFilter(
        agent=wanted.agent,
        outcomes=() if wanted.outcome is None else outcomes_of(wanted.outcome),
        since=None if wanted.since is None else seconds_of(wanted.since, now),
        until=None if wanted.until is None else seconds_of(wanted.until, now),
        dialed=() if wanted.dialed is None else forms(wanted.dialed, tenant),
        caller=() if wanted.caller is None else forms(wanted.caller, tenant),
        trunk=wanted.trunk,
        account=wanted.account,
        live=wanted.live,
    )
