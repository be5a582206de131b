"""The page of one call: what is said and done in it as it happens, and its story afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Request, Response

from sipagent.api.console.items import Item, item_of, items_of
from sipagent.api.console.live import state_of
from sipagent.api.console.picture import Picture, picture
from sipagent.api.console.shell import (
    Posted,
    Refused,
    Shell,
    Visitor,
    call_named,
    see_other,
)
from sipagent.api.v1.base import full_numbers, missing, noted, records
from sipagent.api.v1.ports import Backend, Deed
from sipagent.api.v1.streaming import frame
from sipagent.model import CallId, Happening, Speaker, TenantName
from sipagent.model.access import Scope
from sipagent.model.live import LiveEvent, LiveKind
from sipagent.store.facts import Story
from sipagent.store.reading import read_story
from sipagent.store.reading.speech import Reached, Speech, speech
from sipagent.store.why import Told, tell

OPEN_FOR: Final = 3600
"""Seconds for which words stay opened."""

LONGEST_REASON: Final = 256

_HOLD, _RESUME = "hold", "resume"


@dataclass(frozen=True, slots=True)
class Shown:
    """All that the page shows. `grant` opens the words of this call to this session, empty where
    they stay closed."""

    story: Story
    state: str
    items: Sequence[Item] = field(repr=False)
    picture: Picture
    told: Told = field(repr=False)
    cost: int | None
    grant: str = field(repr=False)
    numbers: bool
    destinations: Sequence[str] = ()
    colleagues: Sequence[str] = ()

    @property
    def after(self) -> str:
        """The event behind which the stream is to go on: that of the last turn, if there is one."""
        turns = [item.id for item in self.items if item.look in ("caller", "agent")]
        number = turns[-1].removeprefix("turn-") if turns else ""
        return f"turn.{number}@{self.story.call.call_id}" if turns else ""

    @property
    def live(self) -> bool:
        return self.story.call.ended_at is None

    @property
    def quiet(self) -> bool:
        """Whether somebody on duty has the agent say nothing, in a call that goes on."""
        turned = [step.detail for step in self.story.steps if _turns(step.what, step.detail)]
        return self.live and turned[-1:] == [_HOLD]


def router(backend: Backend, shell: Shell) -> APIRouter:
    routes = APIRouter()
    _page(routes, backend, shell)
    _parts(routes, backend, shell)
    return routes


def _page(routes: APIRouter, backend: Backend, shell: Shell) -> None:
    """The page, and the form that opens its words."""
    visits = Annotated[Visitor, Depends(shell.visitor)]
    checked = Annotated[Posted, Depends(shell.checked)]

    @routes.get("/calls/{name}")
    async def page(
        request: Request, visitor: visits, name: str, words: str = "", numbers: str = ""
    ) -> Response:
        call_id, tenant = await _whose(backend, visitor, name)
        grant = await _grant(backend, visitor, call_id, tenant, words)
        deed = Deed("calls.numbers", call_id, tenant)
        whole = await full_numbers(backend, visitor.principal, numbers, deed)
        shown = await _shown(backend, visitor, call_id, grant=grant, numbers=whole)
        return shell.page(request, visitor, "call.html", shown=shown)

    @routes.post("/calls/{name}/words")
    async def open_words(posted: checked, name: str) -> Response:
        visitor = posted.visitor
        call_id, tenant = await _whose(backend, visitor, name)
        reason = posted.text("reason", most=LONGEST_REASON)
        if visitor.principal.is_operator and not reason:
            words = "Please say why you open the words: the tenant can see it."
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, words)
        await _noted(backend, visitor, call_id, tenant, reason or None)
        grant = granted(visitor, call_id, backend.clock.wall())
        return see_other(f"/console/calls/{quote(call_id)}?{urlencode({'words': grant})}")


def _parts(routes: APIRouter, backend: Backend, shell: Shell) -> None:
    """What the page asks for while the call goes on."""
    visits = Annotated[Visitor, Depends(shell.visitor)]

    @routes.get("/calls/{name}/now")
    async def now(visitor: visits, name: str, words: str = "") -> Response:
        shown = await _again(backend, visitor, name, words)
        answer = shell.part(visitor, "call_now.html", shown=shown)
        if not shown.live:
            answer.headers["HX-Refresh"] = "true"
        return answer

    @routes.get("/calls/{name}/lines")
    async def lines(visitor: visits, name: str, words: str = "") -> Response:
        shown = await _again(backend, visitor, name, words)
        return shell.part(visitor, "call_lines.html", shown=shown)

    @routes.get("/calls/{name}/events")
    async def events(
        request: Request, visitor: visits, name: str, words: str = "", after: str = ""
    ) -> Response:
        call_id, _ = await _whose(backend, visitor, name)
        heard = opened(visitor, call_id, words, backend.clock.wall())
        render = Renderer(shell, visitor, heard)
        last = request.headers.get("last-event-id") or after or None
        if last == f"{LiveKind.ENDED}@{call_id}":
            return Response(status_code=HTTPStatus.NO_CONTENT)
        until = ends_at(words) if heard else None
        return shell.stream(request, visitor, backend.watch.call(call_id, last), render, until)


class Renderer:
    """Makes of a call's events what the page swaps: a line that is new or has changed, a piece of
    what is being said, or the word that the page is to look again."""

    def __init__(self, shell: Shell, visitor: Visitor, words: bool) -> None:
        self._shell = shell
        self._visitor = visitor
        self._words = words

    def __call__(self, event: LiveEvent) -> bytes:
        match event.kind:
            case LiveKind.WORDS:
                return self._spoken(event.data) if self._words else b""
            case LiveKind.ENDED | LiveKind.GAP:
                return frame("", event=event.kind.value, id=event.id)
            case LiveKind.DECIDED | LiveKind.ANSWERED | LiveKind.ATTACHED | LiveKind.HEARD:
                return frame("", event="progress", id=event.id)
            case _:
                item = item_of(event, words=self._words)
                return b"" if item is None else self._line(item, event.id) + _turned(event)

    def _line(self, item: Item, id_: str) -> bytes:
        html = self._shell.part_text(self._visitor, "call_item.html", item=item)
        return frame(html, id=id_)

    def _spoken(self, data: Mapping[str, Any]) -> bytes:
        side = "agent" if data.get("speaker") == Speaker.AGENT else "caller"
        html = self._shell.part_text(
            self._visitor, "call_words.html", side=side, text=str(data.get("text", ""))
        )
        return frame(html)


def _turns(what: str, detail: str | None) -> bool:
    """Whether this step is that the agent is to say nothing, or is to answer again."""
    return what == Happening.STEPPED_IN and detail in (_HOLD, _RESUME)


def _turned(event: LiveEvent) -> bytes:
    """The word that the page is to look again, after a step that it shows in other places too."""
    if event.kind is not LiveKind.STEP or not _turns(
        str(event.data.get("what")), str(event.data.get("detail"))
    ):
        return b""
    return frame("", event="progress", id=event.id)


async def _whose(backend: Backend, visitor: Visitor, name: str) -> tuple[CallId, TenantName]:
    call = await call_named(backend, visitor, name)
    return CallId(call.call_id), TenantName(call.tenant)


async def _grant(
    backend: Backend, visitor: Visitor, call_id: CallId, tenant: TenantName, words: str
) -> str:
    """What opens the words: the tenant's own people get it with the page, and it is noted."""
    now = backend.clock.wall()
    if opened(visitor, call_id, words, now):
        return words
    if visitor.principal.is_operator:
        return ""
    await _noted(backend, visitor, call_id, tenant, None)
    return granted(visitor, call_id, now)


async def _noted(
    backend: Backend, visitor: Visitor, call_id: CallId, tenant: TenantName, reason: str | None
) -> None:
    deed = Deed("calls.transcript", call_id, tenant, None, reason)
    await noted(backend, visitor.principal, deed)


def granted(visitor: Visitor, call_id: CallId, now: float) -> str:
    """What opens the words of a call to this session for an hour."""
    until = f"{int(now) + OPEN_FOR:x}"
    return f"{until}.{visitor.seal('words', call_id, until)}"


def opened(visitor: Visitor, call_id: CallId, grant: str, now: float) -> bool:
    """Whether this grant is ours and still good."""
    until, _, seal = grant.partition(".")
    if not seal or not visitor.sealed(seal, "words", call_id, until):
        return False
    return now < ends_at(grant)


def ends_at(grant: str) -> float:
    """When a grant of ours ends, unix seconds."""
    return int(grant.partition(".")[0], 16)


async def _again(backend: Backend, visitor: Visitor, name: str, words: str) -> Shown:
    """What a part of the page shows, whose words are open or not as the page's were."""
    call_id, _ = await _whose(backend, visitor, name)
    grant = words if opened(visitor, call_id, words, backend.clock.wall()) else ""
    return await _shown(backend, visitor, call_id, grant=grant, numbers=False)


async def _shown(
    backend: Backend, visitor: Visitor, call_id: CallId, *, grant: str, numbers: bool
) -> Shown:
    tenant, words = visitor.principal.tenant, bool(grant)
    async with records(backend) as connection:
        story = await read_story(connection, tenant, call_id, words=words)
        spoken = await speech(connection, tenant, call_id)
    if story is None:
        raise missing("call")
    live = story.call.ended_at is None and visitor.principal.may(Scope.CONTROL)
    plan = story.plan or {}
    return Shown(
        story,
        state_of(story.call, _reached(story, spoken)),
        items_of(story, spoken, words=words, numbers=numbers),
        picture(story, spoken, backend.clock.wall()),
        tell(story, numbers=numbers),
        cost_so_far(story),
        grant,
        numbers,
        tuple(destinations_of(plan)) if live else (),
        tuple(colleagues_of(plan)) if live else (),
    )


def _reached(story: Story, spoken: Sequence[Speech]) -> Reached:
    """How far the call has come."""
    call_ids = frozenset({story.call.call_id})
    attached = any(step.what == Happening.ATTACHED for step in story.happenings)
    return Reached(call_ids if attached else frozenset(), call_ids if spoken else frozenset())


def cost_so_far(story: Story) -> int | None:
    """Micro-dollars; None where nothing is known."""
    if story.call.cost is not None:
        return story.call.cost
    known = [one.cost for one in story.usage if one.cost is not None]
    return sum(known) if known else None


def destinations_of(plan: Mapping[str, Any]) -> list[str]:
    """Where the call may be sent."""
    ways = plan.get("ways") or {}
    return [str(one["destination"]) for one in ways.get("destinations", ())]


def colleagues_of(plan: Mapping[str, Any]) -> list[str]:
    """The agents that may go on with the call, the first one among them."""
    others = [str(one["agent"]) for one in plan.get("colleagues", ())]
    return [str(plan["agent"]), *others] if others and plan.get("agent") else others
