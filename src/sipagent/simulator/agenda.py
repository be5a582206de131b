"""What is due when, for one call: a heap of actions, told the time and never reading it."""

import heapq
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import count

Story = Generator[float, None, None]
"""Something that happens in steps: it yields how many seconds pass before the next one."""


@dataclass(order=True, slots=True)
class Due:
    """One action that will happen, unless it is dropped before."""

    at: float
    turn: int
    action: Callable[[], None] | None = field(compare=False)

    def drop(self) -> None:
        self.action = None


class Agenda:
    """Actions in the order of their times; those of one time in the order of their planning."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[Due] = []
        self._turns = count()

    def after(self, seconds: float, action: Callable[[], None]) -> Due:
        due = Due(self.now + seconds, next(self._turns), action)
        heapq.heappush(self._heap, due)
        return due

    def tell(self, story: Story) -> "Telling":
        """Starts the story at once; it goes on by itself until it ends or is stopped."""
        telling = Telling(self, story)
        telling.go_on()
        return telling

    @property
    def next_at(self) -> float | None:
        while self._heap and self._heap[0].action is None:
            heapq.heappop(self._heap)
        return self._heap[0].at if self._heap else None

    def run(self, now: float) -> None:
        """Does everything that is due by `now`, each at its own time."""
        while (at := self.next_at) is not None and at <= now:
            due = heapq.heappop(self._heap)
            self.now = max(self.now, at)
            if due.action is not None:
                due.action()
        self.now = max(self.now, now)

    def clear(self) -> None:
        self._heap.clear()


class Telling:
    """A story under way."""

    def __init__(self, agenda: Agenda, story: Story) -> None:
        self._agenda = agenda
        self._story = story
        self._next: Due | None = None

    def go_on(self) -> None:
        seconds = next(self._story, None)
        self._next = None if seconds is None else self._agenda.after(seconds, self.go_on)

    def stop(self) -> None:
        """Nothing more of the story happens."""
        if self._next is not None:
            self._next.drop()
