"""The number directory: which numbers are ours, and what to do with a call to each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from sipagent.model import Quota, TenantName, TrunkName
from sipagent.routing.callers import Callers
from sipagent.routing.rules import Rule
from sipagent.sip import E164, spellings


@dataclass(frozen=True, slots=True)
class Route:
    """One line of `numbers:`. `key` is how the directory names it: E.164, a prefix with `*`, a
    short number as it is, or `default`. `vars` are the number's own, `quota` what its calls may
    take. Callers must get through all of `callers`."""

    key: str
    tenant: TenantName
    rules: tuple[Rule, ...]
    trunk: TrunkName | None = None
    timezone: str | None = None
    hours: str | None = None
    language: str | None = None
    vars: Mapping[str, str] = field(default_factory=dict, repr=False)
    quota: Quota | None = None
    callers: tuple[Callers, ...] = ()


@dataclass(frozen=True, slots=True)
class NumberDirectory:
    """All numbers of one account, found by any spelling that carriers use for them."""

    exact: Mapping[str, Route]
    prefixes: tuple[Route, ...]
    default: Route | None

    @classmethod
    def of(cls, routes: Iterable[Route]) -> "NumberDirectory":
        """A directory in which every route can be found; of two with one key the later stands."""
        exact: dict[str, Route] = {}
        prefixes: dict[str, Route] = {}
        default: Route | None = None
        for route in routes:
            if route.key == "default":
                default = route
            elif route.key.endswith("*"):
                prefixes[route.key] = route
            else:
                exact[route.key] = route
        aliases = {
            spelling: route
            for route in exact.values()
            if route.key.startswith("+")
            for spelling in spellings(E164(route.key))
        }
        longest_first = sorted(prefixes.values(), key=lambda route: -len(route.key))
        return cls(MappingProxyType({**aliases, **exact}), tuple(longest_first), default)

    def listed(self, spelling: str) -> Route | None:
        """The route of exactly this number, in any of its spellings."""
        return self.exact.get(spelling)

    def covering(self, number: str) -> Route | None:
        """The route of the longest prefix that this E.164 number begins with."""
        for route in self.prefixes:
            if number.startswith(route.key[:-1]):
                return route
        return None
