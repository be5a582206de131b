"""How often something may happen."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` in any `seconds`."""

    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Cap:
    """A rate and what it is counted for. `which` names it in records; `key` may hold a number."""

    which: str
    key: str = field(repr=False)
    rate: Rate
