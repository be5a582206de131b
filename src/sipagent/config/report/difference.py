"""What is different between two configurations, by meaning: an order of keys or a comment is not.

Both are laid out as *facts*: of each number, agent, tenant ... its settings, each one text. What is
compared are these.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from sipagent.config.loader import Loaded
from sipagent.config.report.facts import Fact, Facts, facts_of
from sipagent.config.report.wording import count, some
from sipagent.config.words import LONGEST_SHOWN, quoted

_MOST_NAMED: Final = 5
_LONGEST_PLAIN: Final = 40
_BETWEEN: Final = "; "
_KEPT_BEFORE: Final = 12
"""How much of what two long texts have in common is shown before their difference."""

_TEXTS: Final = ("instructions", "greeting", "disclosure")
_TOLD_WHEN_NEW: Final = {"numbers": "calls", "destinations": "to", "agents": "model"}
"""The one setting that says most about a new or removed item."""


class Kind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


_MARKS: Final = {Kind.ADDED: "+", Kind.REMOVED: "-", Kind.CHANGED: "~"}


@dataclass(frozen=True, slots=True)
class Detail:
    """One setting before and after; None where it is not there."""

    what: str
    before: Fact | None = field(repr=False)
    after: Fact | None = field(repr=False)

    @property
    def is_text(self) -> bool:
        """Whether it is what an agent says or is told, and so told by its lines."""
        return self.what.partition(".")[0] in _TEXTS

    def lines_changed(self) -> str:
        """How many lines came and went; lines that moved are not counted."""
        before, after = (
            Counter((_text(fact) or "").splitlines()) for fact in (self.before, self.after)
        )
        come, gone = (after - before).total(), (before - after).total()
        return f"+{come} -{gone} lines" if come or gone else "lines in another order"

    def told(self) -> str:
        """The setting with its values."""
        if self.what.startswith("instructions"):
            return f"{self.what} {self.lines_changed()}"
        before, after = _differing(self.before, self.after)
        before, after = _around_the_difference(before, after)
        return f"{self.what} {_shown(before)} -> {_shown(after)}"

    def named(self) -> str:
        """The setting without its values."""
        return f"{self.what} ({self.lines_changed()})" if self.is_text else self.what


@dataclass(frozen=True, slots=True)
class Change:
    """One item that is new, gone or not as it was. `section` is the key of agents.yaml, `name` a
    number or a name, with its tenant where it has one; `reach` counts the numbers of an agent."""

    section: str
    name: str = field(repr=False)
    kind: Kind
    details: tuple[Detail, ...] = ()
    reach: int = 0

    def told(self) -> str:
        """What happened to it, with values."""
        if self.kind is Kind.CHANGED:
            return "; ".join(detail.told() for detail in self.details)
        wanted = _TOLD_WHEN_NEW.get(self.section)
        found = [detail for detail in self.details if detail.what == wanted]
        value = found[0].after or found[0].before if found else None
        return "" if value is None else _shown(_text(value), plain=True)


@dataclass(frozen=True, slots=True)
class Difference:
    """All changes, in the order of sections and names. False if there is none."""

    changes: tuple[Change, ...] = ()
    hashes: tuple[str, str] = ("", "")

    def __bool__(self) -> bool:
        return bool(self.changes)

    def lines(self) -> list[str]:
        """For a log: which settings changed, without any number, text or value."""
        told = []
        for (section, kind, what), group in _grouped(self.changes, _named).items():
            if section == "numbers":
                who = count(len(group), "number")
            else:
                who = f"{section} {some([change.name for change in group], _MOST_NAMED)}"
            told.append(f"{who} {kind}" + (f": {what}" if what else ""))
        return told

    def report(self) -> list[str]:
        """For the operator: what changed, with numbers and values."""
        told: list[str] = []
        last = None
        for (section, kind, what), group in _grouped(self.changes, Change.told).items():
            if section != last:
                told.append(section)
                last = section
            names = [_with_reach(change) for change in group]
            line = f"  {_MARKS[kind]} {some(names, _MOST_NAMED)}"
            told.append(f"{line}: {what}" if what else line)
        return told

    def as_json(self) -> list[dict[str, Any]]:
        """Every change by itself."""
        return [
            {
                "section": change.section,
                "name": change.name,
                "kind": change.kind.value,
                "details": [
                    {
                        "what": detail.what,
                        "before": _text(detail.before),
                        "after": _text(detail.after),
                    }
                    for detail in change.details
                ],
                **({"numbers": change.reach} if change.section == "agents" else {}),
            }
            for change in self.changes
        ]


def difference(before: Loaded, after: Loaded) -> Difference:
    """What changes for calls, tenants and accounts when one replaces the other.

    Where one of them is without `gathered`, limits that are only written are not compared.
    """
    both = (before, after)
    if any(one.gathered is None for one in both):
        both = (replace(before, gathered=None), replace(after, gathered=None))
    ours, theirs = map(facts_of, both)
    changes = [
        change
        for section in dict.fromkeys((*ours, *theirs))
        for change in _changes(section, ours.get(section, {}), theirs.get(section, {}))
    ]
    return Difference(tuple(changes), (before.table.config_hash, after.table.config_hash))


def _changes(section: str, before: Facts, after: Facts) -> Iterator[Change]:
    for name in sorted(before.keys() | after.keys(), key=lambda name: (name == "default", name)):
        ours, theirs = before.get(name), after.get(name)
        details = tuple(_details(ours or {}, theirs or {}))
        kind = Kind.ADDED if ours is None else Kind.REMOVED if theirs is None else Kind.CHANGED
        if details or kind is not Kind.CHANGED:
            reach = int(str((theirs or ours or {}).get("_numbers", "0")))
            yield Change(section, name, kind, details, reach)


def _details(before: Mapping[str, Fact], after: Mapping[str, Fact]) -> Iterator[Detail]:
    for what in dict.fromkeys((*before, *after)):
        if not what.startswith("_") and before.get(what) != after.get(what):
            yield Detail(what, before.get(what), after.get(what))


def _grouped(changes: tuple[Change, ...], told: Any) -> dict[tuple[str, Kind, str], list[Change]]:
    """Changes of which the same is told, together: 380 numbers are often changed alike."""
    groups: dict[tuple[str, Kind, str], list[Change]] = {}
    for change in changes:
        groups.setdefault((change.section, change.kind, told(change)), []).append(change)
    return groups


def _named(change: Change) -> str:
    if change.kind is not Kind.CHANGED:
        return ""
    return ", ".join(detail.named() for detail in change.details)


def _with_reach(change: Change) -> str:
    if change.section != "agents":
        return change.name
    return f"{change.name} ({count(change.reach, 'number')})"


def _differing(before: Fact | None, after: Fact | None) -> tuple[str | None, str | None]:
    """Of lists of rules or days only the items that differ."""
    if not isinstance(before, tuple) or not isinstance(after, tuple):
        return _text(before), _text(after)
    gone = tuple(item for item in before if item not in after)
    come = tuple(item for item in after if item not in before)
    if not gone and not come:
        return _text(before), _text(after)  # the same in another order
    return _text(gone or None), _text(come or None)


def _text(fact: Fact | None) -> str | None:
    return _BETWEEN.join(fact) if isinstance(fact, tuple) else fact


def _around_the_difference(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """Long texts without most of what both begin with: what differs is within what is shown."""
    if before is None or after is None or max(len(before), len(after)) <= LONGEST_SHOWN:
        return before, after
    pairs = enumerate(zip(before, after, strict=False))
    common = next((at for at, (ours, theirs) in pairs if ours != theirs), len(min(before, after)))
    if common <= _KEPT_BEFORE:
        return before, after
    start = common - _KEPT_BEFORE
    return f"...{before[start:]}", f"...{after[start:]}"


def _shown(value: str | None, *, plain: bool = False) -> str:
    if value is None:
        return "(none)"
    if plain or (value and len(value) <= _LONGEST_PLAIN and not set(value) & set(' \n"')):
        return value if value.isprintable() else quoted(value)
    return quoted(value)
