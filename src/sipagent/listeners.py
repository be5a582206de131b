"""What is answered on which listener.

The provider's webhooks have the public one. What is the operator's stands beside them there, behind
tokens, or on a listener of its own that need not be reached from outside.
"""

from dataclasses import dataclass

from fastapi import FastAPI
from starlette.types import ASGIApp

from sipagent import __version__
from sipagent.api import problems
from sipagent.api.health import Details, Everybodys, Nobodys, health_router
from sipagent.api.silent import SILENT
from sipagent.api.webhooks import WebhookFront, WebhookReceiver
from sipagent.controlroom import ControlFront, Controlroom
from sipagent.lifetime import Lifetime
from sipagent.upkeep import Readiness


@dataclass(frozen=True, slots=True)
class Listeners:
    """What each listener serves: `public` also begins and ends the service, `admin` is the
    operator's own, where there is one."""

    public: ASGIApp
    admin: ASGIApp | None = None


def listeners(
    receiver: WebhookReceiver,
    readiness: Readiness,
    lifetime: Lifetime,
    control: Controlroom | None,
    *,
    apart: bool,
) -> Listeners:
    """The listeners of a service; with `apart` the operator has one alone."""
    watched = _Watched(receiver, readiness)
    if apart:
        inside = watched.app(Everybodys())
        admin = inside if control is None else ControlFront(control.app, inside)
        return Listeners(WebhookFront(receiver, watched.app(Nobodys(), lifetime)), admin)
    outside = watched.app(Everybodys() if control is None else control.details, lifetime)
    beside = outside if control is None else ControlFront(control.app, outside)
    return Listeners(WebhookFront(receiver, beside))


@dataclass(frozen=True, slots=True)
class _Watched:
    receiver: WebhookReceiver
    readiness: Readiness

    def app(self, details: Details, lifetime: Lifetime | None = None) -> FastAPI:
        """What those who watch the process ask; of what is asked in vain it says no more than
        that."""
        app = FastAPI(
            title="sipagent",
            telemetry=SILENT,
            version=__version__,
            lifespan=None if lifetime is None else lifetime.__call__,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            redirect_slashes=False,  # the provider counts a redirect as a failure
        )
        problems.install(app)
        unready, degraded = self.readiness.unready, self.readiness.degraded
        app.include_router(health_router(unready, self.receiver.metrics, degraded, details))
        return app
