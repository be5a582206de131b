"""The control API from Python: `Client`, and `AsyncClient` for asyncio.

An *ask* is one request; a *noun* is what an answer holds, as a TypedDict. Pages are followed by
themselves, requests that may be repeated are, and each POST has an idempotency key of its own. What
the API refuses is raised as an `ApiError` with its problem details. Nothing of the service is
imported.
"""

from sipagent.client.aio import AsyncClient
from sipagent.client.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    SipagentClientError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    UnreadableError,
    UnsendableError,
)
from sipagent.client.nouns import Event
from sipagent.client.sync import Client

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "ConflictError",
    "Event",
    "ForbiddenError",
    "InvalidError",
    "NotFoundError",
    "SipagentClientError",
    "UnauthorizedError",
    "UnavailableError",
    "UnreachableError",
    "UnreadableError",
    "UnsendableError",
]
