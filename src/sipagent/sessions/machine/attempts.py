"""Attempts to send a call somewhere: how they are marked, and what follows one that fails. Pure.

Attempts are numbered over all owners of a call. `refer:<number>:<destination>` is written down
before the REFER, `referred:<number>:<answer>` after it, and `refer_over:<number>` when nobody has
taken the call within the watch.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from sipagent.model import DestinationName, Mark, Reachable
from sipagent.sessions.machine.events import Answer

RESUME: Final = "resume"
TAKE_MESSAGE: Final = "take_message"
HANG_UP: Final = "hang_up"

_LAST: Final = (RESUME, TAKE_MESSAGE, HANG_UP)
"""Steps after which nothing more is tried."""

RELAYED: Final = (Answer.DONE, Answer.SILENT)
"""The answers after which somebody may be rung."""


class Attempt(Struct, frozen=True):
    """One REFER. `answer` is None until there is one. What comes of it shows until `until`; `told`
    says that the caller knows that it takes its time."""

    number: int
    way: Reachable
    answer: Answer | None = None
    until: float = 0.0
    told: bool = False

    @property
    def mark(self) -> str:
        return f"{Mark.REFER}:{self.number}:{self.way.destination}"

    @property
    def referred(self) -> str:
        return f"{Mark.REFERRED}:{self.number}:{self.answer}"

    @property
    def over(self) -> str:
        return f"{Mark.REFER_OVER}:{self.number}"


class Chain(Struct, frozen=True):
    """What one request has led to: the destinations that have been `tried`, and the `steps` that
    are left. Nobody is tried twice, whatever the steps of each of them say."""

    tried: tuple[DestinationName, ...] = ()
    steps: tuple[str, ...] = ()

    def through(self, way: Reachable) -> "Chain":
        """The chain once this destination is tried: its own steps come before what is left."""
        left = self.steps
        if way.destination in left:
            left = left[left.index(way.destination) + 1 :]
        return Chain((*self.tried, way.destination), (*way.on_failure, *left))

    def leads_to(self, destination: DestinationName) -> bool:
        """Whether it may have been tried without being asked for once more."""
        for following in self.steps:
            if following in _LAST:
                return False
            if following == destination:
                return destination not in self.tried
        return False


class Following(Struct, frozen=True):
    """What comes next: a `way` to try, or the last `step`. `closed` would have been tried."""

    way: Reachable | None
    step: str = RESUME
    closed: tuple[DestinationName, ...] = ()


def following(
    chain: Chain, ways: Mapping[DestinationName, Reachable], now: float, *, barred: bool
) -> Following:
    """The first step that can be taken. A call that is barred can be sent nowhere else either."""
    closed: tuple[DestinationName, ...] = ()
    for one in chain.steps:
        if one in _LAST:
            return Following(None, one, closed)
        way = ways.get(DestinationName(one))
        if way is None or barred or way.destination in chain.tried:
            continue
        if is_open(way, now):
            return Following(way, closed=closed)
        closed = (*closed, way.destination)
    return Following(None, RESUME, closed)


def is_open(way: Reachable, now: float) -> bool:
    """Whether it can be reached, `now` seconds after the call began."""
    return way.open is None or any(begin <= now < end for begin, end in way.open)


def opens_in(way: Reachable, now: float) -> float | None:
    """Seconds until it can be reached again, None where that is not known."""
    return min((begin - now for begin, _ in way.open or () if begin > now), default=None)


class History(Struct, frozen=True):
    """The attempts of owners before: how many, the one that is still watched, and its chain."""

    count: int = 0
    attempt: Attempt | None = None
    chain: Chain = Chain()


def history(
    marks: Mapping[str, float], ways: Mapping[DestinationName, Reachable], watch: float
) -> History:
    """What the marks tell, each with its seconds since the call began. Of a destination that the
    plan does not have, because the operator has ordered it, the name is known and no more."""
    count, chain, last = 0, Chain(), None
    answers: dict[int, Answer] = {}
    over: set[int] = set()
    for kind, number, rest, at in sorted(_numbered(marks), key=lambda one: one[1]):
        count = max(count, number)
        if kind == Mark.REFER_OVER:
            over.add(number)
        elif kind == Mark.REFERRED:
            answers[number] = Answer(rest)
        else:
            way = ways.get(destination := DestinationName(rest)) or Reachable(destination, "")
            chain = (chain if chain.leads_to(way.destination) else Chain()).through(way)
            last = Attempt(number, way, Answer.SILENT, at + watch)
    if last is None or last.number < count or last.number in over:
        return History(count)
    answer = answers.get(last.number, Answer.SILENT)
    if answer not in RELAYED:
        return History(count)
    return History(count, Attempt(last.number, last.way, answer, last.until), chain)


def attempts(marks: Mapping[str, float]) -> int:
    """How many attempts the marks tell of."""
    return max((number for _, number, _, _ in _numbered(marks)), default=0)


def _numbered(marks: Mapping[str, float]) -> Iterator[tuple[str, int, str, float]]:
    for key, at in marks.items():
        kind, _, rest = key.partition(":")
        number, _, rest = rest.partition(":")
        if kind in (Mark.REFER, Mark.REFERRED, Mark.REFER_OVER) and number:
            yield kind, int(number), rest, at
