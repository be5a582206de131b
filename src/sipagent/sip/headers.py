"""The headers of one INVITE as the webhook gives them: repeats and order mean something."""

from collections.abc import Iterator, Set
from dataclasses import dataclass, field

from sipagent.sip.address import MAX_VALUE_LENGTH
from sipagent.sip.names import canonical_name

MAX_HEADERS = 200


@dataclass(frozen=True, slots=True)
class Headers:
    """An ordered multi-map with case-insensitive names in their long form.

    Neither names nor values are part of the printed form: both come from the caller's side.
    """

    pairs: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    dropped: int = 0
    _by_name: dict[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        grouped: dict[str, tuple[str, ...]] = {}
        for name, value in self.pairs:
            grouped[name] = (*grouped[name], value) if name in grouped else (value,)
        object.__setattr__(self, "_by_name", grouped)

    @classmethod
    def from_json(cls, raw: object) -> "Headers":
        """What is usable of `data.sip_headers`, whatever JSON value it is; the rest is counted.

        Dropped are entries of a wrong type, names that are no token, values longer than
        `MAX_VALUE_LENGTH` and everything after `MAX_HEADERS` entries.
        """
        if not isinstance(raw, list):
            return cls(dropped=0 if raw is None else 1)
        pairs: list[tuple[str, str]] = []
        for entry in raw[:MAX_HEADERS]:
            if not isinstance(entry, dict):
                continue
            name, value = entry.get("name"), entry.get("value")
            if not isinstance(name, str) or not isinstance(value, str):
                continue
            canonical = canonical_name(name)
            if canonical is not None and len(value) <= MAX_VALUE_LENGTH:
                pairs.append((canonical, value))
        return cls(tuple(pairs), dropped=len(raw) - len(pairs))

    def all(self, name: str) -> tuple[str, ...]:
        """The values of every header of that name, in order; compact names are understood."""
        values = self._by_name.get(name)
        if values is not None:
            return values
        if len(name) > 1 and name.islower():  # nothing to expand, and the usual question
            return ()
        return self._by_name.get(canonical_name(name) or "", ())

    def names(self) -> Set[str]:
        """The names that occur, in lower case and in their long form."""
        return self._by_name.keys()

    def items(self) -> Iterator[tuple[str, str]]:
        """Every header in order, its name in lower case and in its long form."""
        return iter(self.pairs)

    def without(self, *names: str) -> "Headers":
        """The headers but for those names: a trunk's secret header leaves by this."""
        hidden = {canonical_name(name) for name in names}
        kept = tuple(pair for pair in self.pairs if pair[0] not in hidden)
        return Headers(kept, dropped=self.dropped)

    def __len__(self) -> int:
        return len(self.pairs)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.all(name))
