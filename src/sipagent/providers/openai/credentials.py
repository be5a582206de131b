"""What proves that we may speak for an account: looked up anew at each request.

A key that is refused is no reason to lose a call while another one is there: whoever gets a 401
asks for the next headers and sends the same request again.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Final, Protocol

import structlog

from sipagent.errors import SecretError
from sipagent.providers.accounts import AccountSpec
from sipagent.providers.secrets import SecretSource

log = structlog.get_logger(__name__)

REFUSED_FOR: Final = 60.0
"""Seconds for which a refused key comes after the others."""

READ_EVERY: Final = 1.0
"""Seconds between two readings of a key file that refusals lead to."""

Lines = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class AuthHeaders:
    """The headers of one key or token, as sockets (`lines`) and REST (`raw`) want them. Two are
    the same only where they are one object; they never show in `repr`."""

    given: InitVar[Lines]
    lines: Lines = field(init=False, repr=False)
    raw: tuple[tuple[bytes, bytes], ...] = field(init=False, repr=False)

    def __post_init__(self, given: Lines) -> None:
        object.__setattr__(self, "lines", given)
        raw = tuple((name.encode("ascii"), value.encode("ascii")) for name, value in given)
        object.__setattr__(self, "raw", raw)


class Credentials(Protocol):
    """Where an account's headers come from. No method raises anything but TokenError."""

    async def headers(self) -> AuthHeaders:
        """The headers to send. Suspends only where nothing fresh is there.

        Raises TokenError where nothing can be had.
        """

    async def another(self, refused: Sequence[AuthHeaders]) -> AuthHeaders | None:
        """Headers to send instead of these, of which the last has just been answered with 401;
        None where nothing else is left to try. Raises TokenError."""

    async def refresh(self) -> None:
        """Take what the files hold by now. Raises SecretError, and keeps what was there."""

    def retire(self) -> None:
        """No calls but the live ones are left: nothing is done ahead of time from now on."""

    async def close(self) -> None: ...


def header_lines(spec: AccountSpec, secret: str, *, token: bool = False) -> Lines:
    """The headers that carry this key, or token, of an account."""
    if spec.provider == "azure" and not token:
        return (("api-key", secret),)
    lines = [("Authorization", f"Bearer {secret}")]
    if spec.organization:
        lines.append(("OpenAI-Organization", spec.organization))
    if spec.project:
        lines.append(("OpenAI-Project", spec.project))
    return tuple(lines)


def sendable(secret: str) -> bool:
    """Whether a header can carry it: printable ASCII without blanks."""
    return secret.isascii() and secret.isprintable() and " " not in secret


class KeyRing:
    """An account's keys, in the file's order; one that was refused comes last for a while."""

    def __init__(self, spec: AccountSpec, source: SecretSource) -> None:
        """Reads the keys, which blocks on the disk. Raises SecretError."""
        self._spec = spec
        self._source = source
        self._keys: dict[str, AuthHeaders] = {}
        self._refused: dict[AuthHeaders, float] = {}
        self._first: AuthHeaders
        self._install(self._read())
        self._reading = asyncio.Lock()
        self._read_at = float("-inf")

    async def headers(self) -> AuthHeaders:
        if self._refused:
            self._first = self._order(())[0]
        return self._first

    async def another(self, refused: Sequence[AuthHeaders]) -> AuthHeaders | None:
        if refused[-1] in self._keys.values():
            self._refused[refused[-1]] = asyncio.get_running_loop().time()
        left = self._order(refused) or await self._read_again(refused)
        return left[0] if left else None

    async def refresh(self) -> None:
        self._install(await asyncio.to_thread(self._read))

    def retire(self) -> None:
        """Nothing is ever done ahead of time."""

    async def close(self) -> None:
        """Nothing is held."""

    async def _read_again(self, refused: Sequence[AuthHeaders]) -> list[AuthHeaders]:
        """What the source holds by now beyond the refused keys."""
        loop = asyncio.get_running_loop()
        async with self._reading:  # whoever has waited here may find the new keys read
            if not self._order(refused) and loop.time() >= self._read_at + READ_EVERY:
                self._read_at = loop.time()
                try:
                    await self.refresh()
                except SecretError as error:
                    log.warning("keys not read", account=self._spec.name, problem=str(error))
        return self._order(refused)

    def _order(self, excepted: Collection[AuthHeaders]) -> list[AuthHeaders]:
        """The keys to try, the refused ones last, those first that were refused longest ago."""
        if self._refused:
            now = asyncio.get_running_loop().time()
            self._refused = {key: at for key, at in self._refused.items() if now < at + REFUSED_FOR}
        keys = [key for key in self._keys.values() if key not in excepted]
        return sorted(keys, key=lambda key: self._refused.get(key, float("-inf")))

    def _read(self) -> tuple[str, ...]:
        keys = self._source.read()
        if not all(sendable(key) for key in keys):
            raise SecretError(self._source.where, "has characters that no key has")
        return keys

    def _install(self, keys: Sequence[str]) -> None:
        """Use these keys; what is known of those that stay is kept."""
        self._keys = {
            key: self._keys.get(key) or AuthHeaders(header_lines(self._spec, key)) for key in keys
        }
        staying = set(self._keys.values())
        self._refused = {key: at for key, at in self._refused.items() if key in staying}
        self._first = next(iter(self._keys.values()))
