"""Whether an account's credentials work, as the provider's answers have it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from sipagent.model import AccountName

log = structlog.get_logger(__name__)

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403

_HEALS: Final = frozenset({404, 409})
"""Refusals that nobody hears without credentials that work, as any answer below 400."""

_ACCEPT: Final = "accept"
_REFER: Final = "refer"
"""May be forbidden by the carrier alone: that says nothing of the account."""

FORBIDDEN_FOR: Final = 300.0
"""Seconds after a 403 in which only what was forbidden can show that it is allowed again."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with an account: a stable word, a sentence, and since when (unix seconds)."""

    code: str
    detail: str
    since: float


class AccountHealth:
    """`trouble` is why no call can be answered now; `stale` why an older secret is still in use.

    `fallen_ill` is called whenever trouble begins.
    """

    def __init__(
        self,
        account: AccountName,
        fallen_ill: Callable[[], None] | None = None,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account = account
        self._fallen_ill = fallen_ill
        self._wall = wall
        self._monotonic = monotonic
        self._forbidden = ""
        self._forbidden_at = float("-inf")
        self.trouble: Trouble | None = None
        self.stale: Trouble | None = None

    @property
    def healthy(self) -> bool:
        return self.trouble is None

    def answered(self, status: int, action: str) -> None:
        """Note how the provider has answered a request with this account's credentials."""
        if self.trouble is None and status < 400:
            return
        if status == _UNAUTHORIZED:
            self._ill("unauthorized", "The provider refuses every key or token of the account.")
        elif status == _FORBIDDEN and action != _REFER:
            self._note_forbidden(action)
            self._ill("forbidden", "The account's key or identity may not do what calls need.")
        elif self.trouble is not None and self._heals(self.trouble, status, action):
            log.info("account works again", account=self._account, after=self.trouble.code)
            self.trouble = None

    def _note_forbidden(self, action: str) -> None:
        ill = self.trouble is not None and self.trouble.code == "forbidden"
        if not ill or self._forbidden != _ACCEPT:  # what calls need most is what must work again
            self._forbidden = action
        self._forbidden_at = self._monotonic()

    def _heals(self, trouble: Trouble, status: int, action: str) -> bool:
        """Whether an answer shows that the account works. To be allowed one thing proves nothing
        of another: a key that may not accept calls may well be let reject them."""
        allowed = status < 400 or status in _HEALS
        if trouble.code != "forbidden" or self._monotonic() >= self._forbidden_at + FORBIDDEN_FOR:
            return allowed
        return status < 400 if action == _ACCEPT else allowed and action == self._forbidden

    def without_token(self, code: str) -> None:
        """Note that no token could be had, and the identity provider's word for why."""
        self._ill("no-token", f"Microsoft Entra gives no token: {code}.")

    def begin_anew(self) -> None:
        """Forget the trouble: the credentials are others now."""
        self.trouble = None

    def kept_old(self, problem: str | None) -> None:
        """Note that a secret could not be read again; None where all could."""
        if problem is None:
            self.stale = None
        elif self.stale is None or self.stale.detail != problem:
            log.warning("secrets not read", account=self._account, problem=problem)
            self.stale = Trouble("stale-secrets", problem, self._wall())

    def _ill(self, code: str, detail: str) -> None:
        before = self.trouble
        if before is not None and before.code == code:
            return
        log.error("account does not work", account=self._account, code=code, detail=detail)
        self.trouble = Trouble(code, detail, self._wall())
        if before is None and self._fallen_ill is not None:
            self._fallen_ill()
