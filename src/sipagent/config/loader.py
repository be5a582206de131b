"""From files to a routing table, or to all that is wrong with them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from sipagent.config.callers import CallerRules, warn_of_unattested
from sipagent.config.compilation import ENVIRONMENT_ACCOUNT, Compiled, table_of
from sipagent.config.findings import Findings, Place, Report
from sipagent.config.gathering import MAX_FILE_BYTES, Context, Gathered, gather
from sipagent.config.leaves import verify_extends, verify_source
from sipagent.config.limits import Limits
from sipagent.config.lines import InYaml
from sipagent.config.models import verify_models, verify_silent
from sipagent.config.numbers import verify_region
from sipagent.config.operations import Operations
from sipagent.config.personas import Personas
from sipagent.config.places import Places
from sipagent.config.pricing import Charges, PriceList, price_list
from sipagent.config.reach import verify_loops, verify_reach
from sipagent.config.rehearsal import Rehearsal
from sipagent.config.routes import Routes, verify_trunks
from sipagent.config.schema.base import given
from sipagent.config.skills.granted import Granted, granted_secrets, local_servers
from sipagent.config.skills.kit import Kits
from sipagent.config.sources import DiskSource, Source
from sipagent.config.spaces import Space, spaces_of
from sipagent.config.squad import Squad
from sipagent.config.tenancy import (
    Tenancy,
    verify_fallback,
)
from sipagent.config.textfile import Unreadable
from sipagent.config.texts import Texts
from sipagent.config.validation import verify_sections
from sipagent.config.webhooks import Secrets, verify_webhooks, webhook_secrets
from sipagent.errors import Finding
from sipagent.model import (
    DEFAULT_TENANT,
    Destination,
    DestinationName,
    Json,
    TenantName,
    TrunkName,
)
from sipagent.providers.accounts import AccountSpec
from sipagent.providers.secrets import SecretSource
from sipagent.routing import Callers, Route, RoutingTable, TenantProfile, Trunk
from sipagent.tools.local import LocalServer

_SILENT: Final[Json] = {
    "type": "realtime",
    "model": "gpt-realtime-2.1-mini",
    "instructions": "Say nothing.",
    "audio": {"input": {"turn_detection": None}},
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A usable configuration.

    `files` are all that it was made from, to be watched; `accounts` are empty where the
    environment's is used; `stale` are tenants that are served from their last good files, each
    with what is wrong with the present ones. `prices` are those by which calls are charged.
    `granted` are the secrets that tenants' tools may use, `servers` those that run beside us.
    `gathered` are the files as they are written, with places; a long-lived process may leave them
    out.
    """

    table: RoutingTable
    files: tuple[Path, ...]
    accounts: tuple[AccountSpec, ...] = ()
    trunk_secrets: Mapping[TrunkName, SecretSource] = field(default_factory=dict)
    webhook_secrets: Secrets = field(default_factory=dict)
    granted: Granted = field(default_factory=dict)
    servers: Mapping[str, LocalServer] = field(default_factory=dict)
    warnings: tuple[Finding, ...] = ()
    stale: Mapping[TenantName, tuple[Finding, ...]] = field(default_factory=dict)
    prices: PriceList = field(default=PriceList(), repr=False)
    gathered: Gathered | None = field(default=None, repr=False, compare=False)


_HINT: Final = "--config or SIPAGENT_CONFIG names another; paths are this folder's"


def load(
    path: Path, *, source: Source | None = None, environment: Mapping[str, str] | None = None
) -> Loaded:
    """The configuration that the file holds. Raises ConfigError with all findings.

    Blocks on the disk. `source` is where files are read from, `environment` what `${NAME}` reads.
    """
    source = source or DiskSource(path.parent)
    text = source.text(path, MAX_FILE_BYTES)
    if isinstance(text, Unreadable):
        place = Place(text.line, text.column)
        hint = text.hint or (_HINT if text.reason == "does not exist" else None)
        Findings(str(path)).fail(place, (), f"the file {text.reason}", hint)
    context = Context(source, os.environ if environment is None else environment)
    return _Loading(path, path.parent, context).loaded(text, read=(path,))


def parse(
    text: str, *, file: str, base: Path, environment: Mapping[str, str] | None = None
) -> Loaded:
    """The configuration that the text holds. Raises ConfigError with all findings.

    `file` is how findings name the text; `base` is the folder of its relative paths.
    """
    context = Context(DiskSource(base), os.environ if environment is None else environment)
    return _Loading(Path(file), base, context).loaded(text, read=())


@dataclass(slots=True)
class _Loading:
    path: Path
    base: Path
    context: Context
    report: Report = field(default_factory=Report)

    def loaded(self, text: str, *, read: tuple[Path, ...]) -> Loaded:
        gathered = gather(self.path, text, self.base, self.context, self.report)
        spaces = spaces_of(gathered)
        main = gathered.main
        regional = list(verify_region(main.draft.file.defaults.region))
        sections = (*verify_sections(main.draft), *verify_models(gathered))
        for complaint in (*regional, *sections, *verify_trunks(gathered)):
            main.complain(complaint)
        for source in gathered.sources:
            verify_source(source, main.draft.file.defaults.region)
        unknown = bool(regional) or main.draft.lacks(("defaults", "region"))
        parts = _Parts(gathered, spaces, self.base, self.report)
        loaded = parts.compiled(region_unknown=unknown)
        self.report.raise_if_any()
        prompts = (path for source in gathered.sources for path in source.prompts.files)
        files = dict.fromkeys((*read, *gathered.files, *prompts))
        warnings = self.report.warnings()
        return Loaded(files=tuple(files), warnings=warnings, gathered=gathered, **loaded)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a version has beside its table, by what asks for it."""

    trunk_secrets: Mapping[TrunkName, SecretSource]
    webhook_secrets: Secrets
    granted: Granted
    servers: Mapping[str, LocalServer]

    @property
    def named(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @property
    def places(self) -> dict[Any, SecretSource]:
        """Where all secrets stand."""
        granted = {("granted", *named): secret for named, secret in self.granted.items()}
        return {**self.trunk_secrets, **self.webhook_secrets, **granted}


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of one configuration, compiled in the order in which they need each other."""

    gathered: Gathered
    spaces: Mapping[TenantName, Space]
    base: Path
    report: Report

    def compiled(self, *, region_unknown: bool) -> dict[str, Any]:
        operations = Operations(self.gathered, self.base)
        accounts, trunks = tuple(operations.accounts()), operations.trunks()
        prices = price_list(self.gathered)
        charges = Charges(prices, accounts, self.gathered.context.environment)
        texts = Texts(self.report)
        places = Places(texts)
        squad = Squad(Personas(texts, charges, Kits(texts, self.base)))
        self._verify_all(places, squad)
        limits = Limits(self.gathered, self.spaces)
        callers = CallerRules(self._region, self.report)
        names = [account.name for account in accounts]
        tenancy = Tenancy(self.gathered, self.spaces, places, names, limits, callers)
        destinations = tenancy.destinations()
        lines = self._lines(places, squad, destinations, trunks, callers, region_unknown)
        tenants = tenancy.profiles(destinations, self._silent())
        self._verify_together(lines, tenants, accounts, limits)
        everywhere = self._everywhere(callers)
        quotas = limits.accounts(names or [ENVIRONMENT_ACCOUNT])
        servers = local_servers(squad.usable)
        warn_of_unattested(callers.wanting, squad.usable, trunks)
        # What complains stands above.
        self.report.raise_if_any()
        secrets = self._kept(operations, servers)
        parts = Compiled(
            agents={(one.profile.tenant, one.profile.name): one.profile for one in squad.usable},
            routes=tuple(lines),
            tenants=tenants,
            trunks=trunks,
            accounts=accounts,
            region=self._region,
            destinations=tenancy.shared(destinations),
            secrets=secrets.places,
            quotas=quotas,
            reserves=limits.reserves(),
            servers=servers,
            callers=everywhere,
        )
        return {"table": table_of(parts), "prices": prices, "accounts": accounts, **secrets.named}

    def _kept(self, operations: Operations, servers: Mapping[str, LocalServer]) -> _Kept:
        return _Kept(
            operations.trunk_secrets(),
            webhook_secrets(self.spaces, operations),
            granted_secrets(self.spaces, operations),
            servers,
        )

    @property
    def _region(self) -> str | None:
        return self.gathered.main.draft.file.defaults.region

    def _lines(
        self,
        places: Places,
        squad: Squad,
        destinations: Mapping[TenantName, Mapping[DestinationName, Destination]],
        trunks: Mapping[TrunkName, Trunk],
        callers: CallerRules,
        region_unknown: bool,
    ) -> tuple[Route, ...]:
        """The numbers. What their destinations must not be is told as well."""
        own: set[str] = set()
        rehearsal = Rehearsal(squad, places, destinations, own, self._region)
        routes = Routes(
            self.gathered, self.spaces, places, trunks, rehearsal, self.base, own, callers
        )
        lines = routes.compiled(region_unknown=region_unknown)
        for tenant, space in self.spaces.items():
            verify_loops(space, destinations[tenant], own)
            verify_reach(space, destinations[tenant])
            verify_webhooks(space)
        return tuple(lines)

    def _verify_together(
        self,
        lines: tuple[Route, ...],
        tenants: Mapping[TenantName, TenantProfile],
        accounts: tuple[AccountSpec, ...],
        limits: Limits,
    ) -> None:
        for complaint in verify_silent(self.gathered, lines, tenants, accounts):
            self.gathered.main.complain(complaint)
        for complaint in limits.verify_ways_out(tenants):
            self.gathered.main.warn(complaint)

    def _everywhere(self, callers: CallerRules) -> Callers | None:
        """The callers' rules of all numbers."""
        main = self.gathered.main
        written = given(main.draft.file.defaults.callers)
        return callers.compiled(written, "defaults", InYaml(main, ("defaults",)), None)

    def _verify_all(self, places: Places, squad: Squad) -> None:
        seen: set[int] = set()
        for source in self.gathered.sources:
            places.verify_hours(source)
        for space in self.spaces.values():
            if id(space.own) in seen:
                continue
            seen.add(id(space.own))
            verify_extends(space, self.gathered)
            verify_fallback(space)
            squad.compile_own(space)
        for source in self.gathered.shared.values():
            shared = Space(DEFAULT_TENANT, source, self.gathered)
            verify_extends(shared, self.gathered)
            squad.verify_texts(source)

    def _silent(self) -> Json:
        """The session of calls that are sent on unanswered: that of the default model."""
        main = self.gathered.main.draft.file
        model = main.defaults.model
        if model in main.models:
            model = main.models[model].model
        return {**_SILENT, "model": model} if model else _SILENT
