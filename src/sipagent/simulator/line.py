"""What the small machines of one call share: its time, its session, and what they put out."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sipagent.simulator.agenda import Agenda
from sipagent.simulator.refusal import JsonObject, Refusal
from sipagent.simulator.usage import Ledger


@dataclass(frozen=True, slots=True)
class Manner:
    """How a call goes, apart from what is said. Times are seconds.

    `pace` is words per second, 0 as fast as possible. The caller answers after `reaction`, takes
    `patience` of silence for an answer, and hangs up `linger` after the last line (None: a moment
    later if speech takes time or the model called a function, else at once), unless `stay`.
    `rate_limits` are told after each response: what the bills leave, these, or none. Without
    `usage` a response is billed and its end does not tell so. A script that is played `as_written`
    keeps its order, and a model that plays it uses only tools that the session offers.
    """

    pace: float = 0.0
    reaction: float = 0.03
    patience: float = 5.0
    linger: float | None = None
    stay: bool = False
    transcripts: str = "before"
    session_created: bool = False
    max_duration: float = 3600.0
    rate_limits: bool | tuple[JsonObject, ...] = True
    usage: bool = True
    as_written: bool = False

    def seconds(self, text: str) -> float:
        return len(text.split()) / self.pace if self.pace else 0.0


class Ids:
    """Ids that look like the provider's and are unique within the process's life."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._numbers = count(1)

    def new(self, kind: str) -> str:
        return f"{kind}_{self._seed}{next(self._numbers):05x}"


@dataclass(slots=True)
class Line:
    """`frames` are server events for the sockets, `notes` what `.../events` streams."""

    ids: Ids
    agenda: Agenda
    manner: Manner
    session: JsonObject
    wall: float
    conversation_id: str
    ledger: Ledger = field(default_factory=Ledger)
    frames: list[JsonObject] = field(default_factory=list)
    notes: list[JsonObject] = field(default_factory=list)
    hung_up: str | None = None
    static_noise: bool = False

    def emit(self, kind: str, **fields: Any) -> None:
        self.frames.append({"type": kind, "event_id": self.ids.new("event"), **fields})

    def note(self, kind: str, **fields: Any) -> None:
        self.notes.append({"type": kind, "at": round(self.agenda.now, 3), **fields})

    def complain(self, refusal: Refusal, event_id: str | None = None) -> None:
        self.emit("error", error={**refusal.body(), "event_id": event_id})

    def hang_up(self, by: str) -> None:
        """The call is over: nothing that was planned happens any more."""
        self.hung_up = self.hung_up or by
        self.agenda.clear()

    @property
    def milliseconds(self) -> int:
        return round(self.agenda.now * 1000)

    @property
    def turn_detection(self) -> JsonObject | None:
        found: JsonObject | None = self.session["audio"]["input"]["turn_detection"]
        return found

    @property
    def transcription(self) -> JsonObject | None:
        found: JsonObject | None = self.session["audio"]["input"]["transcription"]
        return found
