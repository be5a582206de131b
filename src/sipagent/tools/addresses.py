"""Which addresses somebody else's URL may lead to: the public internet, and what the operator has
allowed.

Sources: the IANA special-purpose address registries (RFC 6890 and its successors), and what clouds
answer their metadata at. `ipaddress.is_global` alone is not enough: Python 3.11 calls
`64:ff9b::7f00:1` (NAT64 of the loopback) and `192.0.0.192` (Oracle's metadata) global.
"""

import re
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, Self

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_REFUSED_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT, and Alibaba's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's wire server, a public address that is the host's
        "169.254.0.0/16",  # link-local, and most metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # IETF protocols, and Oracle's metadata
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_PUBLIC_V6: Final = IPv6Network("2000::/3")
"""Global unicast. All else is refused: loopback, mapped and translated IPv4, ULA, link-local ..."""

_REFUSED_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo, ORCHID and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",
    )
)

_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*"
    r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?",
    re.ASCII,
)
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_LARGEST_PORT: Final = 65_535


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, and of nothing else."""
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in network for network in _REFUSED_V4)
    return (
        address.scope_id is None
        and address.is_global
        and address in _PUBLIC_V6
        and not any(address in network for network in _REFUSED_V6)
    )


def is_name(host: str) -> bool:
    """Whether a host is a name, in small letters, and cannot be taken for a spelling of an address
    (WHATWG URL: a host whose last label is a number is one)."""
    return _NAME.fullmatch(host) is not None and not _is_number(host.rpartition(".")[2])


def _is_number(label: str) -> bool:
    return label.isdigit() or label.startswith("0x")


def parsed_port(text: str) -> int | None:
    """The port that is written, None where it is none."""
    if _PORT.fullmatch(text) is None:
        return None
    port = int(text)
    return port if port <= _LARGEST_PORT else None


@dataclass(frozen=True, slots=True)
class Allow:
    """What the operator allows beyond the public internet: networks, and hosts by name. An entry
    with a port allows that port too, one without allows only those that are harmless."""

    networks: tuple[tuple[Network, int | None], ...] = ()
    names: tuple[tuple[str, int | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The list as it is written: `127.0.0.0/8,tools.internal,cache.internal:6379`. Raises
        ValueError that says which entry is wrong."""
        networks: list[tuple[Network, int | None]] = []
        names: list[tuple[str, int | None]] = []
        for at, entry in enumerate(text.split(","), 1):
            if not entry.strip():
                continue
            try:
                host, port = _entry(entry.strip())
            except ValueError as error:
                raise ValueError(f"its entry {at} {error}") from None
            if isinstance(host, str):
                names.append((host, port))
            else:
                networks.append((host, port))
        return cls(tuple(networks), tuple(names))

    def has_name(self, host: str) -> bool:
        """Whether a host is allowed by its name, wherever that leads."""
        return any(name == host for name, _ in self.names)

    def has_address(self, address: Address) -> bool:
        """Whether an address is in an allowed network."""
        return any(
            address.version == network.version and address in network
            for network, _ in self.networks
        )

    def has_port(self, host: str | Address, port: int) -> bool:
        """Whether this very port is allowed there."""
        if isinstance(host, str):
            return (host, port) in self.names
        return any(
            port == allowed and host.version == network.version and host in network
            for network, allowed in self.networks
        )


NOTHING: Final = Allow()


def _entry(entry: str) -> tuple[str | Network, int | None]:
    """An entry of the list: a network or a name, and its port."""
    host, port = entry, None
    bracketed = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\](?::(.*))?", entry)
    if bracketed is not None:
        host, written = bracketed[1], bracketed[2]
    elif entry.count(":") == 1:
        host, _, written = entry.partition(":")
    else:
        written = None
    if written is not None:
        port = parsed_port(written)
        if port is None:
            raise ValueError("has no port that can be used")
    try:
        return ip_network(host), port
    except ValueError:
        if is_name(host.lower()):
            return host.lower(), port
        raise ValueError("is neither a network, as in 10.1.0.0/16, nor a host's name") from None


def parsed_address(text: str) -> Address:
    """The address that a resolver has given. Raises ValueError."""
    return ip_address(text)
