"""What happened in a call, one line after the other: of the records, or as it happens. Pure.

What was said is in a line only where its words may be shown; without them it says who spoke.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from sipagent.model import Happening, Speaker
from sipagent.model.ids import is_call_id
from sipagent.model.live import LiveEvent, LiveKind
from sipagent.store.facts import StoredMessage, StoredToolCall, StoredTransfer, StoredTurn, Story
from sipagent.store.reading.speech import Speech
from sipagent.store.shown import said
from sipagent.store.why.endings import STEPS
from sipagent.store.why.wording import plain, seconds

_UNHEARD: Final = "(not understood)"


@dataclass(frozen=True, slots=True)
class Item:
    """One line. `look` is who or what it is of: caller, agent, tool, transfer, message or step.
    `text` is None where words may not be shown."""

    id: str
    at: float
    look: str
    title: str
    text: str | None = field(default=None, repr=False)
    note: str = ""
    details: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def key(self) -> int:
        """Puts lines in order."""
        return int(self.at * 1000)


def items_of(story: Story, spoken: tuple[Speech, ...], *, words: bool, numbers: bool) -> list[Item]:
    """The lines of a call, in the order of their times."""
    turns = (
        (_turn(one, numbers) for one in story.turns)
        if words
        else (_unopened(one) for one in spoken)
    )
    rest = (
        *(_tool(one, words=words, numbers=numbers) for one in story.tools),
        *(_transfer(one, numbers) for one in story.transfers),
        *(_message(one, words=words, numbers=numbers) for one in story.messages),
        *(_step(one.at, one.what, one.detail, numbers) for one in story.steps),
    )
    return sorted((*turns, *rest), key=lambda item: item.at)


def item_of(event: LiveEvent, *, words: bool) -> Item | None:
    """The line of something that has just happened; None for what is none."""
    data = event.data
    match event.kind:
        case LiveKind.TURN:
            turn = StoredTurn(
                int(data["sequence"]),
                event.at,
                str(data["speaker"]),
                _text_of(data, "text") if words else None,
                bool(data.get("interrupted")),
            )
            if words:
                return _turn(turn, numbers=False)
            return _unopened(Speech(turn.sequence, turn.at, turn.speaker, 0, turn.interrupted))
        case LiveKind.TOOL:
            return _used(event)
        case LiveKind.TRANSFER:
            return _transfer(_sent(event), numbers=False)
        case LiveKind.STEP:
            return _step(event.at, str(data.get("what", "")), _text_of(data, "detail"), False)
        case _:
            return None


def _turn(turn: StoredTurn, numbers: bool) -> Item:
    return _spoken(turn, _UNHEARD if turn.text is None else said(turn.text, numbers=numbers))


def _unopened(turn: Speech) -> Item:
    return _spoken(turn, None)


def _spoken(turn: StoredTurn | Speech, text: str | None) -> Item:
    side = "caller" if turn.speaker == Speaker.CALLER else "agent"
    note = "interrupted" if turn.interrupted else ""
    return Item(f"turn-{turn.sequence}", turn.at, side, side.capitalize(), text, note)


def _tool(use: StoredToolCall, *, words: bool, numbers: bool) -> Item:
    status = f"{plain(use.status, numbers=True)} after {seconds(use.seconds)}"
    detail = f", {plain(use.detail, numbers=numbers)}" if use.detail else ""
    given = (("given", use.arguments), ("gave", use.output)) if words else ()
    details = tuple((name, said(text, numbers=numbers)) for name, text in given if text)
    title = f"Tool {plain(use.name, numbers=True)}"
    return Item(f"tool-{_tool_id(use.id)}", use.at, "tool", title, "", f"{status}{detail}", details)


def _used(event: LiveEvent) -> Item:
    """A tool as it is told live: without what it was given and gave."""
    data = event.data
    took, detail = data.get("seconds"), _text_of(data, "detail")
    status = plain(str(data.get("status", "")), numbers=True)
    note = f"{status} after {seconds(float(took))}" if isinstance(took, int | float) else status
    use = event.id.partition("@")[0].partition(".")[2]
    title = f"Tool {plain(str(data.get('name', '')), numbers=True)}"
    if detail:
        note = f"{note}, {plain(detail, numbers=False)}"
    return Item(f"tool-{use}", event.at, "tool", title, "", note)


def _sent(event: LiveEvent) -> StoredTransfer:
    data = event.data
    return StoredTransfer(
        int(data.get("number", 0)),
        event.at,
        _text_of(data, "destination"),
        "",
        str(data.get("answer", "")),
        _text_of(data, "outcome"),
    )


def _transfer(sent: StoredTransfer, numbers: bool) -> Item:
    where = plain(sent.destination or sent.target or "somewhere", numbers=numbers)
    came = plain((sent.outcome or sent.answer).replace("_", " "), numbers=numbers)
    return Item(f"transfer-{sent.number}", sent.at, "transfer", f"Transfer to {where}", "", came)


def _message(message: StoredMessage, *, words: bool, numbers: bool) -> Item:
    told = message.told.items() if words else ()
    details = tuple((plain(name, numbers=True), said(text, numbers=numbers)) for name, text in told)
    return Item(
        f"message-{_id(message.id)}", message.at, "message", "Message taken", "", "", details
    )


def _step(at: float, what: str, detail: str | None, numbers: bool) -> Item:
    known = what in set(Happening)
    title = STEPS[Happening(what)] if known else plain(what, numbers=True)
    note = plain(detail, numbers=numbers) if detail else ""
    return Item(f"step-{_id(what)}-{int(at * 1000)}", at, "step", _capital(title), "", note)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _text_of(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    return None if value is None else str(value)


def _tool_id(use: str) -> str:
    """As the event that tells of it is named: a provider's id may be any text."""
    return use if is_call_id(use) else sha256(use.encode(errors="replace")).hexdigest()


def _id(text: str) -> str:
    """What may stand in an HTML id."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in text[:80])
