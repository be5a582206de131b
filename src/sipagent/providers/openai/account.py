"""One account as requests see it: where it is, and what proves that we may speak for it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

from sipagent.errors import TokenError
from sipagent.model import AccountName, CallId
from sipagent.providers.accounts import CAPABILITIES, Capabilities
from sipagent.providers.openai.credentials import AuthHeaders, Credentials
from sipagent.providers.openai.health import AccountHealth

_UNAUTHORIZED = 401

Action = Literal["accept", "reject", "refer", "hangup", "attach"]
"""What is asked for: the last word of a call's URL, or its socket."""


class Answered(Protocol):
    """An answer with an HTTP status."""

    @property
    def status(self) -> int: ...


Answer = TypeVar("Answer", bound=Answered)


@dataclass(slots=True)
class Account:
    """One OpenAI project or Azure resource. `base_url` is the API's root with its version, without
    a slash at the end, for REST and for sockets.

    `credentials` may be replaced at any time, also while calls are held: each request looks.
    """

    name: AccountName
    base_url: str
    credentials: Credentials
    health: AccountHealth
    capabilities: Capabilities = CAPABILITIES["openai"]

    def call_url(self, call_id: CallId, action: Action) -> str:
        return f"{self.base_url}/realtime/calls/{call_id}/{action}"

    @property
    def sockets_url(self) -> str:
        """Where the calls' sockets are: on the REST API's own host, also for regional ones."""
        scheme, host, path, _, _ = urlsplit(self.base_url)
        secure = "wss" if scheme == "https" else "ws"
        return urlunsplit((secure, host, f"{path}/realtime", "", ""))

    async def authorized(
        self, action: Action | None, ask: Callable[[AuthHeaders], Awaitable[Answer]]
    ) -> Answer:
        """The answer to a request, sent again at once with other credentials for as long as it is
        refused with 401 and others are left. Raises what `ask` raises, and TokenError.

        What is no `action` of calls says nothing of whether the account can take them."""
        credentials = self.credentials
        try:
            headers = await credentials.headers()
            answer = await ask(headers)
            if answer.status == _UNAUTHORIZED:
                answer = await self._otherwise(credentials, [headers], ask, answer)
        except TokenError as error:
            self.health.without_token(error.code)
            raise
        if action is not None:
            self.health.answered(answer.status, action)
        return answer

    async def _otherwise(
        self,
        credentials: Credentials,
        refused: list[AuthHeaders],
        ask: Callable[[AuthHeaders], Awaitable[Answer]],
        answer: Answer,
    ) -> Answer:
        while answer.status == _UNAUTHORIZED:
            headers = await credentials.another(refused)
            if headers is None:
                break
            refused.append(headers)
            answer = await ask(headers)
        return answer
