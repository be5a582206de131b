"""Is the process alive, is it ready for calls, and how much does it do."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from sipagent.metrics import Metrics


@dataclass(frozen=True, slots=True)
class UnreadyReason:
    """Why no new call should come here, or what is wrong though calls can be taken."""

    part: str
    code: str
    detail: str


Reasons = Callable[[], Sequence[UnreadyReason]]


def health_router(unready: Reasons, metrics: Metrics, degraded: Reasons = tuple) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`. Liveness depends on nothing but the event loop.

    `degraded` is what is wrong while calls can be taken: it shows, and readiness stays 200.
    """
    router = APIRouter()

    async def alive() -> Response:
        return JSONResponse({"status": "alive"})

    async def ready() -> Response:
        reasons = [asdict(reason) for reason in unready()]
        defects = [asdict(reason) for reason in degraded()]
        status = "unready" if reasons else "degraded" if defects else "ready"
        content = {"status": status, "reasons": reasons}
        if defects:
            content["degraded"] = defects
        return JSONResponse(content, status_code=503 if reasons else 200)

    async def numbers() -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    for path, endpoint in (
        ("/healthz", alive),
        ("/livez", alive),
        ("/readyz", ready),
        ("/metrics", numbers),
    ):
        router.add_api_route(path, endpoint, methods=["GET", "HEAD"], include_in_schema=False)
    return router
