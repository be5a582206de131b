"""Is the process alive, is it ready for calls, and how much does it do."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from sipagent.metrics import Metrics


@dataclass(frozen=True, slots=True)
class UnreadyReason:
    """Why no new call should come here."""

    part: str
    code: str
    detail: str


def health_router(unready: Callable[[], Sequence[UnreadyReason]], metrics: Metrics) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`. Liveness depends on nothing but the event loop."""
    router = APIRouter()

    async def alive() -> Response:
        return JSONResponse({"status": "alive"})

    async def ready() -> Response:
        reasons = [asdict(reason) for reason in unready()]
        status = "unready" if reasons else "ready"
        return JSONResponse(
            {"status": status, "reasons": reasons}, status_code=503 if reasons else 200
        )

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
