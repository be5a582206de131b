"""What a reload means beside the calls that are decided next: accounts, credentials, metrics,
readiness."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from sipagent.api.health import UnreadyReason
from sipagent.config.findings import masked, without_numbers
from sipagent.config.reload.following import Following
from sipagent.config.reload.live import LiveConfiguration, Status
from sipagent.config.reload.reloader import Reloader
from sipagent.config.reload.stored import Origin
from sipagent.environment import environment_account
from sipagent.errors import SettingsError
from sipagent.metrics import Metrics
from sipagent.outbox.warnings import tell_stale
from sipagent.providers.accounts import AccountSpec
from sipagent.providers.registry import Accounts
from sipagent.sessions.breaker import Opened
from sipagent.sessions.gate import Gate
from sipagent.sessions.intake import Intake
from sipagent.settings import Settings
from sipagent.storehouse import Storehouse

log = structlog.get_logger(__name__)

_ALONE: Final = "The last known orders are in force, not surely those of all replicas:"

MOST_CHANGES: Final = 50
"""Changes of a reload that are logged one by one."""


@dataclass(slots=True)
class Upkeep:
    """Carries a reload on to what is not asked for at each call: accounts, metrics, credentials.
    It hears of every reload from its making on.

    `environment` is the account that the environment described when the process began, or why it
    described none. `problems` are why the configuration's accounts are not the ones in use, `told`
    is what tenants have been told of, `after` is called when another version may be in force.
    """

    live: LiveConfiguration
    environment: AccountSpec | SettingsError
    accounts: Accounts
    metrics: Metrics
    problems: tuple[str, ...] = ()
    house: Storehouse | None = None
    told: Status | None = None
    after: Callable[[], None] | None = None
    follows: Following | None = None

    def __post_init__(self) -> None:
        self.live.observe(self)
        self.show(self.live.status)

    def swapped(self, changes: Sequence[str]) -> None:
        for line in changes[:MOST_CHANGES]:
            log.info("configuration changed", change=line)
        if len(changes) > MOST_CHANGES:
            log.info("configuration changed", more=len(changes) - MOST_CHANGES)

    def tried(self, status: Status) -> None:
        self.metrics.config.read(usable=not status.findings)
        self.show(status)
        self.tell(status)

    def show(self, status: Status) -> None:
        """Have the metrics say what is in force."""
        self.metrics.config.in_force(
            status.config_hash,
            status.origin,
            usable=not status.findings,
            stale=len(status.stale),
        )

    def tell(self, status: Status) -> None:
        """Have tenants told whose files cannot be used, once for what is wrong with them."""
        if self.house is not None:
            tell_stale(self.house.records.announcer, self.told, status, self.house.clock.wall())
        self.told = status

    async def after_reading(self) -> None:
        """Take new accounts, and read all credentials again, also where the files are unusable."""
        before, self.problems = self.problems, ()
        try:
            wanted = accounts_of(self.live.loaded.accounts, self.environment)
            if set(wanted) != set(self.accounts.specs):
                await self.accounts.replace(wanted)
        except SettingsError as error:
            self.problems = error.problems
        except Exception as error:  # the crash boundary of a reload: calls go on as they are
            log.exception("accounts not updated", error=type(error).__name__)
            self.problems = (f"internal error ({type(error).__name__})",)
        if self.problems and self.problems != before:
            log.error("accounts refused, the old ones stay", problems=self.problems)
        if self.house is not None:
            await self.house.seed()
        if self.after is not None:
            self.after()
        try:
            await self.accounts.refresh()
        except Exception as error:  # as above
            log.exception("credentials not read again", error=type(error).__name__)

    def secret_files(self) -> set[Path]:
        """The files of the accounts' secrets, of those in use and of those that should be."""
        specs = {*self.accounts.specs, *self.live.loaded.accounts}
        sources = {source for spec in specs for source in (spec.api_keys, spec.webhook_secrets)}
        return {source.file for source in sources if source is not None and source.file is not None}

    def following(self, reloader: Reloader, house: Storehouse) -> Following:
        """What has the orders and the rollback of all replicas followed here."""
        self.follows = Following(
            lambda: house.writer.engine,
            house.data_dir,
            ordered=self.live.refresh,
            pinned=reloader.refresh,
        )
        return self.follows

    def look(self) -> None:
        """Have what all replicas share looked at now."""
        if self.follows is not None:
            self.follows.look()

    def defects(self) -> Sequence[UnreadyReason]:
        """What is wrong with the files while calls are taken, without whole numbers."""
        status = self.live.status
        reasons: list[UnreadyReason] = []
        if status.origin is not Origin.FILES:
            detail = f"Version {status.config_hash} is in force, not the files."
            reasons.append(UnreadyReason("config", f"serving-{status.origin}", detail))
        if status.findings:
            first, more = status.findings[0], len(status.findings) - 1
            detail = masked(first) + (f" (and {more} more)" if more else "")
            reasons.append(UnreadyReason("config", "refused", detail))
        for tenant, found in status.stale.items():
            reasons.append(UnreadyReason(f"config:{tenant}", "stale", masked(found[0])))
        reasons += (
            UnreadyReason(part, code, without_numbers(detail))
            for part, code, detail in status.troubles
        )
        reasons += (UnreadyReason("accounts", "refused", problem) for problem in self.problems)
        if self.follows is not None and (why := self.follows.away) is not None:
            reasons.append(
                UnreadyReason("orders", "not-shared", without_numbers(f"{_ALONE} {why}"))
            )
        return tuple(reasons)


def accounts_of(
    configured: Sequence[AccountSpec], environment: AccountSpec | SettingsError
) -> Sequence[AccountSpec]:
    """The configuration's accounts, or the environment's. Raises SettingsError."""
    if configured:
        return configured
    if isinstance(environment, SettingsError):
        raise environment
    return (environment,)


def described_account(settings: Settings) -> AccountSpec | SettingsError:
    """The environment's account, or why there is none."""
    try:
        return environment_account(settings)
    except SettingsError as error:
        return error


@dataclass(frozen=True, slots=True)
class Readiness:
    """Why no new call should come here, and what is wrong while calls are taken.

    An account whose `gate` is shut never makes the process unready: whoever sent no calls here
    would keep callers ringing that are sent on at once, and the trial from coming that opens it.
    """

    intake: Intake
    accounts: Accounts
    upkeep: Upkeep | None
    gate: Gate | None = None
    house: Storehouse | None = None

    def unready(self) -> Sequence[UnreadyReason]:
        if self.intake.draining or self.intake.leaving:
            detail = "The process is stopping; calls that are held go on to their end."
            return (UnreadyReason("process", "draining", detail),)
        return self._troubles() if self.accounts.useless else ()

    def degraded(self) -> Sequence[UnreadyReason]:
        files = () if self.upkeep is None else self.upkeep.defects()
        kept = () if self.house is None else self.house.defects()
        wrong = (*self._shut(), *kept, *files)
        return wrong if self.accounts.useless else (*self._troubles(), *wrong)

    def _troubles(self) -> Sequence[UnreadyReason]:
        return tuple(
            UnreadyReason(f"account:{name}", trouble.code, trouble.detail)
            for name, trouble in self.accounts.troubles()
        )

    def _shut(self) -> Sequence[UnreadyReason]:
        """Accounts whose new calls are refused, though their credentials may well work."""
        if self.gate is None:
            return ()
        names, opened = self.accounts.health(), self.gate.breakers.opened()
        failing = [
            UnreadyReason(f"account:{name}", "breaker-open", _failing(opened[name]))
            for name in names
            if name in opened
        ]
        lowered = ((name, self.gate.headroom.lowered(name)) for name in names)
        full = [
            UnreadyReason(f"account:{name}", "limits-used-up", f"{_FULL} for {left:.0f} seconds.")
            for name, left in lowered
            if left is not None
        ]
        return (*failing, *full)


_FULL: Final = (
    "The provider has next to nothing left of the account's limits; new calls are refused with 503"
)


def _failing(opened: Opened) -> str:
    when = f" in {opened.next_in:.0f} seconds" if opened.next_in else ""
    return (
        "Calls of the account failed one after the other; for"
        f" {opened.seconds:.0f} seconds new ones have been refused with 503. The next one is"
        f" tried{when}."
    )
