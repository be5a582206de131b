"""From the lines of all files to the routes of the number directory."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfoNotFoundError

from sipagent.config.gathering import Gathered
from sipagent.config.lines import NumberLine, yaml_lines
from sipagent.config.numbers import DEFAULT, keyed
from sipagent.config.places import Places
from sipagent.config.rehearsal import Rehearsal
from sipagent.config.ruling import Rulings
from sipagent.config.spaces import Space
from sipagent.config.tables import table_lines
from sipagent.config.words import quoted
from sipagent.model import TenantName, TrunkName
from sipagent.routing import Route, Rule
from sipagent.routing.moment import zone
from sipagent.sip import is_e164

_OPERATORS: Final = ("tenant", "trunk", "timezone")


@dataclass(slots=True)
class Routes:
    """Reads, checks and compiles the lines of the directory."""

    gathered: Gathered
    spaces: Mapping[TenantName, Space]
    places: Places
    trunks: Collection[TrunkName]
    rehearsal: Rehearsal
    base: Path
    own: set[str]
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
        self._refine(lines, region_unknown=region_unknown)
        for line in others:
            self._ruled(line)
        routes = (self._route(key, line) for key, line in lines.items())
        return [route for route in routes if route is not None]

    def _written(self) -> Iterator[NumberLine]:
        yield from yaml_lines(self.gathered.main, self.gathered.tenants)
        rows = self.gathered.main.document.root.rows.get("numbers")
        table = getattr(getattr(rows, "value", None), "rows", {}).get("table")
        if table is not None:
            pattern = getattr(table.value, "text", None)
            yield from table_lines(self.gathered, pattern, self.base)

    def _refine(self, lines: dict[str, NumberLine], *, region_unknown: bool) -> None:
        """Have tenants' files say what happens to numbers that are theirs."""
        for tenant, source in self.gathered.tenants.items():
            written = yaml_lines(source)
            own, _ = keyed(written, self.region, region_unknown=region_unknown)
            for key, line in own.items():
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
            trunk=None if line.trunk is None else TrunkName(line.trunk),
            timezone=line.timezone,
            hours=line.hours,
            language=line.language or (space.entry.language if space.entry else None),
            vars=dict(line.vars),
        )
        self.rehearsal.play(line, route, space, rules)
        return route

    def _rulings(self, space: Space) -> Rulings:
        if space.tenant not in self._compilers:
            self._compilers[space.tenant] = Rulings(space, self.places, self.region)
        return self._compilers[space.tenant]

    def _verify_operators(self, line: NumberLine) -> None:
        """Complain of what no tenant's file has to do with."""
        if line.trunk is not None and line.trunk not in self.trunks:
            names = frozenset(map(str, self.gathered.main.draft.file.trunks))
            if line.trunk not in self.gathered.main.draft.names("trunks"):
                hint = self.gathered.main.findings.did_you_mean(line.trunk, names)
                line.origin.complain(("trunk",), f"there is no trunk {quoted(line.trunk)}", hint)
        if line.timezone is not None and not is_zone(line.timezone):
            message = f"there is no time zone {quoted(line.timezone)}"
            line.origin.complain(("timezone",), message, "as in America/Chicago")


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        zone(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
