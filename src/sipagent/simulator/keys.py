"""Who may speak to the provider: keys of a project, and tokens that Microsoft Entra has issued."""

import time
import uuid
from collections.abc import Iterable
from urllib.parse import parse_qs

from pydantic_core import to_json
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sipagent.simulator.refusal import NO_KEY, WRONG_KEY, JsonObject, Refusal

TOKEN_LIFE = 3600.0


class Entra:
    """Issues tokens that are refused after `life` seconds.

    `proofs` are the client secrets and assertions that are taken, None for any; while `down` is
    set, nobody gets a token. `asked` counts the requests.
    """

    def __init__(self, life: float = TOKEN_LIFE, proofs: Iterable[str] | None = None) -> None:
        self.life = life
        self.proofs = None if proofs is None else set(proofs)
        self.down = False
        self.asked = 0
        self._ends: dict[str, float] = {}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/{tenant}/oauth2/v2.0/token", self._token, methods=["POST"]),
            Route("/metadata/identity/oauth2/token", self._metadata),
        ]

    def holds(self, token: str) -> bool | None:
        """Whether a token is still good; None for what has never been issued here."""
        end = self._ends.get(token)
        return None if end is None else time.monotonic() < end

    def end_all(self) -> None:
        """No token that has been issued is good any more."""
        self._ends = dict.fromkeys(self._ends, 0.0)

    async def _token(self, request: Request) -> Response:
        self.asked += 1
        form = parse_qs((await request.body()).decode())
        given = [*form.get("client_secret", []), *form.get("client_assertion", [])]
        if self.down:
            return _json({"error": "temporarily_unavailable"}, 503)
        if form.get("grant_type") != ["client_credentials"] or not form.get("scope"):
            return _json({"error": "invalid_request"}, 400)
        if not given or (self.proofs is not None and not self.proofs.intersection(given)):
            return _json({"error": "invalid_client"}, 401)
        return _json({"token_type": "Bearer", "expires_in": self.life, **self._issue()})

    async def _metadata(self, request: Request) -> Response:
        """What a machine's own endpoint (IMDS) answers: its numbers are texts."""
        self.asked += 1
        if self.down:
            return _json({"error": "internal_error"}, 500)
        if request.headers.get("metadata") != "true" or "resource" not in request.query_params:
            return _json({"error": "invalid_request"}, 400)
        ends = str(int(time.time() + self.life))
        life = str(int(self.life))
        content = {"token_type": "Bearer", "expires_in": life, "expires_on": ends}
        return _json({**content, **self._issue()})

    def _issue(self) -> JsonObject:
        token = f"eyJ.{uuid.uuid4().hex}"
        self._ends[token] = time.monotonic() + self.life
        return {"access_token": token}


class Keys:
    """The keys that are taken, None for any. A token of `entra` is taken for as long as it is
    good."""

    def __init__(self, keys: Iterable[str] | None, entra: Entra) -> None:
        self.valid = None if keys is None else set(keys)
        self.refused = 0
        self._entra = entra

    def refusal(self, connection: HTTPConnection) -> Refusal | None:
        """None for a request whose key or token is taken."""
        given = _given(connection)
        if not given:
            return NO_KEY
        good = self._entra.holds(given)
        if good is None:
            good = self.valid is None or given in self.valid
        if good:
            return None
        self.refused += 1
        return WRONG_KEY


def _given(connection: HTTPConnection) -> str:
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return connection.headers.get("api-key", "").strip()


def _json(body: JsonObject, status: int = 200) -> Response:
    return Response(to_json(body), status, media_type="application/json")
