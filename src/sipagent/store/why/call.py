"""One call, told in sentences."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sipagent.model import Fault, Happening, Reason, TraceStep, TransferEnd
from sipagent.routing.talks import TALK
from sipagent.store.facts import CallRow, StoredHappening, StoredTransfer, Story
from sipagent.store.numbers import is_hashed
from sipagent.store.why.endings import (
    ENDINGS,
    FELL_BACK,
    STEPS,
    TRANSFER_ENDS,
    Ending,
    ending_of,
)
from sipagent.store.why.tools import tell_use, troubled
from sipagent.store.why.unrouted import line_to_paste
from sipagent.store.why.wording import at, count, money, number, plain, seconds

_MOST_STEPS: Final = 40


@dataclass(frozen=True, slots=True)
class Told:
    """The story of a call: each part is a list of sentences, empty where there is nothing to
    say."""

    decided: tuple[str, ...]
    happened: tuple[str, ...]
    ended: tuple[str, ...]
    cost: tuple[str, ...]
    to_do: tuple[str, ...]


_WHERE_THE_LINE_IS: Final = (
    "`sipagent calls unrouted`, the console's page Numbers and this with numbers in full have the"
    " line to paste."
)


def tell(story: Story, *, numbers: bool) -> Told:
    """What was decided and by which rule, what happened, how it ended and who is at fault, what it
    cost, and what to do about it. Telephone numbers are masked unless `numbers`."""
    return Told(
        tuple(_decided(story, numbers)),
        tuple(_happened(story, numbers)),
        tuple(_ended(story, numbers)),
        tuple(_cost(story)),
        tuple(_to_do(story, numbers)),
    )


def _decided(story: Story, numbers: bool) -> Iterator[str]:
    call = story.call
    yield f"The call {call.call_id} came at {at(call.began_at)}{_way(call, numbers)}."
    yield f"{_verdict(call)}{_by(call)}."
    step = next((one for one in reversed(story.trace) if one.held), None)
    decisive = step if step is not None else (story.trace[-1] if story.trace else None)
    if decisive is None:
        yield "Which rule decided is not kept."
        return
    yield f"What decided: {_step(decisive, numbers)}."
    others = [one for one in story.trace if one is not decisive and not one.held]
    for one in others[:_MOST_STEPS]:
        yield f"Not: {_step(one, numbers)}."


def _way(call: CallRow, numbers: bool) -> str:
    header = f" (header {plain(call.dialed_source, numbers=numbers)})" if call.dialed_source else ""
    dialed = number(call.dialed, numbers=numbers)
    if call.dialed_source == TALK:
        lent = f", as if to {dialed}" if dialed else ""
        return f" from a browser{lent}, on account {call.account}"
    caller = number(call.caller, numbers=numbers)
    parts = [
        f" to {dialed}{header}" if dialed else ", with no number that any header carried",
        f" from {caller}" if caller else " from a withheld number",
    ]
    if call.trunk:
        proof = "as its secret proves" if call.trunk_proven else "not proven"
        parts.append(f", by trunk {call.trunk} ({proof})")
    return "".join([*parts, f", on account {call.account}"])


def _verdict(call: CallRow) -> str:
    match call.verdict:
        case "reject":
            code = f" with {call.sip_code}" if call.sip_code else ""
            return f"It was refused{code}"
        case "forward":
            return f"It was to be sent on to {call.destination or 'a destination'}, without a word"
        case _:
            model = f" ({plain(call.model, numbers=True)})" if call.model else ""
            return f"The agent {call.tenant}/{call.agent or '?'} was to answer{model}"


def _by(call: CallRow) -> str:
    configuration = f", configuration {call.config_hash}" if call.config_hash else ""
    return (
        f"; so decided replica {call.replica}, release {call.release}{configuration},"
        f" for tenant {call.tenant}"
    )


def _step(step: TraceStep, numbers: bool) -> str:
    source, considered, because = (
        plain(text, numbers=numbers) for text in (step.source, step.considered, step.because)
    )
    return f"{source}: {considered}: {because}"


def _happened(story: Story, numbers: bool) -> Iterator[str]:
    began_at = story.call.began_at
    steps = sorted(_steps(story, numbers), key=lambda step: step[0])
    told = [*steps[:_MOST_STEPS], *_transfers(story, numbers)]
    for when, what in sorted(told, key=lambda step: step[0]):
        yield f"After {seconds(when - began_at)} {what}"
    more = len(steps) - _MOST_STEPS
    if more > 0:
        yield f"{count(more, 'further step')} followed."
    if story.call.turns:
        were = "was" if story.call.turns == 1 else "were"
        yield f"{count(story.call.turns, 'turn')} {were} spoken."


def _transfers(story: Story, numbers: bool) -> Iterator[tuple[float, str]]:
    for sent in story.transfers:
        where = sent.destination or plain(sent.target, numbers=numbers)
        answer = plain(sent.answer, numbers=numbers)
        told = f"a transfer to {where} was asked for; the provider's answer: {answer}."
        yield sent.at, f"{told}{_came(sent)}"


def _came(sent: StoredTransfer) -> str:
    """What has come of an attempt, as far as it is known."""
    if sent.outcome is None or sent.outcome not in set(TransferEnd):
        return ""
    return f" {TRANSFER_ENDS[TransferEnd(sent.outcome)]}"


def _steps(story: Story, numbers: bool) -> Iterator[tuple[float, str]]:
    """What happened, was used and was taken, each with its time."""
    for step in story.steps:
        yield step.at, f"{_happening(step, numbers)}."
    for use in story.tools:
        yield use.at, f"the agent {tell_use(use, numbers=numbers)}."
    for message in story.messages:
        yield message.at, "a message was taken."


def _happening(step: StoredHappening, numbers: bool) -> str:
    known = step.what in set(Happening)
    sentence = (
        STEPS[Happening(step.what)] if known else f"there was {plain(step.what, numbers=numbers)}"
    )
    return f"{sentence} ({plain(step.detail, numbers=numbers)})" if step.detail else sentence


def _ended(story: Story, numbers: bool) -> Iterator[str]:
    call = story.call
    if call.outcome is None or call.ended_at is None:
        yield "It has not ended yet."
        return
    detail = f" ({plain(call.detail, numbers=numbers)})" if call.detail else ""
    length = seconds(call.ended_at - call.began_at)
    yield f"It ended after {length} as {call.outcome}{detail}."
    ending = _ending(story)
    if ending is not None:
        yield ending.means
    match Fault.PROVIDER if ending is FELL_BACK else call.at_fault:
        case None | "nobody":
            yield "Nobody is at fault."
        case "unknown":
            yield "Who is at fault is not known."
        case who:
            yield f"At fault: the {who}."


def _cost(story: Story) -> Iterator[str]:
    call, bills = story.call, story.usage
    tokens = call.tokens if call.tokens is not None else sum(one.tokens for one in bills)
    unpriced = sorted(
        {plain(one.model or "an unnamed model", numbers=True) for one in bills if one.cost is None}
    )
    known = [one.cost for one in bills if one.cost is not None]
    cost = call.cost if call.cost is not None else (sum(known) if known else None)
    if not bills and not tokens and not cost:
        if call.usage_complete is False:
            yield "What it cost is not known: the provider's usage was lost."
        elif call.ended_at is not None:
            yield "It cost nothing with the provider."
        return
    used = f"{count(tokens, 'token')} in {count(len(bills), 'bill')}"
    if unpriced:
        yield f"The price list has no price for {', '.join(unpriced)}."
    if cost is None:
        yield f"It used {used}; what that cost is not known."
        return
    least = unpriced or call.usage_complete is not True
    version = f", by prices {call.price_version}" if call.price_version else ""
    yield f"It cost {'at least ' if least else ''}{money(cost)}: {used}{version}."
    if call.usage_complete is False:
        yield "Some of its usage was lost, so that it may have cost more."


def _to_do(story: Story, numbers: bool) -> Iterator[str]:
    yield from troubled(story.tools)
    call, ending = story.call, _ending(story)
    if ending is None:
        return
    if ending.to_do is not None:
        yield ending.to_do
    if ending is ENDINGS[Reason.UNKNOWN_NUMBER] and call.dialed and not is_hashed(call.dialed):
        yield line_to_paste(call.dialed) if numbers else _WHERE_THE_LINE_IS


def _ending(story: Story) -> Ending | None:
    """None for a reason of another release, or none at all."""
    word = (story.call.outcome or "").partition(".")[2]
    if word not in set(Reason):
        return None
    return ending_of(
        Reason(word),
        story.call.detail,
        fell_back=any(step.what == Happening.FELL_BACK for step in story.happenings),
    )
