"""From the lines of all files to the routes of the number directory."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfoNotFoundError

from sipagent.config.callers import CallerRules
from sipagent.config.findings import Complaint
from sipagent.config.gathering import Gathered, Role
from sipagent.config.limits import quota_of
from sipagent.config.lines import LIMITS, NumberLine, yaml_lines
from sipagent.config.numbers import DEFAULT, keyed
from sipagent.config.places import Places
from sipagent.config.rehearsal import Rehearsal
from sipagent.config.report.wording import count, some
from sipagent.config.ruling import Rulings
from sipagent.config.schema.base import given
from sipagent.config.spaces import Space
from sipagent.config.tables import table_lines
from sipagent.config.words import quoted
from sipagent.model import Quota, QuotaScope, TenantName, TrunkName
from sipagent.routing import Callers, RejectWith, Route, Rule, Trunk
from sipagent.routing.moment import zone
from sipagent.sip import is_e164

_OPERATORS: Final = ("tenant", "trunk", "timezone", *LIMITS)
ANY_TRUNK: Final = "any"
"""What a number's `trunk` says where its calls need not prove anything."""


@dataclass(slots=True)
class Routes:
    """Reads, checks and compiles the lines of the directory."""

    gathered: Gathered
    spaces: Mapping[TenantName, Space]
    places: Places
    trunks: Mapping[TrunkName, Trunk]
    rehearsal: Rehearsal
    base: Path
    own: set[str]
    callers: CallerRules
    _all_read: bool = True
    _compilers: dict[TenantName, Rulings] = field(default_factory=dict)

    @property
    def region(self) -> str | None:
        return self.gathered.main.draft.file.defaults.region

    def compiled(self, *, region_unknown: bool) -> list[Route]:
        """All routes that can be used; what is wrong with the others is told."""
        lines, others = keyed(self._written(), self.region, region_unknown=region_unknown)
        self.own.update(key for key in lines if is_e164(key))
        for line in (*lines.values(), *others):
            self._verify_operators(line)
        lost = any(steps[0] == "numbers" for steps in self.gathered.main.draft.left_out)
        whole = self._all_read and not others and not lost
        self._refine(lines, whole=whole, region_unknown=region_unknown)
        for line in others:
            self._ruled(line)
        made = {key: self._route(key, line) for key, line in lines.items()}
        routes = {key: route for key, route in made.items() if route is not None}
        self._warn_of_open(lines, routes)
        return list(routes.values())

    def _trunk(self, line: NumberLine) -> TrunkName | None:
        """The trunk that the number's calls must come by; None is any."""
        name = line.trunk or given(self.gathered.main.draft.file.defaults.trunk)
        return None if name in (None, ANY_TRUNK) else TrunkName(name)

    def _warn_of_open(self, lines: Mapping[str, NumberLine], routes: Mapping[str, Route]) -> None:
        """Warn of numbers to which anybody can call although there are trunks that prove a call."""
        if not any(trunk.secret_header for trunk in self.trunks.values()):
            return
        meant = given(self.gathered.main.draft.file.defaults.trunk)
        open_ = [
            key
            for key, route in routes.items()
            if not (lines[key].trunk or meant) and any(map(_costs, route.rules))
        ]
        if open_:
            message = f"calls to {count(len(open_), 'number')} prove nothing: {some(open_)}"
            hint = "each needs its `trunk`, or `trunk: any`; defaults.trunk is for all"
            self.gathered.main.warn(Complaint(("trunks",), message, hint, at_key=True))

    def _written(self) -> Iterator[NumberLine]:
        yield from yaml_lines(self.gathered.main, self.gathered.tenants)
        rows = self.gathered.main.document.root.rows.get("numbers")
        table = getattr(getattr(rows, "value", None), "rows", {}).get("table")
        if table is not None:
            pattern = getattr(table.value, "text", None)
            self._all_read = yield from table_lines(self.gathered, pattern, self.base)

    def _refine(self, lines: dict[str, NumberLine], *, whole: bool, region_unknown: bool) -> None:
        """Have tenants' files say what happens to numbers that are theirs. `whole` says that the
        lines are all that the operator wrote."""
        for tenant, source in self.gathered.tenants.items():
            written = yaml_lines(source)
            own, _ = keyed(written, self.region, region_unknown=region_unknown)
            for key, line in own.items():
                if key != DEFAULT and key not in lines and not whole:
                    continue  # it may stand in what could not be read
                if key == DEFAULT or key not in lines or lines[key].tenant != tenant:
                    hint = "the operator's files say whose a number is"
                    message = "this number is not the tenant's"
                    line.origin.complain((), message, hint, at_key=True)
                else:
                    lines[key] = self._refined(lines[key], line)

    def _refined(self, given: NumberLine, own: NumberLine) -> NumberLine:
        source: Any = own.origin
        value = source.source.draft.file.numbers[own.text]
        for name in _OPERATORS:
            if not isinstance(value, str | list) and name in value.model_fields_set:
                own.origin.complain((name,), "only the operator's files may have it", at_key=True)
        return replace(
            given,
            limits_origin=given.limits_origin or given.origin,
            callers=(*given.callers, *own.callers),
            text=own.text,
            rules=own.rules,
            origin=own.origin,
            written=own.written,
            hours=own.hours or given.hours,
            language=own.language or given.language,
            vars={**given.vars, **own.vars},
        )

    def _ruled(self, line: NumberLine) -> tuple[Space, tuple[Rule, ...]] | None:
        """Whose line it is and what it says; None where one of its settings is wrong."""
        space = self.spaces.get(line.tenant)
        if space is None:
            names = frozenset(self.spaces)
            if not self.gathered.main.draft.lacks(("tenants", line.tenant), ("tenants",)):
                hint = self.gathered.main.findings.did_you_mean(line.tenant, names)
                message = f"there is no tenant {quoted(line.tenant)}"
                line.origin.complain(("tenant",), message, hint)
            return None
        rules = self._rulings(space).rules(line)
        hours = line.hours
        if hours and self.places.hours(space, hours, line.origin, ("hours",)) is None:
            return None
        return space, rules

    def _route(self, key: str, line: NumberLine) -> Route | None:
        ruled = self._ruled(line)
        if ruled is None:
            return None
        space, rules = ruled
        if not line.rules:
            line.origin.warn(("agent",), "no agent answers this number", "its calls go to default")
        route = Route(
            key=key,
            tenant=line.tenant,
            rules=rules,
            trunk=self._trunk(line),
            timezone=line.timezone,
            hours=line.hours,
            language=line.language or (space.entry.language if space.entry else None),
            vars=dict(line.vars),
            quota=self._quota(key, line, space),
            callers=tuple(self._callers(key, line, space)),
        )
        self.rehearsal.play(line, route, space, rules)
        return route

    def _callers(self, key: str, line: NumberLine, space: Space) -> Iterator[Callers]:
        """What the operator's file and the tenant's say of the number's callers, each for itself:
        one cap of two places would count each call twice."""
        for entry, origin in line.callers:
            own = origin.source.role is Role.TENANT
            name = f"{origin.source.name}:numbers.{key}" if own else f"numbers.{key}"
            found = self.callers.compiled(entry, name, origin, space)
            if found is not None:
                yield found

    def _quota(self, key: str, line: NumberLine, space: Space) -> Quota | None:
        """What calls to the number may take. Its days and months are the tenant's."""
        if line.limits is None:
            return None
        zone: str | None = None if space.entry is None else given(space.entry.timezone)
        zone = zone if zone is None or is_zone(zone) else None
        if given(line.limits.budget) is not None and (key == DEFAULT or key.endswith("*")):
            message = "only a whole number can have a budget"
            line.operator.complain(("budget",), message, "give the tenant one", at_key=True)
        complain = line.operator.complain
        return quota_of(line.limits, QuotaScope.NUMBER, key, zone, complain)

    def _rulings(self, space: Space) -> Rulings:
        if space.tenant not in self._compilers:
            secrets = {trunk.secret_header for trunk in self.trunks.values()}
            self._compilers[space.tenant] = Rulings(
                space, self.places, self.region, frozenset(filter(None, secrets))
            )
        return self._compilers[space.tenant]

    def _verify_operators(self, line: NumberLine) -> None:
        """Complain of what no tenant's file has to do with."""
        if line.trunk not in (None, ANY_TRUNK) and line.trunk not in self.trunks:
            names = frozenset(map(str, self.gathered.main.draft.file.trunks))
            if line.trunk not in self.gathered.main.draft.names("trunks"):
                hint = self.gathered.main.findings.did_you_mean(line.trunk, names)
                line.origin.complain(("trunk",), f"there is no trunk {quoted(line.trunk)}", hint)
        if line.timezone is not None and not is_zone(line.timezone):
            message = f"there is no time zone {quoted(line.timezone)}"
            line.origin.complain(("timezone",), message, "as in America/Chicago")


def verify_trunks(gathered: Gathered) -> Iterator[Complaint]:
    """A trunk that cannot be named, and a default one that is not there."""
    names, default = gathered.main.draft.names("trunks"), gathered.main.draft.file.defaults.trunk
    if ANY_TRUNK in names:
        message = f"no trunk can be called {ANY_TRUNK}"
        yield Complaint(("trunks", ANY_TRUNK), message, at_key=True)
    if given(default) is not None and default not in names | {ANY_TRUNK}:
        hint = gathered.main.findings.did_you_mean(default, names)
        yield Complaint(("defaults", "trunk"), f"there is no trunk {quoted(default)}", hint)


def _costs(rule: Rule) -> bool:
    return not isinstance(rule.action, RejectWith)


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
