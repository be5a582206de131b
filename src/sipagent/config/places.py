"""Opening hours and destinations of all spaces, each compiled once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sipagent.config.findings import Complaint, Steps
from sipagent.config.gathering import Role
from sipagent.config.hours import compile_hours
from sipagent.config.lines import InYaml, Origin
from sipagent.config.numbers import length_problem
from sipagent.config.schema.base import given
from sipagent.config.schema.numbers import DestinationEntry
from sipagent.config.spaces import Named, Space
from sipagent.config.templates.compiled import CompiledTemplate
from sipagent.config.texts import Piece, Texts
from sipagent.config.words import quoted
from sipagent.errors import SipSyntaxError
from sipagent.model import CallFacts, Destination, DestinationName, Schedule, Text
from sipagent.routing.hours import Hours
from sipagent.routing.targets import is_target, number_of
from sipagent.sip import parse_address, to_e164

FAILURE_STEPS: Final = frozenset({"resume", "take_message", "hang_up"})
_SCHEMES: Final = ("tel:", "sip:", "sips:")
_LASTING: Final = frozenset({"vars", "number"})
"""What a destination's template may read."""


@dataclass(slots=True)
class Places:
    """Compiles hours and destinations. What cannot be used is told once, where it stands."""

    texts: Texts
    _hours: dict[tuple[int, str], Hours | None] = field(default_factory=dict)

    def verify_hours(self, source: Any) -> None:
        """Complain of what is wrong with a file's hours."""
        for name, data in source.draft.file.hours.items():
            self._compiled(Named(data, ("hours", name), source))

    def hours(self, space: Space, name: str, origin: Origin, steps: Steps) -> Schedule | None:
        """The hours of this name; told at the origin if there are none."""
        named = space.hours(name)
        if named is not None:
            return self._compiled(named)
        if not space.broken("hours", name):
            names = space.names("hours")
            hint = space.own.findings.did_you_mean(name, names)
            origin.complain(steps, f"there are no hours {quoted(name)}", hint)
        return None

    def all_hours(self, space: Space) -> dict[str, Schedule]:
        """Every usable set of hours that the space sees."""
        found: dict[str, Schedule] = {}
        for name in sorted(space.names("hours")):
            named = space.hours(name)
            schedule = None if named is None else self._compiled(named)
            if schedule is not None:
                found[name] = schedule
        return found

    def destinations(self, space: Space) -> dict[DestinationName, Destination]:
        """The destinations of a space. What is wrong with them is told."""
        found = {}
        for name in sorted(space.names("destinations")):
            named = space.find("destinations", name)
            made = None if named is None else self._destination(space, name, named)
            if made is not None:
                found[made.name] = made
        return found

    def _compiled(self, named: Named) -> Hours | None:
        key = (id(named.source), str(named.steps[-1]))
        if key not in self._hours:
            made = compile_hours(named.value)
            if isinstance(made, tuple):
                for complaint in made:
                    below = (*named.steps, *complaint.steps)
                    named.source.complain(complaint._replace(steps=below))
                self._hours[key] = None
            else:
                self._hours[key] = made
        return self._hours[key]

    def _destination(self, space: Space, name: str, named: Named) -> Destination | None:
        entry = named.value if isinstance(named.value, DestinationEntry) else None
        steps = named.steps if entry is None else (*named.steps, "to")
        written = named.value if entry is None else entry.to
        compiled = self._place(Piece(written, steps, named.source))
        hours = None if entry is None else self._hours_of(space, entry, named)
        on_failure = self._on_failure(space, name, entry, named)
        if compiled is None:
            return None
        to = filled(compiled, space.values())
        assert to is not None
        hours = filled(hours, space.values())
        if entry is not None and entry.allow_any_number and named.source.role is Role.TENANT:
            message = "only the operator's files may have it"
            where = (*named.steps, "allow_any_number")
            named.source.complain(Complaint(where, message, at_key=True))
        return Destination(
            DestinationName(name),
            space.tenant,
            to,
            hours,
            on_failure,
            None if entry is None else given(entry.description),
            entry is not None and entry.allow_any_number,
        )

    def _place(self, piece: Piece) -> Text | None:
        """A usable target, or a template of one, which callers and headers cannot reach."""
        compiled = self.texts.compiled(piece)
        if isinstance(compiled, str) and (problem := target_problem(compiled)):
            piece.source.complain(Complaint(piece.steps, problem, 'as in "+1 713 481 0199"'))
            return None
        number = number_of(compiled) if isinstance(compiled, str) and "+" in compiled else None
        if number is not None and (odd := length_problem(number)) is not None:
            piece.source.warn(Complaint(piece.steps, *odd))
        return compiled if self._trusted(piece, compiled) else None

    def _trusted(self, piece: Piece, text: Text | None) -> bool:
        """Whether callers have no say in it, and it is the same for every call to a number, so
        that saying it once at load shows where all calls would go."""
        if isinstance(text, CompiledTemplate) and (others := sorted(text.reads - _LASTING)):
            message = f"{others[0]} cannot choose where a call goes"
            hint = "vars and number can: your own variables, and what the directory has"
            piece.source.complain(Complaint(piece.steps, message, hint))
            return False
        return True

    def _hours_of(self, space: Space, entry: DestinationEntry, named: Named) -> Text | None:
        if given(entry.hours) is None:
            return None
        piece = Piece(entry.hours, (*named.steps, "hours"), named.source)
        compiled = self.texts.compiled(piece)
        if isinstance(compiled, str):
            origin = InYaml(named.source, piece.steps)
            return compiled if self.hours(space, compiled, origin, ()) is not None else None
        return compiled if self._trusted(piece, compiled) else None

    def _on_failure(
        self, space: Space, name: str, entry: DestinationEntry | None, named: Named
    ) -> tuple[str, ...]:
        if entry is None or given(entry.on_failure) is None:
            return ()
        one = isinstance(entry.on_failure, str)
        steps = [str(entry.on_failure)] if one else [*map(str, entry.on_failure)]
        names = space.names("destinations")
        for at, step in enumerate(steps):
            where = (*named.steps, "on_failure", *(() if one else (at,)))
            if step == name:
                message = "this is the destination itself, which has just failed"
                named.source.complain(Complaint(where, message))
            elif step not in FAILURE_STEPS and step not in names:
                hint = space.own.findings.did_you_mean(step, names | FAILURE_STEPS)
                message = f"there is no destination {quoted(step)}"
                known = hint or "or resume, take_message or hang_up"
                named.source.complain(Complaint(where, message, known))
        return tuple(steps)


@dataclass(frozen=True, slots=True)
class Filled:
    """A destination's template, with the tenant's values for what a number has no value of."""

    template: CompiledTemplate
    values: Mapping[str, str]

    def render(self, facts: CallFacts) -> str:
        return self.template.render(replace(facts, vars={**self.values, **facts.vars}))


def filled(text: Text | None, values: Mapping[str, str]) -> Text | None:
    """The text, with those of the values that it reads."""
    if not isinstance(text, CompiledTemplate):
        return text
    own = {name: values[name] for name in sorted(text.vars & values.keys())}
    return Filled(text, own) if own else text


def source_of(text: Text | None) -> str | None:
    """The text as it was written; a template is not rendered."""
    template = template_in(text)
    if template is not None:
        return template.source
    return text if isinstance(text, str) else None


def template_in(text: Text | None) -> CompiledTemplate | None:
    """The template of a destination's text, None where it is plain."""
    if isinstance(text, Filled):
        return text.template
    return text if isinstance(text, CompiledTemplate) else None


def may_come_back(named: Named) -> bool:
    """Whether a destination may be a number of this directory."""
    return isinstance(named.value, DestinationEntry) and named.value.allow_own_number


def target_problem(text: str) -> str | None:
    """Why a call cannot be sent there, or None."""
    if text.lower().startswith(_SCHEMES):
        if not (text.isascii() and text.isprintable()) or any(c in text for c in ' <>"?'):
            return "this cannot stand in a REFER"
        try:
            address = parse_address(f"<{text}>")
        except SipSyntaxError:
            return "this is no SIP or tel URI"
        if not address.host and not text.lower().startswith("tel:"):
            return "this URI has no host"
        return None if is_target(text) else "this cannot stand in a REFER"
    if not text.strip().startswith("+") or to_e164(text, None) is None:
        return "this is no telephone number with + and country code, and no SIP URI"
    return None


def targets(
    destinations: Mapping[DestinationName, Destination],
) -> Iterator[tuple[DestinationName, str]]:
    """The destinations that are written out, each with its target."""
    for name, destination in destinations.items():
        if isinstance(destination.to, str):
            yield name, destination.to
