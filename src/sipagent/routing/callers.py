"""Which callers get through to a number: who may call, who may not, what their carrier must say.

Anybody can write any number into a From. So these refuse a call or choose a public agent for it,
and never lift a cap, a budget or what a tool requires.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sipagent.model import AttestationRule, Rate
from sipagent.model.attestation import DECLINE
from sipagent.routing.rules import ANONYMOUS

ANONYMITY_DISALLOWED: Final = 433
"""RFC 5079: the caller has withheld the number, and whoever is called does not take that."""


@dataclass(frozen=True, slots=True)
class CallerList:
    """Callers' numbers and prefixes: however many, each look-up takes the same time. `withheld`
    says that callers who withhold theirs are among them; `digest` names the list."""

    numbers: frozenset[str] = field(repr=False)
    prefixes: frozenset[str] = field(default=frozenset(), repr=False)
    withheld: bool = False
    digest: str = ""
    _lengths: tuple[int, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, patterns: Iterable[str]) -> "CallerList":
        """The list of patterns as rules have them: numbers, prefixes that end in `*`, and
        `anonymous`."""
        written = frozenset(patterns)
        prefixes = frozenset(pattern[:-1] for pattern in written if pattern.endswith("*"))
        return cls(
            numbers=frozenset(one for one in written if one != ANONYMOUS and one[-1:] != "*"),
            prefixes=prefixes,
            withheld=ANONYMOUS in written,
            digest=hashlib.sha256("\n".join(sorted(written)).encode()).hexdigest(),
            _lengths=tuple(sorted({len(prefix) for prefix in prefixes})),
        )

    @property
    def patterns(self) -> frozenset[str]:
        """What the list was made of."""
        prefixes = {f"{prefix}*" for prefix in self.prefixes}
        return self.numbers | prefixes | ({ANONYMOUS} if self.withheld else set())

    def __len__(self) -> int:
        return len(self.numbers) + len(self.prefixes) + self.withheld

    def has(self, caller: str | None) -> bool:
        """Whether the caller is in the list; None is one who withholds the number."""
        if caller is None:
            return self.withheld
        if caller in self.numbers:
            return True
        return any(caller[:length] in self.prefixes for length in self._lengths)


@dataclass(frozen=True, slots=True)
class Callers:
    """What one place of the configuration says of callers: `name` is that place, as traces and caps
    have it.

    Only callers in `allow` get through, if there is one, and none in `deny`; others are refused
    with `code`. `withheld` is the SIP status for those who withhold their number. `per_caller` caps
    the calls of each.
    """

    name: str
    allow: CallerList | None = None
    deny: CallerList | None = None
    withheld: int | None = None
    attestation: AttestationRule | None = None
    per_caller: Rate | None = None
    code: int = DECLINE

    def refusal(self, caller: str | None) -> tuple[int, str] | None:
        """The SIP status that refuses the caller, and why; None for one who gets through."""
        if caller is None and self.withheld is not None:
            return self.withheld, "the caller withholds the number"
        if self.deny is not None and self.deny.has(caller):
            return self.code, "the caller is one of deny"
        if self.allow is not None and not self.allow.has(caller):
            return self.code, "the caller is none of allow"
        return None
