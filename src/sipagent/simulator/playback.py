"""What the caller hears of the agent: one utterance at a time, slower than it is generated."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from sipagent.simulator.agenda import Due
from sipagent.simulator.items import Items
from sipagent.simulator.line import Line

_NATURAL_PACE = 2.5  # words per second; gives audio a length where the simulation has none


@dataclass(slots=True)
class Utterance:
    """The audio of one response."""

    response_id: str
    item_id: str
    text: str
    generated: bool = False
    started_at: float = 0.0
    stop: Due | None = None


class Playback:
    """The call's output audio buffer."""

    def __init__(
        self, line: Line, items: Items, started: Callable[[], None], quiet: Callable[[], None]
    ) -> None:
        self._line = line
        self._items = items
        self._when_started = started
        self._when_quiet = quiet
        self._waiting: deque[Utterance] = deque()
        self.playing: Utterance | None = None
        self.has_spoken = False

    def play(self, utterance: Utterance) -> None:
        words = len(utterance.text.split())
        pace = self._line.manner.pace or _NATURAL_PACE
        self._items.audio_ms[utterance.item_id] = int(1000 * words / pace)
        if self.playing is None:
            self._start(utterance)
        else:
            self._waiting.append(utterance)

    def finish(self, utterance: Utterance) -> None:
        """Nothing will be added to it: it stops when it has been played."""
        utterance.generated = True
        if self.playing is utterance:
            self._plan_stop(utterance)

    def clear(self) -> Utterance | None:
        """What was playing is cut off and nothing else follows; None if all was quiet."""
        cut, self.playing = self.playing, None
        self._waiting.clear()
        if cut is None:
            return None
        if cut.stop is not None:
            cut.stop.drop()
        self._line.emit("output_audio_buffer.cleared", response_id=cut.response_id)
        return cut

    def truncate(self, cut: Utterance) -> None:
        """The conversation keeps only what of a cut utterance was heard."""
        length = self._items.audio_ms[cut.item_id]
        elapsed = round(1000 * (self._line.agenda.now - cut.started_at))
        heard_ms = min(elapsed, length) if self._line.manner.pace else length // 2
        words = cut.text.split()
        heard = " ".join(words[: len(words) * heard_ms // max(length, 1)])
        self._items.audio_ms[cut.item_id] = heard_ms
        self._line.note("interrupted", who="agent", text=heard)
        self._line.emit(
            "conversation.item.truncated",
            item_id=cut.item_id,
            content_index=0,
            audio_end_ms=heard_ms,
        )

    def seconds_of(self, utterance: Utterance) -> float:
        return self._line.manner.seconds(utterance.text)

    def _start(self, utterance: Utterance) -> None:
        self.playing, self.has_spoken = utterance, True
        utterance.started_at = self._line.agenda.now
        self._line.emit("output_audio_buffer.started", response_id=utterance.response_id)
        self._line.note("speech", who="agent", text=utterance.text)
        if utterance.generated:
            self._plan_stop(utterance)
        self._when_started()

    def _plan_stop(self, utterance: Utterance) -> None:
        ends = utterance.started_at + self.seconds_of(utterance)
        utterance.stop = self._line.agenda.after(
            max(0.0, ends - self._line.agenda.now), self._stopped
        )

    def _stopped(self) -> None:
        stopped, self.playing = self.playing, None
        if stopped is None:
            return
        self._line.emit("output_audio_buffer.stopped", response_id=stopped.response_id)
        if self._waiting:
            self._start(self._waiting.popleft())
        else:
            self._when_quiet()
