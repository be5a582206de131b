"""The caller: what is said to the agent, when, and what the provider makes of it."""

from collections import deque

from sipagent.simulator import events
from sipagent.simulator.agenda import Due, Story
from sipagent.simulator.items import Items
from sipagent.simulator.line import Line
from sipagent.simulator.playback import Playback
from sipagent.simulator.refusal import JsonObject, Refusal
from sipagent.simulator.responses import Response, Responses
from sipagent.simulator.script import Answer, CallerLine, Digits, HangUp, Pause, Prompter, Step
from sipagent.simulator.usage import caller_tokens, text_tokens

_EMPTY_BUFFER = Refusal(
    "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but "
    "buffer only has 0.00ms of audio.",
    "input_audio_buffer_commit_empty",
)
_LINGER = 1.0
_LINGER_FOR_TOOLS = 0.3  # the service may be about to hang up or transfer


class Caller:
    """Follows the script's cues; `say` and `press` act at once, whatever the script says."""

    def __init__(
        self, line: Line, items: Items, playback: Playback, responses: Responses, prompter: Prompter
    ) -> None:
        self._line = line
        self._items = items
        self._playback = playback
        self._responses = responses
        self._prompter = prompter
        self._lines: deque[CallerLine] = deque()
        self._late: list[tuple[str, CallerLine]] = []
        self._buffer: list[str] = []
        self._begun = False
        self._speaking = False
        self._answered = False
        self._planned: Due | None = None
        self._patience: Due | None = None
        self._idle: Due | None = None

    def begin(self) -> None:
        """Somebody holds the call's socket: the conversation can start."""
        if not self._begun:
            self._begun = True
            self._listen()
            self.review()

    def say(self, line: CallerLine) -> None:
        if self._speaking:
            self._lines.append(line)
        else:
            self._line.agenda.tell(self._speech(line))

    def press(self, digits: str) -> None:
        for digit in digits:
            received_at = int(self._line.wall + self._line.agenda.now)
            self._line.frames.append(
                {
                    "type": "input_audio_buffer.dtmf_event_received",
                    "event": digit,
                    "received_at": received_at,
                }
            )
        self._line.note("dtmf", who="caller", digits=digits)

    def buffer(self, text: str) -> None:
        """Audio that waits for a commit."""
        self._buffer.append(text)

    def clear_buffer(self) -> None:
        self._buffer.clear()

    def commit(self) -> Refusal | None:
        """The client ends the turn, as it must without turn detection."""
        if not self._buffer:
            return _EMPTY_BUFFER
        text = " ".join(self._buffer)
        self._buffer.clear()
        self._commit(self._line.ids.new("item"), CallerLine(text), late=False)
        return None

    def agent_started(self) -> None:
        self._drop_idle()
        self.review()

    def agent_quiet(self) -> None:
        """All that the agent said has been heard, or was cleared."""
        self._answered = True
        self._await_idle()
        self.review()

    def response_finished(self, response: Response) -> None:
        late, self._late = self._late, []
        for item_id, line in late:
            self._transcribe(item_id, line)
        if response.answer.text and not response.audio:
            self._answered = True
        if not self._answered:
            self._listen()
        self.review()

    def review(self) -> None:
        """Plans what the caller does next, if the time for it has come."""
        if not self._begun or self._speaking or self._planned is not None:
            return
        cue = self._prompter.cue()
        if isinstance(cue, Answer) or (cue is None and self._line.manner.stay):
            return
        barges_in = cue is not None and not isinstance(cue, Pause) and cue.barge_in
        if barges_in and self._playback.playing is not None:
            self._plan(self._moment(cue), cue)
        elif self._answered and self._is_quiet():
            self._plan(self._delay(cue), cue)

    def _plan(self, seconds: float, cue: Step | None) -> None:
        self._planned = self._line.agenda.after(seconds, lambda: self._perform(cue))

    def _moment(self, cue: Step | None) -> float:
        """How long the caller listens before barging in."""
        after = getattr(cue, "after", None)
        if after is not None:
            return float(after)
        playing = self._playback.playing
        return self._playback.seconds_of(playing) / 2 if playing is not None else 0.0

    def _delay(self, cue: Step | None) -> float:
        manner = self._line.manner
        if isinstance(cue, Pause):
            return cue.seconds
        if cue is not None:
            return manner.reaction
        if manner.linger is not None:
            return manner.linger
        if manner.pace:
            return _LINGER
        return _LINGER_FOR_TOOLS if self._responses.called_tools else 0.0

    def _perform(self, cue: Step | None) -> None:
        self._planned = None
        waits = not isinstance(cue, Pause) and not getattr(cue, "barge_in", False)
        if self._speaking or (waits and not self._is_quiet()):
            return
        self._prompter.pass_on()
        match cue:
            case CallerLine():
                self._line.agenda.tell(self._speech(cue))
            case Digits():
                self.press(cue.digits)
                self.review()
            case None | HangUp():
                self._line.hang_up("caller")
            case _:
                self.review()

    def _speech(self, line: CallerLine) -> Story:
        self._speaking = True
        self._drop_idle()
        self._line.note("speech", who="caller", text=line.text)
        item_id = self._line.ids.new("item")
        turn_detection = self._line.turn_detection
        if turn_detection is not None:
            start = self._line.milliseconds
            kind = "input_audio_buffer.speech_started"
            self._line.emit(kind, audio_start_ms=start, item_id=item_id)
            if turn_detection["interrupt_response"]:
                self._responses.interrupt()
        yield self._line.manner.seconds(line.text)
        self._speaking = self._answered = False
        self._listen()
        self._end_turn(item_id, line)
        if self._lines and not self._speaking:
            self._line.agenda.tell(self._speech(self._lines.popleft()))
        else:
            self.review()

    def _end_turn(self, item_id: str, line: CallerLine) -> None:
        turn_detection = self._line.turn_detection
        if turn_detection is None:
            self._buffer.append(line.text)
            return
        end = self._line.milliseconds
        self._line.emit("input_audio_buffer.speech_stopped", audio_end_ms=end, item_id=item_id)
        responds = turn_detection["create_response"] and self._responses.active_id is None
        self._commit(item_id, line, late=responds and self._line.manner.transcripts == "after")
        if responds:
            self._responses.create({})

    def _commit(self, item_id: str, line: CallerLine, *, late: bool) -> None:
        self._line.emit(
            "input_audio_buffer.committed", item_id=item_id, previous_item_id=self._items.last_id
        )
        self._items.add(events.user_item(item_id))
        self._line.ledger.hear(line.text)
        if late:
            self._late.append((item_id, line))
        else:
            self._transcribe(item_id, line)

    def _transcribe(self, item_id: str, line: CallerLine) -> None:
        transcription = self._line.transcription
        if transcription is None:
            return
        kind = "conversation.item.input_audio_transcription"
        place = {"item_id": item_id, "content_index": 0}
        if line.transcription_fails:
            self._line.emit(f"{kind}.failed", **place, error=_TRANSCRIPTION_FAILED)
            return
        self._line.emit(f"{kind}.delta", **place, delta=line.text)
        usage = _transcription_usage(transcription.get("model", ""), line.text)
        self._line.emit(f"{kind}.completed", **place, transcript=line.text, usage=usage)

    def _is_quiet(self) -> bool:
        return self._playback.playing is None and self._responses.active_id is None

    def _listen(self) -> None:
        """Starts anew to wait for what the agent says."""
        if self._patience is not None:
            self._patience.drop()
        self._patience = self._line.agenda.after(self._line.manner.patience, self._give_up)

    def _give_up(self) -> None:
        if self._speaking or not self._is_quiet():
            self._listen()
            return
        if self._line.manner.as_written and isinstance(self._prompter.cue(), Answer):
            self._listen()
            return
        self._answered = True
        while isinstance(self._prompter.cue(), Answer):
            self._prompter.pass_on(happened=False)
        self.review()

    def _await_idle(self) -> None:
        self._drop_idle()
        milliseconds = (self._line.turn_detection or {}).get("idle_timeout_ms")
        if milliseconds is not None:
            begun = self._line.milliseconds
            self._idle = self._line.agenda.after(milliseconds / 1000, lambda: self._timeout(begun))

    def _timeout(self, begun: int) -> None:
        self._idle = None
        if not self._is_quiet():
            return
        item_id = self._line.ids.new("item")
        self._line.emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=begun,
            audio_end_ms=self._line.milliseconds,
            item_id=item_id,
        )
        self._commit(item_id, CallerLine(""), late=False)
        self._responses.create({})

    def _drop_idle(self) -> None:
        if self._idle is not None:
            self._idle.drop()
            self._idle = None


_TRANSCRIPTION_FAILED = {
    "type": "server_error",
    "code": "transcription_failed",
    "message": "Input transcription failed for item.",
    "param": None,
}


def _transcription_usage(model: str, text: str) -> JsonObject:
    """Newer transcription models are billed by the minute, gpt-4o ones by the token."""
    if not model.startswith("gpt-4o"):
        return {"type": "duration", "seconds": caller_tokens(text) / 10}
    into, out = caller_tokens(text), text_tokens(text)
    return {
        "type": "tokens",
        "total_tokens": into + out,
        "input_tokens": into,
        "input_token_details": {"text_tokens": 0, "audio_tokens": into},
        "output_tokens": out,
    }
