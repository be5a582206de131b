"""What a carrier must say of a caller's number, and what follows where it says less."""

from dataclasses import dataclass
from typing import Final, Literal

from sipagent.model.ids import AgentName
from sipagent.model.skills import AttestationLevel

DECLINE: Final = 603
"""RFC 3261 21.6.2: what the provider itself sends by default."""

_WORTH: Final[dict[AttestationLevel | None, int]] = {None: 0, "C": 1, "B": 2, "A": 3}


@dataclass(frozen=True, slots=True)
class AttestationRule:
    """Callers whose number is attested with `least` or better pass. Others are refused with `code`,
    or answered by `agent` if there is one, or pass as well where they are to be flagged: the trace
    says so then."""

    least: AttestationLevel
    otherwise: Literal["reject", "flag"] = "reject"
    agent: AgentName | None = None
    code: int = DECLINE

    def met_by(self, level: AttestationLevel | None) -> bool:
        """Whether this level (SHAKEN, RFC 8588 section 4) is good enough."""
        return _WORTH[level] >= _WORTH[self.least]

    def lets_through(self, level: AttestationLevel | None) -> bool:
        """Whether a caller with this level is answered by who has the rule."""
        return self.otherwise == "flag" or self.met_by(level)
