"""The eight faults of a network, after Toxiproxy: what each does to a connection."""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Way(Enum):
    """The direction of bytes."""

    UP = "to the server"
    DOWN = "to the client"


BOTH: Final = frozenset(Way)


@dataclass(frozen=True, slots=True)
class Latency:
    """Bytes come late, as many as before."""

    seconds: float
    jitter: float = 0.0
    ways: frozenset[Way] = BOTH


@dataclass(frozen=True, slots=True)
class Down:
    """Connections are closed, and new ones refused."""


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """So many bytes get through in a second, in each direction of each connection."""

    bytes_per_second: int
    ways: frozenset[Way] = BOTH


@dataclass(frozen=True, slots=True)
class SlowClose:
    """An end is told so many seconds late."""

    seconds: float
    ways: frozenset[Way] = BOTH


@dataclass(frozen=True, slots=True)
class BlackHole:
    """Nothing gets through, and nobody is told. Connections are closed after `closes` seconds;
    of those that live on, all bytes arrive once it is healed, as TCP would have sent them again."""

    closes: float | None = None
    ways: frozenset[Way] = BOTH


@dataclass(frozen=True, slots=True)
class ResetPeer:
    """Connections are reset so many seconds after they were opened, or after this began."""

    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Slicer:
    """Bytes come in slices of this size, with so many seconds between them."""

    size: int = 1
    seconds: float = 0.0
    ways: frozenset[Way] = BOTH


@dataclass(frozen=True, slots=True)
class LimitData:
    """A connection is closed once so many bytes have got through in one direction."""

    size: int
    ways: frozenset[Way] = BOTH


Fault = Latency | Down | Bandwidth | SlowClose | BlackHole | ResetPeer | Slicer | LimitData

EIGHT: Final[dict[str, Fault]] = {
    "latency": Latency(0.5, jitter=0.2),
    "down": Down(),
    "bandwidth": Bandwidth(2_000),
    "slow_close": SlowClose(1.0),
    "timeout": BlackHole(),
    "reset_peer": ResetPeer(),
    "slicer": Slicer(7, 0.002),
    "limit_data": LimitData(500),
}
"""Each fault by Toxiproxy's name for it, in a strength that a call must live through."""


def lives(fault: Fault | None) -> float | None:
    """The seconds that a connection is left under the fault; None is as many as it likes."""
    match fault:
        case Down():
            return 0.0
        case ResetPeer(seconds=seconds):
            return seconds
        case BlackHole(closes=closes):
            return closes
        case _:
            return None


def due(late: Latency, arrived: float, shaken: float) -> float:
    """When bytes that came then go on; `shaken` is from -1 to 1."""
    return arrived + max(0.0, late.seconds + late.jitter * shaken)
