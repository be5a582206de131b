"""Telephone numbers as they are stored: plain, or as what nobody can turn back into them.

A plain hash of an area code's numbers is undone in seconds, so a secret key of the installation
goes into each value. A *fingerprint* stands for a number in the whole installation, as in the list
of erased callers; what a tenant stores is derived from it, so that whoever has a fingerprint and
the key finds the number's calls, and two tenants' values never meet.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from sipagent.errors import SettingsError, StoreError
from sipagent.model import TenantName
from sipagent.store.database import make_private

VARIABLE: Final = "SIPAGENT_PRIVACY_KEY"
KEY_FILE: Final = "privacy.key"
PREFIX: Final = "h:"
SHORTEST_KEY: Final = 16

_OTHERS: Final = re.compile(r"[^0-9]")
_CALLERS: Final = b"sipagent caller"
_TENANT: Final = b"sipagent tenant\0"
_STORED_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class InstallationKey:
    """The secret from which every value is derived."""

    secret: bytes = field(repr=False)

    def fingerprint(self, number: str) -> str:
        """What stands for the number in this installation, in whichever spelling: its digits
        count."""
        digits = _OTHERS.sub("", number) or number
        return _mac(_mac(self.secret, _CALLERS), digits.encode("utf-8", "replace")).hex()

    def stored(self, tenant: TenantName, fingerprint: str) -> str:
        """What stands for the number in the tenant's records: 160 bits."""
        mac = _mac(_mac(self.secret, _TENANT + tenant.encode()), bytes.fromhex(fingerprint))
        return PREFIX + base64.b32encode(mac[:_STORED_BYTES]).decode().lower()


@dataclass(frozen=True, slots=True)
class StoredNumbers:
    """How each tenant's numbers are stored: `hashed` says of which they are not plain."""

    key: InstallationKey
    hashed: Callable[[TenantName], bool]

    def stored(self, tenant: TenantName, number: str) -> str:
        """The number itself, or what stands for it and nobody can turn back into it."""
        if not self.hashed(tenant):
            return number
        return self.key.stored(tenant, self.key.fingerprint(number))

    def spellings(self, tenant: TenantName, number: str) -> tuple[str, str]:
        """All forms in which the tenant's records may have the number, whatever its privacy has
        been: the plain one and its HMAC."""
        return number, self.key.stored(tenant, self.key.fingerprint(number))


def is_hashed(stored: str) -> bool:
    """Whether this is not a number but what stands for one."""
    return stored.startswith(PREFIX)


def installation_key(
    given: SecretStr | None, data_dir: Path, *, file: bool = True
) -> InstallationKey:
    """The key that the settings give, else that of the data directory, which is made if there is
    none. Without `file` only the settings' one will do, as where several machines share records.

    Raises SettingsError and StoreError.
    """
    if given is not None:
        secret = given.get_secret_value().strip()
        if len(secret) < SHORTEST_KEY:
            raise SettingsError((f"{VARIABLE}: is shorter than {SHORTEST_KEY} characters",))
        return InstallationKey(secret.encode())
    if not file:
        advice = "all that write to one PostgreSQL database need the same one: openssl rand -hex 32"
        raise SettingsError((f"{VARIABLE}: is not set: {advice}",))
    return InstallationKey(_of_file(data_dir / KEY_FILE))


def _of_file(path: Path) -> bytes:
    try:
        secret = _read(path)
        if secret is None:
            secret = _made(path)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise StoreError(str(path), f"cannot be used: {reason}") from error
    if len(secret) < SHORTEST_KEY:
        raise StoreError(str(path), f"is shorter than {SHORTEST_KEY} characters")
    return secret


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes().strip()
    except FileNotFoundError:
        return None


def _made(path: Path) -> bytes:
    """A new key, or that of whoever was faster."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    make_private(temporary)
    try:
        with temporary.open("wb") as file:
            file.write(secrets.token_hex(32).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    return path.read_bytes().strip()


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)
