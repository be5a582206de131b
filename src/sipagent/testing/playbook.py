"""The story of a call, told event by event, with the commands that each event must lead to."""

from typing import Any

from sipagent.model import CallPlan
from sipagent.sessions.machine import CallState, Past, adopted, begin, resume, step
from sipagent.sessions.machine.commands import Command, Note
from sipagent.sessions.machine.events import DeadlineReached, Event


class Some:
    """Stands for any command of a type whose named fields are these."""

    def __init__(self, kind: type, **fields: Any) -> None:
        self.kind = kind
        self.fields = fields

    def __eq__(self, other: object) -> bool:
        return isinstance(other, self.kind) and all(
            getattr(other, name) == value for name, value in self.fields.items()
        )

    def __hash__(self) -> int:
        return hash(self.kind)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"Some({self.kind.__name__}{', ' if fields else ''}{fields})"


class Playbook:
    """A call's machine, driven by hand.

    Commands that have come since the last `expect` are kept in `commands`, but for notes of what
    has been done, which are in `notes`; deadlines are reached in their order as `wait` lets the
    time pass. With a `past` the call is one that another process has held.
    """

    def __init__(self, plan: CallPlan, past: Past | None = None, *, now: float = 0.0) -> None:
        self.now = now
        self.state: CallState
        self.commands: list[Command] = []
        self.notes: list[str] = []
        if past is None:
            self.state, commands = begin(plan)
        else:
            self.state, commands = resume(adopted(plan, past), now)
        self._keep(commands)

    def feed(self, *events: Event) -> "Playbook":
        """Let these events happen now."""
        for event in events:
            self.state, commands = step(self.state, event, self.now)
            self._keep(commands)
        return self

    def wait(self, seconds: float) -> "Playbook":
        """Let time pass, and every deadline in it be reached at its own time."""
        until = self.now + seconds
        while (earliest := self.state.deadlines.earliest) is not None and earliest <= until:
            self.now = max(self.now, earliest)
            key = self.state.deadlines.due(self.now)
            assert key is not None
            self.feed(DeadlineReached(key))
        self.now = until
        return self

    def expect(self, *commands: Command | Some) -> "Playbook":
        """Exactly these commands have come since the last time, in this order."""
        came, self.commands = self.commands, []
        expected = list(commands)
        assert expected == came, f"\nexpected: {expected}\ncame:     {came}"
        return self

    def _keep(self, commands: list[Command]) -> None:
        self.notes += [command.mark for command in commands if isinstance(command, Note)]
        self.commands += [command for command in commands if not isinstance(command, Note)]
