"""*History*: calls by filters, the newest first; words that were said; the list as a file."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from sipagent.api.console import asking
from sipagent.api.console.directory import trunks_of
from sipagent.api.console.exporting import MOST_EXPORTED, TYPES, exported
from sipagent.api.console.refusals import Refused
from sipagent.api.console.shell import Posted, Shell, Visitor
from sipagent.api.v1.ports import Backend, Deed
from sipagent.model import Kind, Reason, TenantName
from sipagent.model.access import Scope
from sipagent.store.reading import (
    LONGEST_SEARCH,
    CallFilter,
    Cursor,
    Hit,
    Page,
    count_calls,
    list_calls,
    outcomes_of,
    search_turns,
)

PAGE: Final = 50
MOST_HITS: Final = 100
SEARCH_DAYS: Final = int(LONGEST_SEARCH // asking.DAY)
LEAST_REASON: Final = 5

_FIELDS: Final = ("tenant", "agent", "outcome", "since", "until", "dialed", "caller", "trunk")
_OUTCOMES: Final = (*Kind, *sorted(f"{reason.kind}.{reason}" for reason in Reason))
_NUMBERS: Final = frozenset({"dialed", "caller"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calls a visitor wants: what the fields hold, whose calls these are, and the filter."""

    fields: Mapping[str, str] = field(repr=False)
    tenant: TenantName | None
    filter: CallFilter

    @property
    def query(self) -> str:
        """The fields as they stand in a URL."""
        return urlencode({name: value for name, value in self.fields.items() if value})

    def told(self) -> dict[str, Any]:
        """The filter for the audit, in which no caller's number may stand."""
        found = {name: value for name, value in self.fields.items() if value}
        return {name: ("given" if name in _NUMBERS else value) for name, value in found.items()}


def wanted_of(backend: Backend, visitor: Visitor, given: Mapping[str, str]) -> Wanted:
    """What these fields ask for. Raises Refused for what cannot be meant."""
    fields = asking.clipped(given, _FIELDS)
    tenant = asking.whose(visitor, fields["tenant"])
    if visitor.principal.tenant is not None:
        fields["tenant"] = ""
    forms = backend.records.forms_of
    wanted = CallFilter(
        agent=fields["agent"] or None,
        outcomes=_outcomes(fields["outcome"]),
        since=asking.moment(fields["since"], "From"),
        until=asking.moment(fields["until"], "Until"),
        dialed=forms(fields["dialed"], tenant) if fields["dialed"] else (),
        caller=forms(fields["caller"], tenant) if fields["caller"] else (),
        trunk=fields["trunk"] or None,
    )
    return Wanted(fields, tenant, wanted)


def _outcomes(word: str) -> tuple[str, ...]:
    if not word:
        return ()
    try:
        return outcomes_of(word)
    except ValueError:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "There is no such outcome.") from None


def router(backend: Backend, shell: Shell) -> APIRouter:
    routes = APIRouter()
    visits = Annotated[Visitor, Depends(shell.visitor)]
    posts = Annotated[Posted, Depends(shell.posted(Scope.READ))]
    administers = Annotated[Posted, Depends(shell.posted(Scope.ADMIN))]
    pages = History(backend, shell)

    @routes.get("/history")
    async def history(request: Request, visitor: visits) -> Response:
        return await pages.listed(request, visitor)

    @routes.post("/history/words")
    async def words(request: Request, posted: posts) -> Response:
        return await pages.searched(request, posted)

    @routes.post("/history/export")
    async def export(posted: administers) -> Response:
        return await pages.exported(posted)

    return routes


@dataclass(frozen=True, slots=True)
class History:
    """The page's answers."""

    backend: Backend
    shell: Shell

    async def listed(self, request: Request, visitor: Visitor) -> Response:
        wanted = wanted_of(self.backend, visitor, request.query_params)
        after = _cursor(request.query_params.get("after", ""))
        async with asking.records(self.backend) as connection:
            page = await list_calls(
                connection, wanted.tenant, wanted.filter, limit=PAGE, after=after
            )
        return self._page(request, visitor, wanted, page)

    async def searched(self, request: Request, posted: Posted) -> Response:
        """Turns with these words. A tenant's own people see them; an operator gives a reason, which
        the tenant can read in its audit."""
        visitor = posted.visitor
        wanted = wanted_of(self.backend, visitor, posted.fields)
        words, reason = posted.text("words", most=200), posted.text("reason", most=500)
        if not words:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Write what to search for.")
        tenant = _searchable(visitor, wanted.tenant, reason)
        begin, end = asking.span(
            wanted.filter.since, wanted.filter.until, self.backend.clock.wall(), days=SEARCH_DAYS
        )
        deed = Deed(
            "calls.search",
            f"turns of {tenant}",
            tenant,
            {"since": begin, "until": end},
            reason or None,
        )
        await asking.audited(self.backend, visitor.principal, deed)
        async with asking.records(self.backend) as connection:
            hits = await search_turns(
                connection,
                tenant,
                words.replace("\x00", ""),
                since=begin,
                until=end,
                limit=MOST_HITS,
            )
        return self._page(request, visitor, wanted, None, hits, words)

    async def exported(self, posted: Posted) -> Response:
        """The calls that the filter leaves as a file; numbers are whole only where that is asked
        for."""
        principal, form = posted.visitor.principal, posted.text("form", most=10)
        if form not in TYPES:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "There is no such form of a file.")
        numbers = posted.text("numbers", most=10) == "yes"
        wanted = wanted_of(self.backend, posted.visitor, posted.fields)
        if numbers and wanted.tenant is None:
            words = "Name the tenant whose callers these are: it sees in its audit who had them."
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, words)
        async with asking.records(self.backend) as connection:
            many = await count_calls(connection, wanted.tenant, wanted.filter, most=MOST_EXPORTED)
        if many > MOST_EXPORTED:
            words = f"These are more than {MOST_EXPORTED:,} calls. Choose a shorter time."
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, words)
        told = {"form": form, "numbers": numbers, "calls": many, "filter": wanted.told()}
        deed = Deed("calls.export", "calls", wanted.tenant, told)
        await asking.audited(self.backend, principal, deed)
        body = exported(self.backend, wanted.tenant, wanted.filter, form, numbers=numbers)
        return _file(body, form)

    def _page(
        self,
        request: Request,
        visitor: Visitor,
        wanted: Wanted,
        page: Page | None,
        hits: Sequence[Hit] = (),
        words: str = "",
    ) -> Response:
        older = None if page is None or page.next is None else _older(wanted, page.next)
        return self.shell.page(
            request,
            visitor,
            "history.html",
            fields=wanted.fields,
            tenants=asking.tenants_to_choose(self.backend, visitor),
            agents=asking.agents_to_choose(self.backend, wanted.tenant),
            trunks=trunks_of(self.backend.config.table, visitor.principal.tenant),
            outcomes=_OUTCOMES,
            page=page,
            older=older,
            hits=hits,
            words=words,
            most=MOST_EXPORTED,
            days=SEARCH_DAYS,
        )


def _searchable(visitor: Visitor, tenant: TenantName | None, reason: str) -> TenantName:
    """Whose words may be searched. Raises Refused."""
    if tenant is None:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Name the tenant whose words these are.")
    if visitor.principal.is_operator and len(reason) < LEAST_REASON:
        words = "Give the reason for which you search a tenant's words. The tenant can read it."
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, words)
    return tenant


def _cursor(text: str) -> Cursor | None:
    if not text:
        return None
    try:
        return Cursor.parse(text.replace("\x00", ""))
    except ValueError:
        words = "This link is no place in the list. Begin at its top."
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, words) from None


def _older(wanted: Wanted, cursor: Cursor) -> str:
    after = urlencode({"after": str(cursor)})
    return f"/console/history?{wanted.query}{'&' if wanted.query else ''}{after}"


def _file(body: AsyncIterator[str], form: str) -> StreamingResponse:
    named = f'attachment; filename="calls.{form}"'
    headers = {"Content-Disposition": named, "Cache-Control": "no-store"}
    return StreamingResponse(body, media_type=TYPES[form], headers=headers)
