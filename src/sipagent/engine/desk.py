"""Where held calls are acted on: in this process, where no other holds any."""

import secrets
from collections.abc import Callable

from sipagent.model import CallId
from sipagent.model.request import CallRequest, Replied, Reply

Act = Callable[[CallId, CallRequest, str], Reply | None]
"""Does what is wanted of a call, once for each key; None if the call is not held here."""


def nobody(_: CallId, __: CallRequest, ___: str) -> None:
    """Acts on no call: none is held here."""


class LocalDesk:
    """Acts on the calls of this process, once it is known who holds them."""

    def __init__(self, act: Act = nobody) -> None:
        self.act = act

    async def ask(self, call_id: CallId, request: CallRequest, *, key: str = "") -> Reply:
        """Have this done with a call. The same `key` twice is one request."""
        replied = self.act(call_id, request, key or secrets.token_hex(16))
        return replied or Reply(Replied.UNKNOWN_CALL)
