"""What a caller must have proven before a tool is used. Pure.

Whoever calls can say to be anybody, and so can the number that they show: a tool that is gated is
opened by the carrier's attestation of the number, or by digits that the caller has pressed.
"""

from hmac import compare_digest
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from sipagent.model import AttestationLevel, Requirement, ToolName

TRIES: Final = 3
"""Wrong numbers pressed for a PIN, after which no digits open a tool in this call."""

_RANK: Final[dict[AttestationLevel | None, int]] = {None: 0, "C": 1, "B": 2, "A": 3}


class Keys(Struct, frozen=True):
    """What opens gates: the attestation, and the digits that tools have collected last, by their
    names. `wrong` counts the times at which they did not open one."""

    attested: AttestationLevel | None = None
    digits: dict[ToolName, str] = field(default_factory=dict)
    wrong: int = 0

    def __repr__(self) -> str:
        return f"Keys(attested={self.attested!r}, wrong={self.wrong})"

    def pressed(self, tool: ToolName, digits: str) -> "Keys":
        """These, with what the caller has pressed now."""
        return replace(self, digits={**self.digits, tool: digits})


def tried(requires: Requirement | None, keys: Keys) -> tuple[Keys, str | None]:
    """The keys after a try to use a tool, and why it may not be used, in words for the model; None
    if it may."""
    if requires is None:
        return keys, None
    if _RANK[requires.attestation] > _RANK[keys.attested]:
        return keys, "the caller's number is not proven well enough for this"
    if requires.pin is None:
        return keys, None
    if keys.wrong >= TRIES:
        return keys, "too many wrong PINs have been pressed in this call"
    if any(_same(pressed, requires.pin) for pressed in keys.digits.values()):
        return keys, None
    if keys.digits:
        keys = replace(keys, wrong=keys.wrong + 1)
    return keys, "the caller has to press the right PIN first: collect its digits, then try again"


def _same(one: str, other: str) -> bool:
    return compare_digest(one.encode(), other.encode())
