"""The page on which somebody talks to an agent: by microphone, or by typing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from sipagent.api.console.call import granted, opened
from sipagent.api.console.shell import Posted, Refused, Shell, Visitor
from sipagent.api.problems import Problem
from sipagent.api.v1.base import missing, noted, records
from sipagent.api.v1.errors import Unusable
from sipagent.api.v1.ports import Backend
from sipagent.api.v1.talk import AgentWanted, begin, talk_of, verify_offer
from sipagent.model import CallId, TenantName
from sipagent.model.access import Deed, Scope
from sipagent.model.ids import is_call_id
from sipagent.routing import RoutingTable
from sipagent.routing.talks import TALK
from sipagent.store.facts import CallRow
from sipagent.store.reading import read_call

MOST_NUMBERS: Final = 500
"""Numbers that are offered to choose from; any other can be written."""

_LONGEST_NAME: Final = 256
_WRITTEN_WITHIN: Final = 3.0
_LOOK_EVERY: Final = 0.1
_TALKER: Final = "talker"
_OWN: Final = "whoever reads it is the caller: a call from the browser"


@dataclass(frozen=True, slots=True)
class Choice:
    """An agent that can be talked to; `value` is what the form sends."""

    value: str
    name: str
    languages: Sequence[str]


def router(backend: Backend, shell: Shell) -> APIRouter:
    routes = APIRouter()
    _page(routes, backend, shell)
    _begin(routes, backend, shell)
    _call(routes, backend, shell)
    return routes


def _page(routes: APIRouter, backend: Backend, shell: Shell) -> None:
    """The page, before there is a call."""
    visits = Annotated[Visitor, Depends(shell.visitor)]

    @routes.get("/talk")
    async def page(
        request: Request, visitor: visits, agent: str = "", tenant: str = "", number: str = ""
    ) -> Response:
        table, own = backend.config.table, visitor.principal.tenant
        choices = choices_of(table, own)
        chosen = _chosen(choices, f"{tenant}/{agent}" if tenant else agent)
        languages = sorted({word for one in choices for word in one.languages})
        return shell.page(
            request,
            visitor,
            "talk.html",
            choices=choices,
            pairs=[(one.value, one.name) for one in choices],
            chosen=chosen,
            absent=agent if agent and not chosen else "",
            numbers=numbers_of(table, own),
            number=number[:64],
            languages=languages,
        )


def _begin(routes: APIRouter, backend: Backend, shell: Shell) -> None:
    """What the page's script asks for a call by."""
    posts = Annotated[Posted, Depends(shell.posted(Scope.CONTROL))]

    @routes.post("/talk/begin")
    async def begun(posted: posts) -> Response:
        """The SDP answer to the page's offer, as JSON; what is wrong is JSON too."""
        by = posted.visitor.principal
        try:
            wanted = _wanted(posted)
            offer = posted.fields.get("sdp", "")
            verify_offer(offer)
            told = await begin(backend, by, talk_of(backend, by, wanted), offer)
        except Unusable as error:
            return _wrong(HTTPStatus.UNPROCESSABLE_ENTITY, error.detail)
        except Problem as problem:
            return _wrong(problem.status, problem.detail)
        grant = granted(posted.visitor, CallId(told.call_id), backend.clock.wall())
        where = f"/console/talk/calls/{quote(told.call_id)}?{urlencode({'words': grant})}"
        return JSONResponse({"call_id": told.call_id, "sdp": told.sdp, "shown": where}, 201)


def _call(routes: APIRouter, backend: Backend, shell: Shell) -> None:
    """What the page shows of its call."""
    visits = Annotated[Visitor, Depends(shell.visitor)]

    @routes.get("/talk/calls/{name}")
    async def call(request: Request, visitor: visits, name: str, words: str = "") -> Response:
        """What is said in a call of a browser, for the session alone that has begun it: whoever
        else wants to read it opens its words on the call's own page."""
        call_id = CallId(name)
        if not is_call_id(name) or not opened(visitor, call_id, words, backend.clock.wall()):
            raise missing("call")
        found = await _written(backend, visitor, call_id)
        reason = _OWN if visitor.principal.is_operator else None
        deed = Deed("calls.transcript", call_id, TenantName(found.tenant), None, reason)
        await noted(backend, visitor.principal, deed)
        return shell.part(visitor, "talk_call.html", call=found, grant=words)


def choices_of(table: RoutingTable, own: TenantName | None) -> list[Choice]:
    """The agents of this tenant, or of all, by their names."""
    several = len({key[0] for key in table.agents}) > 1
    return [
        Choice(
            f"{tenant}/{agent}",
            f"{agent} ({tenant})" if own is None and several else str(agent),
            [one.language for one in profile.editions if one.language is not None],
        )
        for (tenant, agent), profile in sorted(table.agents.items())
        if own in (None, tenant)
    ]


def _chosen(choices: Sequence[Choice], wanted: str) -> str:
    """The value of the agent that is wanted by its tenant and name, or by a name that is one
    agent's alone; else none."""
    values = [one.value for one in choices]
    named = [value for value in values if value.partition("/")[2] == wanted]
    if wanted in values:
        return wanted
    return named[0] if len(named) == 1 else ""


def numbers_of(table: RoutingTable, own: TenantName | None) -> list[str]:
    """Some of the numbers that a call can be as if to."""
    found: dict[str, None] = {}
    for directory in table.directories.values():
        for route in directory.exact.values():
            if own in (None, route.tenant):
                found.setdefault(route.key)
            if len(found) >= MOST_NUMBERS:
                return [*found]
    return [*found]


def _wanted(posted: Posted) -> AgentWanted:
    """Raises Unusable."""
    tenant, _, agent = posted.text("agent", most=_LONGEST_NAME).rpartition("/")
    number = posted.text("number", most=_LONGEST_NAME) or None
    language = posted.text("language", most=_LONGEST_NAME) or None
    try:
        return AgentWanted(agent=agent, tenant=tenant or None, number=number, language=language)
    except ValueError:
        raise Unusable("#/agent", "Please choose an agent.") from None


def _wrong(status: int, words: str) -> JSONResponse:
    return JSONResponse({"wrong": words}, status)


async def _written(backend: Backend, visitor: Visitor, call_id: CallId) -> CallRow:
    """The call, as soon as it is in the records, which is a moment after it has begun. Raises
    Problem 404."""
    try:
        async with asyncio.timeout(_WRITTEN_WITHIN):
            while True:
                async with records(backend) as connection:
                    found = await read_call(connection, visitor.principal.tenant, call_id)
                if found is not None:
                    break
                await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError:
        raise missing("call") from None
    if found.dialed_source != TALK:
        raise Refused(HTTPStatus.CONFLICT, "This is no call from a browser.")
    return found
