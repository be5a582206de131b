"""What a URL asks for, read strictly: a spelling that two readers could take for two hosts is
refused, and so is a port at which no HTTP API answers."""

import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from sipagent.tools.addresses import Address, Allow, is_name, is_public, parsed_port

LONGEST_URL: Final = 8_192

_URL: Final = re.compile(r"(https?)://([^/?#]*)(/[^?#]*)?(\?[^#]*)?", re.IGNORECASE)
_PRINTABLE: Final = re.compile(r"[!-~]+", re.ASCII)
_UNSAFE: Final = frozenset('\\"<>^`{|}')
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_LOWEST_FREE_PORT: Final = 1024

DANGEROUS_PORTS: Final = frozenset(
    {
        *(1433, 1521, 3306, 5432, 9042, 27017, 27018, 27019),  # databases
        *(6379, 6380, 11211, 2379, 2380, 9092, 9200, 9300, 5672, 4369),  # stores and queues
        *(2375, 2376, 2377, 6443, 8500, 10250, 10255),  # who runs containers
        *(2049, 3389, 5900, 5901, 5902, 5903, 5985, 5986),  # files and screens
        # The others that browsers refuse (fetch.spec.whatwg.org, "bad port").
        *(1719, 1720, 1723, 3659, 4045, 4190, 5060, 5061, 6000, 6566),
        *(6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080),
    }
)
"""Ports above 1023 at which something listens that should never be spoken to by HTTP."""


class TargetError(ValueError):
    """A URL that cannot be used. The text says why, and nothing of the URL."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a URL asks for. `host` is in its one spelling; `address` is set where it is one."""

    scheme: str
    host: str
    port: int
    address: Address | None
    rest: str = field(repr=False)

    @property
    def url(self) -> str:
        """The URL in its one spelling."""
        shown = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{shown}{port}{self.rest}"


def parse_target(url: str) -> Target:
    """What a URL asks for. Raises TargetError."""
    if len(url) > LONGEST_URL:
        raise TargetError("the URL is too long")
    if _PRINTABLE.fullmatch(url) is None or not _UNSAFE.isdisjoint(url):
        raise TargetError("the URL has a character that has to be percent-encoded")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise TargetError("it is no http:// or https:// URL without a fragment")
    scheme, authority = parts[1].lower(), parts[2].lower()
    if "@" in authority:
        raise TargetError("the URL has credentials")
    host, address, port = _authority(authority)
    rest = (parts[3] or "/") + (parts[4] or "")
    return Target(scheme, host, port or _DEFAULT_PORTS[scheme], address, rest)


def _authority(authority: str) -> tuple[str, Address | None, int | None]:
    """The host, its address where it is one, and the port."""
    if authority.startswith("["):
        inside, closed, after = authority[1:].partition("]")
        long = _ipv6(inside) if closed else None
        if long is None or (after and not after.startswith(":")):
            raise TargetError("the URL's host is no IPv6 address")
        return str(long), long, _port(after[1:]) if after else None
    host, colon, written = authority.partition(":")
    port = _port(written) if colon else None
    address = _ipv4(host)
    if address is not None:
        return host, address, port
    if not is_name(host):
        raise TargetError("the URL's host is neither a name nor an address in its usual spelling")
    return host, None, port


def _ipv4(text: str) -> IPv4Address | None:
    """Four decimal numbers without leading zeros, and nothing else."""
    try:
        return IPv4Address(text)
    except AddressValueError:
        return None


def _ipv6(text: str) -> IPv6Address | None:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return None
    return None if address.scope_id is not None else address


def _port(text: str) -> int:
    port = parsed_port(text)
    if port is None:
        raise TargetError("the URL's port is none")
    return port


def refusal(target: Target, allow: Allow, *, plain: bool = False) -> str | None:
    """Why a target is refused whatever its name leads to, None where it is not.

    http is for hosts that are allowed, and for what is `plain` by the operator's own word.
    """
    host = target.host if target.address is None else target.address
    if not _is_usual(target.port) and not allow.has_port(host, target.port):
        return "port"
    if target.address is not None and not may_reach(target.address, allow):
        return "address"
    return None if target.scheme == "https" or plain or _is_allowed(target, allow) else "not https"


def may_reach(address: Address, allow: Allow, host: str | None = None) -> bool:
    """Whether an address may be connected to, `host` being the name that has led there."""
    if host is not None and allow.has_name(host):
        return True
    return is_public(address) or allow.has_address(address)


def _is_usual(port: int) -> bool:
    if port < _LOWEST_FREE_PORT:
        return port in _DEFAULT_PORTS.values()
    return port not in DANGEROUS_PORTS


def _is_allowed(target: Target, allow: Allow) -> bool:
    if target.address is not None:
        return allow.has_address(target.address)
    return allow.has_name(target.host)
