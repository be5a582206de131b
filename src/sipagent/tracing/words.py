"""What was said, as attributes of spans, for those who want it there. Pure."""

import json
from collections.abc import Collection
from typing import Final

from sipagent.model import Redaction, Speaker, Turn
from sipagent.store.sparing import spared
from sipagent.store.toolrows import said

MOST_TURNS: Final = 200
LONGEST_TURN: Final = 4_000

_INPUT: Final = "gen_ai.input.messages"
_OUTPUT: Final = "gen_ai.output.messages"


class Spoken:
    """The turns of one agent's part of a call, the first `MOST_TURNS`."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns: list[Turn] = []

    def add(self, turn: Turn) -> None:
        if turn.text is not None and len(self._turns) < MOST_TURNS:
            self._turns.append(turn)

    def attributes(self) -> dict[str, str]:
        """Both sides' messages, in the order in which turns began."""
        ordered = sorted(self._turns, key=lambda turn: turn.sequence)
        return {
            **_messages(_INPUT, "user", [t for t in ordered if t.speaker is Speaker.CALLER]),
            **_messages(_OUTPUT, "assistant", [t for t in ordered if t.speaker is Speaker.AGENT]),
        }


def _messages(name: str, role: str, turns: list[Turn]) -> dict[str, str]:
    if not turns:
        return {}
    messages = [
        {"role": role, "parts": [{"type": "text", "content": (turn.text or "")[:LONGEST_TURN]}]}
        for turn in turns
    ]
    return {name: json.dumps(messages, ensure_ascii=False)}


def tool_words(
    arguments: str | None, output: str | None, redact: Collection[Redaction]
) -> dict[str, str]:
    """What a tool was given and has given, as records keep it: nothing of what is masked."""
    told = {"gen_ai.tool.call.arguments": arguments, "gen_ai.tool.call.result": output}
    return {
        name: said(text, lambda one: spared(one, redact))
        for name, text in told.items()
        if text is not None
    }
