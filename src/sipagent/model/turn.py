"""What one side of a call said."""

from dataclasses import dataclass
from enum import StrEnum


class Speaker(StrEnum):
    CALLER = "caller"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Turn:
    """One finished utterance.

    `sequence` is the order in which turns began: the caller's text may arrive after the answer
    to it, so readers sort by it. `at` is when the turn began, in seconds since the call began.
    `interrupted` says that the agent's words were generated, but not all of them were heard.
    `text` is None where the caller's speech could not be transcribed.
    """

    sequence: int
    speaker: Speaker
    at: float
    text: str | None
    interrupted: bool = False
