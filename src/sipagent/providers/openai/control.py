"""REST call control: accept, reject, hang up, each within its deadline."""

import asyncio
import random
from dataclasses import dataclass
from typing import Final

from pydantic_core import from_json, to_json

from sipagent.errors import TokenError
from sipagent.model import CallId, Json
from sipagent.model.secret import ReadSecret, no_secrets, with_secrets
from sipagent.model.shared import Lasting, OfShared
from sipagent.providers.openai.account import Account, Action
from sipagent.providers.openai.preflight import preflight
from sipagent.providers.openai.rest import ATTEMPT_WITHIN, Body, Rest, RestAnswer, RestError
from sipagent.sessions.machine.events import AcceptAnswered, Answer
from sipagent.sessions.ports import END_WITHIN

REFER_WITHIN: Final = 5.0
"""Seconds for the provider to relay a REFER."""

_PAUSES: Final = (0.1, 0.25, 0.5, 1.0)
"""Seconds between attempts, a little more by chance; the last one repeats."""

_NO_CALL: Final = CallId("rtc_sipagent_check")

_RETRIED: Final = frozenset({408, 429})
"""And everything from 500 on, what proxies on the way answer (520 to 530) included."""

_UNKNOWN_CALL: Final = frozenset(
    {"call_id_not_found", "call_not_found", "session_not_found", "session_id_not_found"}
)
"""Codes of a 404 that speak of the call. Others speak of something else that is not there: Azure's
DeploymentNotFound, model_not_found, the address itself."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one request led to. `effect` says that it may have taken effect all the same."""

    answer: Answer
    detail: str
    again: bool = False
    effect: bool = False
    pause: float | None = None


def judge(answer: RestAnswer) -> Attempt:
    """What an answer means (reference: the API's error shape `{"error": {"code": ...}}`)."""
    status = answer.status
    if 200 <= status < 300:
        return Attempt(Answer.DONE, str(status))
    code = error_code(answer)
    detail = f"{status} {code}" if code else str(status)
    if code == "decision_already_made" or status == 409:
        return Attempt(Answer.DECIDED, detail)
    if status == 404 and (code is None or code in _UNKNOWN_CALL):
        return Attempt(Answer.GONE, detail)
    if status in _RETRIED or status >= 500:
        pause = retry_after(answer)
        return Attempt(Answer.SILENT, detail, again=True, effect=status >= 500, pause=pause)
    return Attempt(Answer.REFUSED, detail)


def error_code(answer: RestAnswer) -> str | None:
    """The error's code: a short word of the provider's, or None. Never its message, which may
    quote what we sent."""
    try:
        code = from_json(answer.body)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return None
    return code[:64] if isinstance(code, str) and code.isprintable() else None


def retry_after(answer: RestAnswer) -> float | None:
    """Seconds from a Retry-After header that gives seconds (RFC 9110 10.2.3)."""
    value = answer.header(b"retry-after") or ""
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else None


_as_json: Final = OfShared[Json, bytes](lambda session: to_json(dict(session)))


def _body_of(session: Json) -> bytes:
    """The session as it is sent; where all calls to an agent have the same, it is made once."""
    return _as_json(session) if isinstance(session, Lasting) else to_json(dict(session))


class OpenAICallControl:
    """The calls of one account, over a shared pool of connections."""

    def __init__(self, account: Account, rest: Rest, secrets: ReadSecret = no_secrets) -> None:
        """`secrets` are those that sessions name."""
        self._account = account
        self._rest = rest
        self._secrets = secrets

    async def accept(self, call_id: CallId, session: Json, *, within: float) -> AcceptAnswered:
        """Have the call answered, retrying what is safe to retry for at most `within` seconds.

        An attempt whose answer was lost may have taken effect. The provider takes one decision
        for each call, so trying again is safe; a 404 after such an attempt proves nothing, and
        is told as DECIDED, so that the socket shows the truth.
        """
        if problems := preflight(session, self._account.capabilities):
            return AcceptAnswered(Answer.REFUSED, f"preflight: {problems[0]}")
        body = _body_of(with_secrets(session, self._secrets))
        attempt, effect = await self._persist(call_id, "accept", body, within)
        answer = attempt.answer
        if effect and answer is Answer.GONE:
            answer = Answer.DECIDED
        elsewhere = attempt.answer is Answer.DECIDED and not effect
        return AcceptAnswered(answer, f"accept answered {attempt.detail}", elsewhere)

    async def reject(self, call_id: CallId, code: int, *, within: float = END_WITHIN) -> Answer:
        """Have the call refused with a SIP status code."""
        attempt, _ = await self._persist(call_id, "reject", to_json({"status_code": code}), within)
        return attempt.answer

    async def hang_up(self, call_id: CallId, *, within: float = END_WITHIN) -> Answer:
        """Have the call ended. To ask twice is harmless."""
        attempt, _ = await self._persist(call_id, "hangup", b"", within)
        return attempt.answer

    async def refer(self, call_id: CallId, target_uri: str) -> Answer:
        """Have a REFER sent, once. DONE says that it was relayed, not that anybody answered.

        Tried again only where the provider cannot have acted on the request: a carrier that gets
        two REFERs may ring two people. UNSENT says that it never could, SILENT that it may have.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + REFER_WITHIN
        body = to_json({"target_uri": target_uri})
        while True:
            left = deadline - loop.time()
            attempt = await self._try(call_id, "refer", body, left)
            if not attempt.again or attempt.effect:
                return attempt.answer
            if loop.time() + _PAUSES[0] >= deadline:
                return Answer.UNSENT
            await asyncio.sleep(_PAUSES[0])

    async def check(self) -> None:
        """Ask for something harmless, so that the account's health is known: the hang-up of a
        call that there cannot be is answered with 404, where it is not refused with 401 or 403."""
        await self._try(_NO_CALL, "hangup", b"", ATTEMPT_WITHIN)

    async def _persist(
        self, call_id: CallId, action: Action, body: bytes, within: float
    ) -> tuple[Attempt, bool]:
        """The last attempt, and whether an earlier one may have taken effect."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        effect = False
        tries = 0
        while True:
            left = deadline - loop.time()
            attempt = await self._try(call_id, action, body, min(ATTEMPT_WITHIN, left))
            pause = attempt.pause
            if pause is None:
                pause = _PAUSES[min(tries, len(_PAUSES) - 1)] * random.uniform(1.0, 1.25)  # noqa: S311  # spread, not secrecy
            if not attempt.again or loop.time() + pause >= deadline:
                return attempt, effect
            effect = effect or attempt.effect
            tries += 1
            await asyncio.sleep(pause)

    async def _try(self, call_id: CallId, action: Action, body: bytes, within: float) -> Attempt:
        url = self._account.call_url(call_id, action)
        sending = Body(body)
        try:
            async with asyncio.timeout(within):
                answer = await self._account.authorized(
                    action, lambda headers: self._rest.post(url, headers.raw, sending)
                )
        except TokenError as error:  # nothing has been sent
            answer_word = Answer.REFUSED if error.refused else Answer.SILENT
            return Attempt(answer_word, str(error), again=not error.refused)
        except RestError as error:
            return Attempt(Answer.SILENT, error.what, again=True, effect=error.sent)
        except TimeoutError as error:
            # Time may have run out while a token or a connection was waited for.
            effect = sending.begun
            return Attempt(Answer.SILENT, type(error).__name__, again=True, effect=effect)
        return judge(answer)
