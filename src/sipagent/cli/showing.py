"""One call's records as text for people."""

import heapq
from collections.abc import Iterator

from sipagent.store.facts import StoredMessage, StoredToolCall, StoredTurn, Story
from sipagent.store.why.wording import at, money, number, plain, seconds

_WIDTH = 12

Said = StoredTurn | StoredToolCall | StoredMessage
"""What has words."""


def story_lines(story: Story, *, numbers: bool, words: bool) -> Iterator[str]:
    """Everything of the call, a fact a line; what was said, what tools were given and gave and what
    messages say with `words` only."""
    for name, value in _facts(story, numbers):
        if value:
            yield f"{name:<{_WIDTH}}{value}"
    yield from _part("decision", _decision(story, numbers))
    yield from _part("steps", _steps(story, numbers))
    yield from _part("usage", _usage(story))
    if words:
        yield from _part("transcript", _said(story, numbers))
        yield from _part("what a model made of it", _made(story, numbers))
    elif story.call.turns:
        yield ""
        yield f"{story.call.turns} turns were spoken: --transcript shows them"


def _facts(story: Story, numbers: bool) -> Iterator[tuple[str, str | None]]:
    call = story.call
    yield "call", call.call_id
    yield "webhook", call.webhook_id
    for one in story.aliases:
        yield "carrier", f"{plain(one.alias, numbers=True)} ({plain(one.header, numbers=True)})"
    yield "tenant", call.tenant
    yield "agent", call.agent
    yield "destination", call.destination
    yield "to", number(call.dialed, numbers=numbers)
    yield "header", call.dialed_source and plain(call.dialed_source, numbers=True)
    yield "from", number(call.caller, numbers=numbers) or "withheld"
    if numbers and call.caller_name:
        yield "name", plain(call.caller_name, numbers=True)
    forwarded = (number(one, numbers=numbers) for one in (call.forwarded_from or "").split())
    yield "forwarded", ", ".join(filter(None, forwarded))
    yield "trunk", call.trunk and f"{call.trunk}{' (proven)' if call.trunk_proven else ''}"
    yield "attestation", call.attestation
    yield "account", call.account
    yield "model", call.model and plain(call.model, numbers=True)
    yield "release", f"{call.release} on {call.replica}"
    yield "version", call.config_hash
    yield "began", at(call.began_at)
    for name, when in (("answered", call.answered_at), ("heard", call.heard_at)):
        yield name, None if when is None else f"after {seconds(when - call.began_at)}"
    yield "ended", "not yet" if call.seconds is None else f"after {seconds(call.seconds)}"
    detail = f" ({plain(call.detail, numbers=numbers)})" if call.detail else ""
    yield "outcome", call.outcome and f"{call.outcome}{detail}, at fault: {call.at_fault}"
    if call.cost is not None:
        least = "" if call.usage_complete else "at least "
        yield "cost", f"{least}{money(call.cost)} ({call.tokens or 0:,} tokens)"
    yield "hold", "kept from every deletion" if call.hold else None


def _decision(story: Story, numbers: bool) -> Iterator[str]:
    for step in story.trace:
        texts = (plain(text, numbers=numbers) for text in (step.source, step.considered))
        because = plain(step.because, numbers=numbers)
        yield f"{'yes' if step.held else 'no':<3} {': '.join(texts)}: {because}"


def _steps(story: Story, numbers: bool) -> Iterator[str]:
    began_at = story.call.began_at
    for when, what in sorted(_happened(story, numbers), key=lambda step: step[0]):
        yield f"{seconds(when - began_at):>10}  {what}"


def _happened(story: Story, numbers: bool) -> Iterator[tuple[float, str]]:
    for step in story.steps:
        detail = f": {plain(step.detail, numbers=numbers)}" if step.detail else ""
        yield step.at, f"{plain(step.what, numbers=True)}{detail}"
    for use in story.tools:
        detail = f" ({plain(use.detail, numbers=numbers)})" if use.detail else ""
        status = f"{plain(use.status, numbers=True)} after {seconds(use.seconds)}"
        yield use.at, f"tool {plain(use.name, numbers=True)}: {status}{detail}"
    for message in story.messages:
        yield message.at, "message taken"
    for sent in story.transfers:
        where = sent.destination or plain(sent.target, numbers=numbers)
        came = f", {plain(sent.outcome, numbers=True)}" if sent.outcome else ""
        yield (
            sent.at,
            f"transfer {sent.number} to {where}: {plain(sent.answer, numbers=True)}{came}",
        )


def _usage(story: Story) -> Iterator[str]:
    for one in story.usage:
        cost = "price unknown" if one.cost is None else money(one.cost)
        used = f"{one.tokens:,} tokens" if one.seconds is None else seconds(one.seconds)
        model = plain(one.model or "unknown model", numbers=True)
        yield f"{one.kind}  {model}  {used}  {cost}"


def _said(story: Story, numbers: bool) -> Iterator[str]:
    began_at = story.call.began_at
    turns: list[Said] = [*story.turns]
    done: list[Said] = [*story.tools, *story.messages]
    done.sort(key=lambda one: one.at)
    # Turns stay in the order of their sequence, which their times need not be in.
    for one in heapq.merge(turns, done, key=lambda one: one.at):
        yield f"{seconds(one.at - began_at):>10}  {_line(one, numbers)}"


def _made(story: Story, numbers: bool) -> Iterator[str]:
    for made in story.made:
        for text in (made.summary, made.extracted):
            if text is not None:
                yield _text(text, numbers, "")


def _line(one: Said, numbers: bool) -> str:
    match one:
        case StoredTurn():
            text = _text(one.text, numbers, "(not understood)")
            return f"{one.speaker}: {text}{' (interrupted)' if one.interrupted else ''}"
        case StoredToolCall():
            given, gave = (
                _text(text, numbers, "(not kept)") for text in (one.arguments, one.output)
            )
            return f"tool {plain(one.name, numbers=True)}: given {given}, gave {gave}"
        case StoredMessage():
            return f"message: {'; '.join(message_lines(one, numbers=numbers))}"


def message_lines(message: StoredMessage, *, numbers: bool) -> Iterator[str]:
    """What the caller wants to have told, a field a line."""
    for name, text in message.told.items():
        yield f"{plain(name, numbers=True)}: {_text(text, numbers, '')}"


def _text(text: str | None, numbers: bool, without: str) -> str:
    return without if text is None else plain(text, numbers=numbers, limit=None)


def _part(title: str, lines: Iterator[str]) -> Iterator[str]:
    """The lines below their title; nothing where there are none."""
    found = list(lines)
    if found:
        yield ""
        yield title
        yield from (f"  {line}" for line in found)
