"""What a call's caller and simulated model say, in order, and how far they have come."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)+"', re.DOTALL)
_CANNED = "I see. Is there anything else that I can do for you?"


@dataclass(frozen=True, slots=True)
class CallerLine:
    """The caller speaks; with `barge_in` over the agent, `after` seconds into what it says."""

    text: str
    barge_in: bool = False
    after: float | None = None
    transcription_fails: bool = False


@dataclass(frozen=True, slots=True)
class Digits:
    digits: str
    barge_in: bool = False
    after: float | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class HangUp:
    barge_in: bool = False
    after: float | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ServerUse:
    """A tool of an MCP server that the provider itself uses: it leads to `output`, or to a failure
    that says `error`. One that has to be approved waits for it."""

    server: str
    name: str
    arguments: str
    output: str = ""
    error: str | None = None


class Missing(StrEnum):
    """How an answer fails to come. NEVER_BEGUN: nothing follows the turn or the request.
    NEVER_FINISHED: the response begins and puts nothing out until it is cancelled."""

    NEVER_BEGUN = "never_begun"
    NEVER_FINISHED = "never_finished"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model puts out in one response: words, then uses of MCP servers, then function
    calls, or a failure, or nothing. It `quotes` the sentence of its instructions that has these
    words."""

    text: str = ""
    tools: tuple[ToolCall, ...] = ()
    servers: tuple[ServerUse, ...] = ()
    quotes: str | None = None
    failure: str | None = None
    missing: Missing | None = None


CallerStep = CallerLine | Digits | Pause | HangUp
Step = CallerStep | Answer
Script = tuple[Step, ...]

DEFAULT_SCRIPT: Script = (
    CallerLine("Hello, can you help me with my order?"),
    Answer("Of course. Your order is on its way and arrives tomorrow."),
    CallerLine("Great, thank you. Goodbye."),
    Answer("You are welcome. Goodbye."),
)


def quoted_text(instructions: str) -> str | None:
    """The last double-quoted text: what `Say exactly: "..."` asks for."""
    found = _QUOTED.findall(instructions)
    if not found:
        return None
    try:
        return str(json.loads(found[-1], strict=False))
    except ValueError:
        return str(found[-1][1:-1])


def asked_words(instructions: str) -> str | None:
    """The double-quoted text that ends the instructions: what they ask to say, and nothing else."""
    return quoted_text(instructions) if instructions.rstrip().endswith('"') else None


class Prompter:
    """Gives the model its lines and the caller their cues.

    A script that is played `as_written` keeps its order: no line is said before it is due, and
    what the client asks the model to say takes the place of none. `told` hears of each step that
    has happened, or will not.
    """

    def __init__(
        self,
        script: Script,
        *,
        as_written: bool = False,
        told: Callable[[int, bool], None] = lambda index, happened: None,
    ) -> None:
        self._script = script
        self._taken = [False] * len(script)
        self._position = 0
        self._as_written = as_written
        self._told = told

    def cue(self) -> Step | None:
        """The next step that has not happened; None after the last."""
        while self._position < len(self._script) and self._taken[self._position]:
            self._position += 1
        return self._script[self._position] if self._position < len(self._script) else None

    def pass_on(self, *, happened: bool = True) -> None:
        """The step of the cue has happened, or will not."""
        if self.cue() is not None:
            self._taken[self._position] = True
            self._told(self._position, happened)

    def answer(self, instructions: str | None, *, tools: bool = True) -> Answer:
        """What the model says next; without `tools` it can use none.

        A quoted text takes the place of the model's line if that line is due. Function calls and
        failures wait for the caller's lines before them; plain lines may be said early.
        """
        if self._as_written:
            return self._written_answer(instructions, tools=tools)
        cue = self.cue()
        due = isinstance(cue, Answer) and (tools or not (cue.tools or cue.servers))
        quoted = quoted_text(instructions) if instructions else None
        if quoted is not None:
            if due:
                self.pass_on()
            return Answer(quoted)
        for index in range(self._position, len(self._script)):
            step = self._script[index]
            if isinstance(step, Answer) and not self._taken[index]:
                if not due and (step.tools or step.servers or step.failure or step.missing):
                    break
                self._taken[index] = True
                self._told(index, True)
                return step
        return Answer(_CANNED)

    def _written_answer(self, instructions: str | None, *, tools: bool) -> Answer:
        """What is due, unless the client has the model say something of its own: these words, or
        whatever it asks for without tools. The model reads that out as it was asked."""
        asked = asked_words(instructions) if instructions else None
        cue = self.cue()
        own = asked is not None or (instructions and not tools)
        if not own and isinstance(cue, Answer) and (tools or not (cue.tools or cue.servers)):
            self.pass_on()
            return cue
        return Answer(asked or instructions or _CANNED)
