"""Each tenant's account, limits, hours and destinations."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from sipagent.config.callers import CallerRules
from sipagent.config.findings import Complaint, Steps
from sipagent.config.gathering import Gathered
from sipagent.config.limits import Limits, when_full, when_spent
from sipagent.config.lines import InYaml
from sipagent.config.numbers import verify_region
from sipagent.config.places import Places
from sipagent.config.privacy import outlives_records, privacy_of
from sipagent.config.reach import grants_of, reach_of
from sipagent.config.routes import is_zone
from sipagent.config.schema.base import given
from sipagent.config.spaces import Space
from sipagent.config.webhooks import webhooks_of
from sipagent.config.words import quoted
from sipagent.model import (
    DEFAULT_TENANT,
    AccountName,
    Destination,
    DestinationName,
    Json,
    Rate,
    TenantName,
)
from sipagent.routing import FORWARDS, Callers, TenantProfile

_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Compiles tenants; what is wrong with their entries is told in the main file."""

    gathered: Gathered
    spaces: Mapping[TenantName, Space]
    places: Places
    accounts: Collection[AccountName]
    limits: Limits
    callers: CallerRules

    def destinations(self) -> dict[TenantName, dict[DestinationName, Destination]]:
        """Each tenant's own destinations."""
        return {name: self.places.destinations(space) for name, space in self.spaces.items()}

    def profiles(
        self,
        destinations: Mapping[TenantName, Mapping[DestinationName, Destination]],
        silent: Json,
    ) -> dict[TenantName, TenantProfile]:
        """Every tenant, with its own destinations."""
        return {
            name: self._profile(space, destinations[name], silent)
            for name, space in self.spaces.items()
        }

    def shared(
        self, destinations: Mapping[TenantName, Mapping[DestinationName, Destination]]
    ) -> Mapping[DestinationName, Destination]:
        """The main file's destinations, to which orders of the operator's can send any call."""
        space = self.spaces[DEFAULT_TENANT]
        if space.own is self.gathered.main:
            return destinations[DEFAULT_TENANT]
        return self.places.destinations(replace(space, own=self.gathered.main))

    def _profile(
        self, space: Space, destinations: Mapping[DestinationName, Destination], silent: Json
    ) -> TenantProfile:
        entry = space.entry
        account = self._account(space)
        timezone: str | None = None if entry is None else entry.timezone
        if timezone is not None and not is_zone(timezone):
            steps = ("tenants", space.tenant, "timezone")
            message = f"there is no time zone {quoted(timezone)}"
            self._complain(steps, message, "as in America/Chicago")
            timezone = None
        self._verify_entry(space)
        hourly = given(grants_of(space).transfers_per_hour)
        fallback: DestinationName | None = given(space.own.draft.file.fallback)
        return TenantProfile(
            name=space.tenant,
            account=account,
            timezone=timezone,
            hours=self.places.all_hours(space),
            destinations=destinations,
            silent=silent,
            reach=reach_of(space),
            privacy=privacy_of(space),
            forwards=FORWARDS if hourly is None else Rate(hourly, _HOUR),
            fallback=fallback if fallback in destinations else None,
            quota=self.limits.tenant(space, timezone),
            when_full=when_full(entry),
            when_spent=when_spent(entry),
            callers=self._callers(space),
            webhooks=webhooks_of(space),
        )

    def _callers(self, space: Space) -> Callers | None:
        entry = None if space.entry is None else given(space.entry.callers)
        origin = InYaml(self.gathered.main, ("tenants", space.tenant))
        return self.callers.compiled(entry, f"tenants.{space.tenant}", origin, space)

    def _verify_entry(self, space: Space) -> None:
        entry, steps = space.entry, ("tenants", space.tenant)
        if entry is None:
            return
        most, kept = given(entry.max_concurrent_calls), given(entry.reserved_calls)
        if most is not None and kept is not None and kept > most:
            message = f"the tenant may hold {most} calls at most"
            self._complain((*steps, "reserved_calls"), message)
        if outlives_records(space):
            message = "words cannot be kept longer than the records that they belong to"
            self._complain((*steps, "privacy", "transcripts"), message)
        for at, region in enumerate(grants_of(space).transfer_countries or []):
            for complaint in verify_region(region):
                where = (*steps, "grants", "transfer_countries", at)
                self._complain(where, complaint.message, complaint.hint)

    def _account(self, space: Space) -> AccountName | None:
        entry = space.entry
        steps: Steps = ("tenants", space.tenant)
        named: str | None = None if entry is None else entry.account
        if named is None:
            told = self.gathered.main.draft.lacks((*steps, "account"))
            if entry is not None and len(self.accounts) > 1 and not told:
                hint = "one of " + ", ".join(sorted(self.accounts))
                self._complain((*steps, "account"), "is missing", hint, at_key=True)
            return None
        if named not in self.accounts:
            if named not in self.gathered.main.draft.names("accounts"):
                names = frozenset(map(str, self.accounts))
                meant = self.gathered.main.findings.did_you_mean(named, names)
                without = "there are no accounts in this file" if not names else None
                message = f"there is no account {quoted(named)}"
                self._complain((*steps, "account"), message, meant or without)
            return None
        return AccountName(named)

    def _complain(
        self, steps: Steps, message: str, hint: str | None = None, *, at_key: bool = False
    ) -> None:
        self.gathered.main.complain(Complaint(steps, message, hint, at_key))


def verify_fallback(space: Space) -> None:
    """Complain of a fallback that is no destination of the space."""
    name = given(space.own.draft.file.fallback)
    if name is None or space.find("destinations", name) is not None:
        return
    if not space.broken("destinations", name):
        hint = space.own.findings.did_you_mean(name, space.names("destinations"))
        message = f"there is no destination {quoted(name)}"
        space.own.complain(Complaint(("fallback",), message, hint))
