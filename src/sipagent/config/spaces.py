"""What a name means where: each tenant has its own agents, hours and destinations.

A *space* is one tenant's view of the configuration. A tenant without a file of its own sees the
operator's main file; every tenant sees the namespaces, as `namespace/name`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sipagent.config.findings import Steps
from sipagent.config.gathering import Gathered, SourceFile
from sipagent.config.schema.base import given
from sipagent.config.schema.operations import TenantEntry
from sipagent.config.words import quoted
from sipagent.model import DEFAULT_TENANT, TenantName
from sipagent.providers.accounts import CAPABILITIES


@dataclass(frozen=True, slots=True)
class Named:
    """An item of a section, and where it stands."""

    value: Any
    steps: Steps
    source: SourceFile[Any]


@dataclass(frozen=True, slots=True)
class Space:
    """One tenant's names. `own` is the tenant's file, or the main file."""

    tenant: TenantName
    own: SourceFile[Any]
    gathered: Gathered

    @property
    def entry(self) -> TenantEntry | None:
        """What the operator says of the tenant."""
        return self.gathered.main.draft.file.tenants.get(self.tenant)

    @property
    def account(self) -> str | None:
        """The account that takes the tenant's calls, if it is one of several or the only one."""
        names = self.gathered.main.draft.names("accounts")
        only = next(iter(names)) if len(names) == 1 else None
        return (None if self.entry is None else given(self.entry.account)) or only

    @property
    def instructions_required(self) -> bool:
        """Whether the provider of the tenant's account refuses calls without instructions."""
        accounts = self.gathered.main.draft.file.accounts
        account = None if self.account is None else accounts.get(self.account)
        return account is not None and CAPABILITIES[account.provider].instructions_required

    def find(self, section: str, reference: str) -> Named | None:
        """What the name means in this space: the tenant's own, or the namespace's."""
        source, name = self._placed(reference)
        if source is None or (self._is_unread and source is self.own):
            return None
        items: Mapping[str, Any] = getattr(source.draft.file, section)
        if name not in items:
            return None
        return Named(items[name], (section, name), source)

    def hours(self, name: str) -> Named | None:
        """Opening hours: the tenant's own, else those of the main file."""
        found = self.find("hours", name)
        if found is None and "/" not in name:
            main = self.gathered.main
            if name in main.draft.file.hours:
                return Named(main.draft.file.hours[name], ("hours", name), main)
        return found

    def broken(self, section: str, reference: str) -> bool:
        """Whether the name stands somewhere and what it names is wrong: told there, not here."""
        sources = [self._placed(reference)[0]]
        if self._is_unread and sources[0] is self.own:
            return True
        if section == "hours":
            sources.append(self.gathered.main)
        name = reference.rpartition("/")[2]
        for source in sources:
            if source is None:
                continue
            if name in source.draft.names(section) or source.draft.lacks((section,)):
                return True
        return False

    def unknown(self, what: str, reference: str) -> str:
        """What is said of a name that means nothing here: that it, or its namespace, is not."""
        namespace, slash, _ = reference.rpartition("/")
        if slash and namespace not in self.gathered.shared:
            return f"there is no namespace {quoted(namespace)}"
        return f"there is no {what} {quoted(reference)}"

    def names(self, section: str) -> frozenset[str]:
        """All names that can be used here."""
        shared = {
            f"{namespace}/{name}"
            for namespace, source in self.gathered.shared.items()
            for name in source.draft.names(section)
        }
        own = self.own.draft.names(section)
        if section == "hours":
            own |= self.gathered.main.draft.names("hours")
        return own | shared

    def values(self) -> dict[str, str]:
        """The variables' values for all of the tenant's agents."""
        main, entry = self.gathered.main.draft.file, self.entry
        own = self.own.draft.file
        given: dict[str, str] = dict(main.defaults.vars or {})
        if own is main:
            given |= main.vars or {}
        if entry is not None:
            given |= entry.vars or {}
        if own is not main:
            given |= own.vars or {}
        return given

    @property
    def _is_unread(self) -> bool:
        """Whether the tenant has a file that cannot be read, so that its names are not known."""
        return self.tenant in self.gathered.unusable and self.tenant not in self.gathered.tenants

    def _placed(self, reference: str) -> tuple[SourceFile[Any] | None, str]:
        namespace, slash, name = reference.rpartition("/")
        if not slash:
            return self.own, name
        return self.gathered.shared.get(namespace), name


def spaces_of(gathered: Gathered) -> dict[TenantName, Space]:
    """Every tenant's space, the default one's first."""
    names = [DEFAULT_TENANT, *map(TenantName, gathered.main.draft.file.tenants)]
    return {
        name: Space(name, gathered.tenants.get(name, gathered.main), gathered)
        for name in dict.fromkeys(names)
    }
