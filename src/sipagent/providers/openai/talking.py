"""Calls by WebRTC: a browser's offer goes to the provider with our session, and the answer comes
back with a call id, by which the call is then held like one of a telephone.

A request that may have taken effect is not sent again: there would be two calls. The one whose
answer was lost has no browser at its other end, so that it says nothing and costs nothing until
the provider ends it.
"""

import asyncio
import re
import secrets as random
from collections.abc import Callable
from typing import Any, Final

from pydantic_core import from_json, to_json

from sipagent.errors import TokenError
from sipagent.model import CallId, Json
from sipagent.model.secret import ReadSecret, no_secrets, with_secrets
from sipagent.providers.openai.account import Account
from sipagent.providers.openai.control import Attempt, judge
from sipagent.providers.openai.credentials import AuthHeaders
from sipagent.providers.openai.preflight import preflight
from sipagent.providers.openai.rest import Body, Rest, RestAnswer, RestError
from sipagent.sessions.machine.events import Answer
from sipagent.sessions.webrtc import TALK_WITHIN, Created, Issued

SECRET_FOR: Final = 60
"""Seconds for which a secret is good that is used at once."""

_PAUSE: Final = 0.25
_SDP: Final = "application/sdp"
_CALL_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NOT_ASKED: Final = RestAnswer(0, (), b"")

_Asked = tuple[Attempt, RestAnswer]


class OpenAITalking:
    """The calls by WebRTC of one account."""

    def __init__(self, account: Account, rest: Rest, secrets: ReadSecret = no_secrets) -> None:
        """`secrets` are those that sessions name."""
        self._account = account
        self._rest = rest
        self._secrets = secrets

    async def create(self, offer: str, session: Json, *, within: float = TALK_WITHIN) -> Created:
        """Have a call made of a browser's SDP offer, with this session, within so many seconds."""
        if problems := preflight(session, self._account.capabilities):
            return Created(Answer.REFUSED, f"preflight: {problems[0]}")
        sent = dict(with_secrets(session, self._secrets))
        until = asyncio.get_running_loop().time() + within
        if self._account.capabilities.secret_for_webrtc:
            issued = await self._issue(sent, SECRET_FOR, until)
            if issued.answer is not Answer.DONE:
                return Created(issued.answer, issued.detail)
            attempt, answer = await self._by_secret(offer, issued.value, until)
        else:
            attempt, answer = await self._by_key(offer, sent, until)
        if attempt.answer is not Answer.DONE:
            return Created(_refusal(attempt), f"create answered {attempt.detail}")
        return _created(answer)

    async def client_secret(
        self, session: Json, lasts: int, *, within: float = TALK_WITHIN
    ) -> Issued:
        """A secret with which somebody else's program may begin calls with this session for so many
        seconds (10 to 7200)."""
        if problems := preflight(session, self._account.capabilities):
            return Issued(Answer.REFUSED, f"preflight: {problems[0]}")
        until = asyncio.get_running_loop().time() + within
        return await self._issue(dict(with_secrets(session, self._secrets)), lasts, until)

    async def _by_key(self, offer: str, session: Json, until: float) -> _Asked:
        boundary = random.token_hex(16)
        parts = (("sdp", _SDP, offer.encode()), ("session", "application/json", to_json(session)))
        content = _multipart(boundary, parts)
        kind = f"multipart/form-data; boundary={boundary}"
        return await self._persist("calls", content, kind, until, twice=False)

    async def _by_secret(self, offer: str, secret: str, until: float) -> _Asked:
        """The session is what the secret was issued for."""
        bearer = AuthHeaders((("Authorization", f"Bearer {secret}"),))
        content = offer.encode()
        return await self._persist("calls", content, _SDP, until, twice=False, by=bearer)

    async def _issue(self, session: Json, lasts: int, until: float) -> Issued:
        expiry = {"anchor": "created_at", "seconds": lasts}
        content = to_json({"expires_after": expiry, "session": session})
        kind = "application/json"
        attempt, answer = await self._persist("client_secrets", content, kind, until, twice=True)
        if attempt.answer is not Answer.DONE:
            return Issued(_refusal(attempt), f"client_secrets answered {attempt.detail}")
        return _issued(answer)

    async def _persist(
        self,
        what: str,
        content: bytes,
        kind: str,
        until: float,
        *,
        twice: bool,
        by: AuthHeaders | None = None,
    ) -> _Asked:
        """The last attempt before the time is over. What cannot be asked for `twice` is not asked
        for again once it may have been done."""
        loop = asyncio.get_running_loop()
        url = f"{self._account.base_url}/realtime/{what}"
        while True:
            attempt, answer = await self._try(url, Body(content, kind), until - loop.time(), by)
            pause = _PAUSE if attempt.pause is None else attempt.pause
            vain = attempt.effect and not twice
            if not attempt.again or vain or loop.time() + pause >= until:
                return attempt, answer
            await asyncio.sleep(pause)

    async def _try(self, url: str, sending: Body, within: float, by: AuthHeaders | None) -> _Asked:
        def ask(headers: AuthHeaders) -> Any:
            return self._rest.post(url, headers.raw, sending, within=within)

        try:
            async with asyncio.timeout(within):
                answer = await (ask(by) if by is not None else self._authorized(ask))
        except TokenError as error:  # nothing has been sent
            word = Answer.REFUSED if error.refused else Answer.SILENT
            return Attempt(word, str(error), again=not error.refused), _NOT_ASKED
        except RestError as error:
            return Attempt(Answer.SILENT, error.what, again=True, effect=error.sent), _NOT_ASKED
        except TimeoutError as error:
            effect = sending.begun
            return Attempt(Answer.SILENT, type(error).__name__, True, effect), _NOT_ASKED
        return judge(answer), answer

    async def _authorized(self, ask: Callable[[AuthHeaders], Any]) -> RestAnswer:
        # What a key may not do here, it may do for calls that come by telephone.
        return await self._account.authorized(None, ask)


def _refusal(attempt: Attempt) -> Answer:
    """There is no call yet that could be gone, or decided."""
    if attempt.answer in (Answer.GONE, Answer.DECIDED):
        return Answer.REFUSED
    if attempt.answer is Answer.SILENT and not attempt.effect:
        return Answer.UNSENT
    return attempt.answer


def _created(answer: RestAnswer) -> Created:
    """The call that the answer speaks of (201, Location: /v1/realtime/calls/rtc_...). Where it
    says no more than that there is one, nobody can use it, and it must not be made again."""
    path = (answer.header(b"location") or "").partition("?")[0]
    call_id = path.rstrip("/").rpartition("/")[2]
    if not _CALL_ID.fullmatch(call_id):
        return Created(Answer.SILENT, f"create answered {answer.status} without a call id")
    sdp = answer.body.decode("utf-8", "replace")
    if not sdp.startswith("v=0"):
        detail = f"create answered {answer.status} without an SDP answer"
        return Created(Answer.SILENT, detail, CallId(call_id))
    return Created(Answer.DONE, str(answer.status), CallId(call_id), sdp)


def _issued(answer: RestAnswer) -> Issued:
    try:
        found: Any = from_json(answer.body)
        value, expires_at = found["value"], found["expires_at"]
    except (ValueError, KeyError, TypeError):
        return Issued(Answer.REFUSED, "client_secrets answered what cannot be read")
    fine = isinstance(value, str) and value.isascii() and value.isprintable()
    if not fine or isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
        return Issued(Answer.REFUSED, "client_secrets answered without a secret")
    return Issued(Answer.DONE, str(answer.status), value, float(expires_at))


def _multipart(boundary: str, parts: tuple[tuple[str, str, bytes], ...]) -> bytes:
    """The parts as a form (RFC 7578). A boundary of chance stands in none of them."""
    pieces = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, kind, content in parts
    ]
    return b"".join([*pieces, f"--{boundary}--\r\n".encode()])
