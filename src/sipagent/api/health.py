"""Is the process alive, is it ready for calls, and how much does it do."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from sipagent.metrics import Metrics


@dataclass(frozen=True, slots=True)
class UnreadyReason:
    """Why no new call should come here, or what is wrong though calls can be taken."""

    part: str
    code: str
    detail: str


Reasons = Callable[[], Sequence[UnreadyReason]]


class Details(Protocol):
    """Who sees more of a process than that it lives and is ready."""

    async def shown(self, request: Request) -> bool:
        """Whether whoever asks sees why it is not ready."""

    async def require(self, request: Request) -> None:
        """Raises what is answered to whoever does not see the metrics."""


class Everybodys:
    """Details for everybody who can ask."""

    async def shown(self, _: Request) -> bool:
        return True

    async def require(self, _: Request) -> None:
        """Raises nothing."""


class Nobodys:
    """No details here: another listener has them."""

    async def shown(self, _: Request) -> bool:
        return False

    async def require(self, _: Request) -> None:
        """Raises what an address that nobody knows is answered."""
        raise HTTPException(404)


def health_router(
    unready: Reasons,
    metrics: Metrics,
    degraded: Reasons = tuple,
    details: Details | None = None,
) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`. Liveness depends on nothing but the event loop.

    `degraded` is what is wrong while calls can be taken: it shows, and readiness stays 200.
    `details` says who sees what is wrong, and the metrics; without it everybody does.
    """
    sight = details or Everybodys()
    router = APIRouter()

    async def alive() -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(request: Request) -> Response:
        reasons = [asdict(reason) for reason in unready()]
        defects = [asdict(reason) for reason in degraded()]
        status = "unready" if reasons else "degraded" if defects else "ready"
        content: dict[str, object] = {"status": status}
        if await sight.shown(request):
            content["reasons"] = reasons
            if defects:
                content["degraded"] = defects
        return JSONResponse(content, status_code=503 if reasons else 200)

    async def numbers(request: Request) -> Response:
        await sight.require(request)
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    for path, endpoint in (
        ("/healthz", alive),
        ("/livez", alive),
        ("/readyz", ready),
        ("/metrics", numbers),
    ):
        router.add_api_route(path, endpoint, methods=["GET", "HEAD"], include_in_schema=False)
    return router
