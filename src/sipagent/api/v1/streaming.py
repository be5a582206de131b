"""Live events as a response: server-sent events, for the control API and the console alike.

`EventStream(watch.call(...), render, by)` is the whole of it: `render` makes of one
LiveEvent its frame (see `frame`), or b"" of what this viewer is not told. Who renders for many
viewers alike shares one `Once`.
"""

from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from typing import Final

from starlette.responses import StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from sipagent.api.problems import problem
from sipagent.model import TenantName
from sipagent.model.access import Principal
from sipagent.model.live import LiveEvent

MOST_VIEWERS: Final = 1000
"""Streams that are open in one process."""

MOST_OF_TENANT: Final = 600
"""Streams that are open with a tenant's tokens, of which it can make any number."""

MOST_OF_TOKEN: Final = 50
"""Streams that are open with one token."""

RETRY: Final = 2000
"""Milliseconds after which a browser comes back."""

REMEMBERED: Final = 1024
"""Events whose frames are kept for the next viewer."""

LONGEST_ID: Final = 512

Render = Callable[[LiveEvent], bytes]
Batches = AsyncIterator[Sequence[LiveEvent]]

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # else nginx collects what is to be seen at once
}
_HEARTBEAT: Final = b":\n\n"


def frame(data: str, *, event: str = "", id: str = "") -> bytes:  # noqa: A002  # the field's name
    """One server-sent event. Without an `id` a viewer goes on behind the one before it."""
    lines = [f"event: {event}"] if event else []
    text = data.replace("\r\n", "\n").replace("\r", "\n")  # each of them ends a line
    lines += [f"data: {line}" for line in text.split("\n")]
    if id:
        lines.append(f"id: {id}")
    return ("\n".join(lines) + "\n\n").encode()


async def stream(batches: Batches, render: Render) -> AsyncIterator[bytes]:
    """The frames of these events, many in one piece where many have happened; where nothing
    happens, a comment as often as a batch is empty."""
    yield f"retry: {RETRY}\n\n".encode()
    async for batch in batches:
        if shown := b"".join(map(render, batch)):
            yield shown
        elif not batch:
            yield _HEARTBEAT


class Once:
    """Renders each event once, however many viewers get it."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._known: OrderedDict[int, tuple[LiveEvent, bytes]] = OrderedDict()

    def __call__(self, event: LiveEvent) -> bytes:
        known = self._known.get(id(event))
        if known is not None and known[0] is event:
            return known[1]
        rendered = self._render(event)
        self._known[id(event)] = event, rendered
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return rendered


class Seats:
    """How many streams are open: in all, by tenant, and by token."""

    def __init__(
        self,
        most: int = MOST_VIEWERS,
        most_of_token: int = MOST_OF_TOKEN,
        most_of_tenant: int = MOST_OF_TENANT,
    ) -> None:
        self._most = most
        self._most_of_token = most_of_token
        self._most_of_tenant = most_of_tenant
        self._taken: Counter[str] = Counter()
        self._of_tenant: Counter[TenantName] = Counter()

    def refusal(self, by: Principal) -> tuple[int, str, str] | None:
        """Why there is no room for another one: a status, a code and words."""
        if self._taken[by.token_id] >= self._most_of_token:
            return 429, "too-many-streams", f"This token has {self._most_of_token} open streams."
        if by.tenant is not None and self._of_tenant[by.tenant] >= self._most_of_tenant:
            return 429, "too-many-streams", f"This tenant has {self._most_of_tenant} open streams."
        if self._taken.total() >= self._most:
            return 503, "too-many-viewers", f"{self._most} streams are open. Try again later."
        return None

    @contextmanager
    def taken(self, by: Principal) -> Iterator[None]:
        self._count(by, 1)
        try:
            yield
        finally:
            self._count(by, -1)

    def _count(self, by: Principal, change: int) -> None:
        self._taken[by.token_id] += change
        self._taken = +self._taken  # without those that have none
        if by.tenant is not None:
            self._of_tenant[by.tenant] += change
            self._of_tenant = +self._of_tenant


class EventStream(StreamingResponse):
    """Events until they end, the viewer goes, or the service does. Its viewer has a seat among
    those of the application; where there is none the answer is 429 or 503."""

    media_type = "text/event-stream"

    def __init__(
        self,
        opened: AbstractAsyncContextManager[Batches],
        render: Render,
        by: Principal,
    ) -> None:
        self._opened = opened
        self._render = render
        self._by = by
        self._frames = self._told()
        super().__init__(self._frames, headers=_HEADERS)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        seats = seats_of(scope)
        async with aclosing(self._frames):
            if (refusal := seats.refusal(self._by)) is not None:
                await problem(*refusal, headers={"Retry-After": "10"})(scope, receive, send)
                return
            with seats.taken(self._by):
                await super().__call__(scope, receive, send)

    async def _told(self) -> AsyncGenerator[bytes, None]:
        async with self._opened as batches:
            async for piece in stream(batches, self._render):
                yield piece


def seats_of(scope: AsgiScope) -> Seats:
    """The seats of the application that serves this request."""
    state = scope["app"].state
    if not hasattr(state, "seats"):
        state.seats = Seats()
    seats = state.seats
    assert isinstance(seats, Seats)
    return seats
