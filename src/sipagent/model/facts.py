"""What a template may read of a call, and nothing else of the service."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sipagent.model.ids import AgentName, TenantName
from sipagent.sip import Attestation, Untrusted


class Schedule(Protocol):
    """Opening hours. `at` is an aware time whose zone is the number's; hours that name a zone of
    their own are read in that one, all others in the zone of `at`."""

    def is_open(self, at: datetime) -> bool: ...

    def next_opening(self, at: datetime) -> datetime | None:
        """When it opens next after `at`, None if it never does; now if it is open."""

    def next_closing(self, at: datetime) -> datetime | None:
        """When it closes next after `at`, None if it never does; now if it is closed."""


@dataclass(frozen=True, slots=True)
class HoursNow:
    """One set of opening hours at the moment of the call."""

    schedule: Schedule
    at: datetime

    @property
    def open(self) -> bool:
        return self.schedule.is_open(self.at)

    @property
    def opens(self) -> datetime | None:
        return self.schedule.next_opening(self.at)

    @property
    def closes(self) -> datetime | None:
        return self.schedule.next_closing(self.at)


@dataclass(frozen=True, slots=True)
class CallerFacts:
    """Who calls, as the headers say: all of it is the caller's word."""

    e164: Untrusted | None = None
    name: Untrusted | None = None
    attestation: Attestation | None = None

    @property
    def anonymous(self) -> bool:
        return self.e164 is None


@dataclass(frozen=True, slots=True)
class NumberFacts:
    """What the directory says of the dialed number. `hours` is the name of its opening hours."""

    e164: str | None = field(default=None, repr=False)
    timezone: str | None = None
    hours: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class CallFacts:
    """All variables of a template, by their names.

    `now` is aware, in the number's zone. `vars` are the operator's and the tenant's own words and
    trusted; everything of type Untrusted is printed as a quoted string.
    """

    caller: CallerFacts
    dialed: str | None = field(repr=False)
    number: NumberFacts
    tenant: TenantName
    agent: AgentName
    language: str | None
    vars: Mapping[str, str] = field(repr=False)
    now: datetime
    hours: Mapping[str, HoursNow]
    headers: Mapping[str, Untrusted] = field(repr=False)


class Template(Protocol):
    """A text that each call renders anew."""

    def render(self, facts: CallFacts) -> str:
        """The text for this call. Raises TemplateError where it cannot be rendered."""


Text = str | Template


def rendered(text: Text, facts: CallFacts) -> str:
    """The text for this call; a plain one is as it is."""
    return text if isinstance(text, str) else text.render(facts)
