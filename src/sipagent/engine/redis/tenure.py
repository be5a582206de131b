"""For how long a replica may do the jobs that are done once for an installation. Pure.

Times are seconds on a clock that only goes forward.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from sipagent.engine.redis.lease import Lease
from sipagent.jobs import JobName

SILENT_FOR: Final = 2.0
"""Lengths of a lease without an answer after which nobody can say whose a job is: by then another
replica would have had the time to get it."""


@dataclass(slots=True)
class Tenure:
    """What this replica knows of whose jobs are. `heard` is of the engine's answers as such: what
    it says of adopting calls holds for taking jobs."""

    heard: Lease
    _held: dict[JobName, Lease] = field(default_factory=dict)

    def mine(self, job: JobName, now: float) -> bool:
        """Whether this replica does the job: not from 0.9 of its lease on."""
        held = self._held.get(job)
        return held is not None and held.active(now)

    def remaining(self, job: JobName, now: float) -> float:
        """Seconds for which the job may be done, unless it is confirmed meanwhile."""
        held = self._held.get(job)
        return 0.0 if held is None else max(0.0, held.passive_at - now)

    def may_take(self, now: float) -> bool:
        """Whether it may take a job that is nobody's. After a failure all look so: whoever had
        them is to be first."""
        return self.heard.may_adopt(now)

    def unknown(self, now: float) -> bool:
        """Whether the engine has been silent for so long that nobody knows whose a job is."""
        return now >= self.heard.confirmed_at + SILENT_FOR * self.heard.seconds

    def answered(self, sent_at: float, ours: Collection[JobName], now: float) -> set[JobName]:
        """What was asked then has the answer that these are ours, and no others. Those of them that
        have become so just now."""
        before = {job for job in JobName if self.mine(job, now)}
        self.heard.confirmed(sent_at)
        for job in JobName:
            if job not in ours:
                self._held.pop(job, None)
            elif job in self._held:
                self._held[job].confirmed(sent_at)
            else:
                self._held[job] = Lease(self.heard.seconds, sent_at)
        return {job for job in JobName if self.mine(job, now)} - before

    def failed(self, now: float) -> None:
        """The engine has not answered, or not as it should."""
        self.heard.failed(now)

    def leave(self) -> None:
        """None is ours any more."""
        self._held.clear()
