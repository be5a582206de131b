"""What is not there until the operator has a token, and who sees more than a status after that."""

from dataclasses import dataclass
from typing import Final

from fastapi import Request
from fastapi.security.utils import get_authorization_scheme_param
from starlette.types import ASGIApp, Receive, Scope, Send

from sipagent.api.problems import Problem, refused
from sipagent.api.v1.auth import Doorkeeper, address_of, check_operator
from sipagent.api.v1.ports import Keys

_BEARER: Final = "bearer"


@dataclass(frozen=True, slots=True)
class Curtain:
    """An ASGI application: `app`, which is not there for anybody until the operator has a token.

    So whoever runs the service without its control API has none that could be found.
    """

    app: ASGIApp
    keys: Keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or await self.keys.any_operator():
            await self.app(scope, receive, send)
        else:
            await refused(404)(scope, receive, send)


@dataclass(frozen=True, slots=True)
class OperatorsDetails:
    """Details of health and the metrics are the operator's alone, once there is a token by which
    the operator can be told from others; until then they are everybody's."""

    keys: Keys
    doorkeeper: Doorkeeper

    async def shown(self, request: Request) -> bool:
        """Whether whoever asks sees details; a token that cannot be judged shows none."""
        if not await self.keys.any_operator():
            return True
        if _token(request) is None:
            return False
        try:
            return await self._operators(request)
        except Problem:
            return False

    async def require(self, request: Request) -> None:
        """Raises Problem for whoever sees none."""
        if await self.keys.any_operator():
            await self._operators(request)

    async def _operators(self, request: Request) -> bool:
        check_operator(await self.doorkeeper.admit(_token(request), address_of(request)))
        return True


def _token(request: Request) -> str | None:
    scheme, token = get_authorization_scheme_param(request.headers.get("authorization"))
    return token if scheme.lower() == _BEARER and token else None
