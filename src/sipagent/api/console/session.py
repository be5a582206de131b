"""What a browser keeps of somebody who is signed in. Pure.

The *session* is one cookie: when it began, a random word, both sealed with the token, and the token
itself. So every replica can read it without asking another, and whoever revokes the token ends all
its sessions. Scripts cannot read the cookie, other sites cannot have it sent, and it goes to
`/console` only, not to whatever else lives on this host.
"""

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from fastapi import Response

LIFE: Final = 12 * 3600
"""Seconds for which somebody stays signed in: a long shift."""

LONGEST_TOKEN: Final = 256
PATH: Final = "/console"

PLAIN: Final = "sipagent-console"
SECURE: Final = f"__Secure-{PLAIN}"
"""Browsers take a cookie of this name from https only. `__Host-` would need `Path=/`."""

_HEX: Final = re.compile(r"[0-9a-f]{1,16}", re.ASCII)
"""Anybody can seal a cookie, with a token that they made up."""

_AHEAD: Final = 300.0
"""Seconds that the clock of the replica that signed somebody in may be ahead."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A session as its cookie has it. Nobody has asked yet whether the token holds."""

    token: str = field(repr=False)
    key: bytes = field(repr=False)

    @property
    def csrf(self) -> str:
        """What a form of this session brings back."""
        return _sealed(self.key, "csrf")


def begin(token: str, now: float) -> str:
    """A new session's cookie."""
    began = f"{int(now):x}.{secrets.token_urlsafe(18)}"
    return f"{began}.{_sealed(token.encode(), began)}.{token}"


def read(cookies: Mapping[str, str], now: float) -> Kept | None:
    """The session that a browser sends; None if there is none, or its time is over."""
    value = cookies.get(SECURE) or cookies.get(PLAIN) or ""
    parts = value.split(".", 3)
    if len(parts) != 4 or not value.isascii():
        return None
    began, word, seal, token = parts
    text = f"{began}.{word}"
    if not token or not hmac.compare_digest(seal, _sealed(token.encode(), text)):
        return None
    if not _HEX.fullmatch(began) or not now - LIFE < int(began, 16) <= now + _AHEAD:
        return None
    return Kept(token, hmac.new(token.encode(), f"session {text}".encode(), sha256).digest())


def is_sent(cookies: Mapping[str, str]) -> bool:
    """Whether the browser has sent any session, good or not."""
    return SECURE in cookies or PLAIN in cookies


def keep(response: Response, cookie: str, *, secure: bool) -> None:
    """Have the browser keep it for as long as the session lives."""
    response.set_cookie(
        SECURE if secure else PLAIN,
        cookie,
        max_age=LIFE,
        path=PATH,
        secure=secure,
        httponly=True,
        samesite="strict",
    )


def forget(response: Response) -> None:
    """Have the browser keep nothing of a session."""
    for name, secure in ((SECURE, True), (PLAIN, False)):
        response.delete_cookie(name, path=PATH, secure=secure, httponly=True, samesite="strict")


def _sealed(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), sha256).hexdigest()
