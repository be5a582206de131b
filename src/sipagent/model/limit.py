"""How often something may happen, how many calls there may be, and what they may cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sipagent.model.ids import TenantName


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


class QuotaScope(StrEnum):
    """What a quota is for. PROCESS is the whole service."""

    NUMBER = "number"
    TENANT = "tenant"
    ACCOUNT = "account"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Quota:
    """What the calls of one scope may take; None is no limit.

    `name` is the number's directory key, the tenant or the account, empty for PROCESS. `held` is
    the most calls at once, `rate` the most new ones in a time, `day` and `month` the most
    micro-dollars in a day and a month of `zone` (UTC without). `warn_at` are the shares of these,
    in hundredths of a percent, at which somebody is told. `reserves` has the calls of an account
    or the process that are kept for each tenant and never lent to others.
    """

    scope: QuotaScope
    name: str = field(default="", repr=False)
    held: int | None = None
    rate: Rate | None = None
    day: int | None = None
    month: int | None = None
    warn_at: tuple[int, ...] = ()
    reserves: Mapping[TenantName, int] = field(default_factory=dict)
    zone: str | None = None

    @property
    def key(self) -> str:
        """Names the scope in the engine's counters."""
        return f"{self.scope}:{self.name}"


BUSY: Final = 486
"""RFC 3261 21.4.24: busy here."""

UNAVAILABLE: Final = 503
"""RFC 3261 21.5.4: the carrier may try elsewhere."""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """What a caller gets for whom there is no room: the tenant's fallback, if `fallback` says so
    and one can be had, else a rejection with `code`."""

    code: int
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What one call may take. `duration` is in seconds, `cost` in micro-dollars; None is no limit
    of ours."""

    duration: float | None = None
    cost: int | None = None
