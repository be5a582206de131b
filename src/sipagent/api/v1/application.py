"""The control API as one application: its routers, its description, and the page that shows it."""

from typing import Final

from fastapi import Depends, FastAPI

from sipagent import __version__
from sipagent.api.silent import SILENT
from sipagent.api.v1 import (
    acting,
    agents,
    auditing,
    auth,
    calls,
    configuration,
    docs,
    errors,
    events,
    explaining,
    myself,
    numbers,
    talk,
    tokens,
    unrouted,
    usage,
    words,
)
from sipagent.api.v1.auth import Doorkeeper
from sipagent.api.v1.bounds import Bounded, Unstored
from sipagent.api.v1.idempotency import Once
from sipagent.api.v1.ports import Backend

_DESCRIPTION: Final = """\
What happens to calls, and what is done about it.

Send a token of `sipagent tokens create` as `Authorization: Bearer TOKEN`. A tenant's token sees
that tenant's calls, numbers and agents; whatever is another's is answered as what does not exist:
404. The operator's sees all, and opens words of calls with a `reason` that the tenant can see.

Errors are problem details (RFC 9457); `code` is for programs. A POST with an `Idempotency-Key` is
done once, however often it is sent. Telephone numbers are masked unless they are asked for in full.
"""

_TAGS: Final = [
    {"name": "calls", "description": "What calls there are and were."},
    {"name": "words", "description": "What was said. Each reading stands in the audit."},
    {"name": "events", "description": "Calls as they happen, as server-sent events."},
    {"name": "acting on calls", "description": "Stepping in while a call is held."},
    {"name": "talk", "description": "Talking to an agent from a browser."},
    {"name": "numbers", "description": "Whose numbers, who answers, and the red button."},
    {"name": "agents", "description": "Who answers."},
    {"name": "config", "description": "What is in force."},
    {"name": "usage", "description": "Sums, cost and waiting."},
    {"name": "access", "description": "Tokens, and who did what."},
]

# Those of words come first: `/calls/search` is no call.
_ROUTERS: Final = (
    myself.router,
    words.router,
    calls.router,
    events.router,
    acting.router,
    talk.router,
    numbers.router,
    unrouted.router,
    explaining.router,
    agents.router,
    configuration.router,
    usage.router,
    tokens.router,
    auditing.router,
)


def control_application(backend: Backend) -> FastAPI:
    """The control API on this backend. Further routers may be included; who may call them is what
    `auth.require` says."""
    app = FastAPI(
        title="sipagent",
        summary="Control API",
        telemetry=SILENT,
        description=_DESCRIPTION,
        version=__version__,
        openapi_tags=_TAGS,
        openapi_url=None,  # it is made below, beside the calls
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(errors.said_once)],
    )
    errors.install(app)
    app.state.backend = backend
    app.state.once = Once(backend.records, backend.clock)
    auth.install(app, Doorkeeper(backend.keys, backend.clock))
    for router in _ROUTERS:
        app.include_router(router)
    description = docs.Description(app.openapi)
    app.add_api_route("/docs", description.page, methods=["GET"], include_in_schema=False)
    app.add_api_route("/openapi.json", description.json, methods=["GET"], include_in_schema=False)
    app.add_middleware(Bounded)
    app.add_middleware(Unstored)
    return app
