"""Accounts and trunks of the operator's main file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sipagent.config.carriers import CARRIERS
from sipagent.config.findings import Complaint, Steps
from sipagent.config.gathering import Gathered
from sipagent.config.ruling import rate_of
from sipagent.config.schema.base import given
from sipagent.config.schema.operations import (
    AzureAccount,
    Entra,
    OpenAIAccount,
    SecretFile,
    TrunkEntry,
    TrunkSecret,
)
from sipagent.config.words import quoted
from sipagent.model import AccountName, TrunkName
from sipagent.providers.accounts import (
    AccountSpec,
    ClientSecret,
    EntraSpec,
    FederatedToken,
    ManagedIdentity,
    azure_base_url,
    openai_base_url,
)
from sipagent.providers.secrets import SecretSource
from sipagent.routing import Trunk
from sipagent.routing.targets import is_form
from sipagent.sip.names import DIALED_HEADERS, canonical_name, is_registered

_FORM: Final = "{e164}"
_SAYS_DIALED: Final = frozenset({*DIALED_HEADERS, "to", "diversion", "history-info"})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Operations:
    """What of the main file is not about who answers."""

    gathered: Gathered
    base: Path

    def accounts(self) -> Iterator[AccountSpec]:
        """The accounts that can be used; what is wrong with the others is told."""
        for name, entry in self.gathered.main.draft.file.accounts.items():
            account = AccountName(name)
            if isinstance(entry, AzureAccount):
                made = self._azure(account, entry)
            else:
                made = self._openai(account, entry)
            if made is not None:
                yield made

    def trunks(self) -> dict[TrunkName, Trunk]:
        """The trunks that can be used; what is wrong with the others is told."""
        entries = self.gathered.main.draft.file.trunks.items()
        made = ((TrunkName(name), self._trunk(name, entry)) for name, entry in entries)
        return {name: trunk for name, trunk in made if trunk is not None}

    def trunk_secrets(self) -> dict[TrunkName, SecretSource]:
        found = {}
        for name, entry in self.gathered.main.draft.file.trunks.items():
            if isinstance(entry.secret, TrunkSecret):
                secret = entry.secret
                written = given(secret.value) or SecretFile(file=given(secret.file) or "-")
                found[TrunkName(name)] = self.secret(written)
        return found

    def secret(self, written: str | SecretFile) -> SecretSource:
        """Where a secret stands. Relative paths begin at the main file's folder."""
        if isinstance(written, SecretFile):
            return SecretSource(file=self.base / written.file)
        name, _, default = written[2:-1].partition(":-")
        return SecretSource(variable=name, default=default or None)

    def _openai(self, name: AccountName, entry: OpenAIAccount) -> AccountSpec | None:
        steps: Steps = ("accounts", name)
        usable = self._usable_url((*steps, "base_url"), entry.base_url)
        for key in ("organization", "project"):
            value: str | None = getattr(entry, key)
            if value is not None and not (value.isascii() and value.isprintable()):
                self._complain((*steps, key), "this cannot stand in a header")
                usable = False
        if not usable:
            return None
        return AccountSpec(
            name=name,
            provider="openai",
            base_url=openai_base_url(entry.region, entry.base_url),
            api_keys=self.secret(entry.api_keys),
            webhook_secrets=self.secret(entry.webhook_secrets),
            organization=entry.organization,
            project=entry.project,
        )

    def _azure(self, name: AccountName, entry: AzureAccount) -> AccountSpec | None:
        steps: Steps = ("accounts", name)
        usable = self._usable_url((*steps, "endpoint"), entry.endpoint)
        if (given(entry.api_keys) is None) == (given(entry.entra) is None):
            self._complain(steps, "needs one of api_keys and entra", at_key=True)
            return None
        entra = None if given(entry.entra) is None else self._entra(steps, entry.entra)
        if not usable or (given(entry.entra) is not None and entra is None):
            return None
        return AccountSpec(
            name=name,
            provider="azure",
            base_url=azure_base_url(entry.endpoint),
            api_keys=None if given(entry.api_keys) is None else self.secret(entry.api_keys),
            webhook_secrets=self.secret(entry.webhook_secrets),
            entra=entra,
        )

    def _entra(self, steps: Steps, entry: Entra) -> EntraSpec | None:
        where = (*steps, "entra")
        ways: list[object] = [
            entry.client_secret,
            entry.federated_token,
            entry.managed_identity or None,
        ]
        if sum(way is not None for way in ways) != 1:
            message = "needs one of client_secret, federated_token and managed_identity"
            self._complain(where, message, at_key=True)
            return None
        identity: ClientSecret | FederatedToken | ManagedIdentity
        if entry.managed_identity:
            identity = ManagedIdentity(entry.client_id)
        elif not (given(entry.tenant_id) and given(entry.client_id)):
            missing = "client_id" if given(entry.tenant_id) else "tenant_id"
            self._complain((*where, missing), "is missing", at_key=True)
            return None
        elif given(entry.client_secret) is not None:
            secret = self.secret(entry.client_secret)
            identity = ClientSecret(entry.tenant_id, entry.client_id, secret)
        else:
            token = self.secret(entry.federated_token)
            identity = FederatedToken(entry.tenant_id, entry.client_id, token)
        if not self._safe_authority((*where, "authority"), entry.authority):
            return None
        chosen = {"scope": entry.scope, "authority": entry.authority}
        return EntraSpec(identity, **{key: value for key, value in chosen.items() if value})

    def _safe_authority(self, steps: Steps, url: str | None) -> bool:
        """Whether a client's secret may be sent there."""
        if url is None or not self._usable_url(steps, url):
            return url is None
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            message = "the client's secret would be sent there without encryption"
            self._complain(steps, message, "write https://")
            return False
        return True

    def _usable_url(self, steps: Steps, url: str | None) -> bool:
        if url is None:
            return True
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            more = parts.query or parts.fragment or parts.username is not None
        except ValueError:
            usable, more = False, True
        if usable and not more and url.isascii() and url.isprintable() and " " not in url:
            return True
        hint = "as in https://NAME.openai.azure.com or https://api.openai.com/v1"
        self._complain(steps, "this is not the URL of an API", hint)
        return False

    def _trunk(self, name: str, entry: TrunkEntry) -> Trunk | None:
        steps: Steps = ("trunks", name)
        carrier = None if given(entry.carrier) is None else CARRIERS.get(entry.carrier)
        if given(entry.carrier) is not None and carrier is None:
            findings = self.gathered.main.findings
            hint = findings.did_you_mean(entry.carrier, frozenset(CARRIERS))
            known = hint or "known: " + ", ".join(CARRIERS)
            message = f"there is no preset {quoted(entry.carrier)}"
            self._complain((*steps, "carrier"), message, known)
        if not self._verify_secret(steps, entry):
            return None
        refer = given(entry.refer) or (carrier.refer if carrier else "tel:" + _FORM)
        if not is_form(refer):
            hint = 'as in "tel:{e164}" or "sip:{e164}@sip.example.com"'
            self._complain((*steps, "refer"), "this is no form of a transfer's target", hint)
        signed = isinstance(entry.secret, TrunkSecret)
        return Trunk(
            name=TrunkName(name),
            secret_header=self._own((*steps, "secret", "header"), entry.secret.header)
            if isinstance(entry.secret, TrunkSecret)
            else None,
            dialed_header=self._own((*steps, "dialed_header"), entry.dialed_header, _SAYS_DIALED)
            or (carrier.dialed_header if carrier else None),
            attestation_header=self._header((*steps, "attestation"), entry.attestation)
            or (carrier.attestation if carrier else None),
            expose=self._exposed(steps, entry, signed=signed),
            refer=refer,
            per_caller=rate_of(entry.per_caller) if entry.per_caller else None,
        )

    def _verify_secret(self, steps: Steps, entry: TrunkEntry) -> bool:
        secret = entry.secret
        if isinstance(secret, TrunkSecret):
            if (given(secret.file) is None) == (given(secret.value) is None):
                self._complain((*steps, "secret"), "needs one of file and value")
                return False
        elif given(entry.per_caller) is None:
            hint = "as in per_caller: 3/10m; anybody can call by a trunk that proves nothing"
            self._complain((*steps, "secret"), "a trunk without a secret needs per_caller", hint)
            return False
        return True

    def _own(
        self, steps: Steps, name: str | None, allowed: frozenset[str] = frozenset()
    ) -> str | None:
        """A header that has no other meaning, which a caller or a proxy on the way would fill."""
        canonical = self._header(steps, name)
        if canonical is not None and is_registered(canonical) and canonical not in allowed:
            hint = "choose one of your own, as in X-Trunk-Key or X-DID"
            self._complain(steps, f"the header {canonical} means something else", hint)
        return canonical

    def _header(self, steps: Steps, name: str | None) -> str | None:
        if name is None:
            return None
        canonical = canonical_name(name)
        if canonical is None:
            self._complain(steps, "this is no header's name")
        return canonical

    def _exposed(self, steps: Steps, entry: TrunkEntry, *, signed: bool) -> tuple[str, ...]:
        names = []
        for at, name in enumerate(entry.expose or []):
            canonical = self._header((*steps, "expose", at), name)
            if signed and isinstance(entry.secret, TrunkSecret):
                hidden = canonical_name(entry.secret.header)
                if canonical is not None and canonical == hidden:
                    message = "the header with the secret cannot be exposed"
                    self._complain((*steps, "expose", at), message)
            if canonical is not None:
                names.append(canonical)
        return tuple(dict.fromkeys(names))

    def _complain(
        self, steps: Steps, message: str, hint: str | None = None, *, at_key: bool = False
    ) -> None:
        self.gathered.main.complain(Complaint(steps, message, hint, at_key))
