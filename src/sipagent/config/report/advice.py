"""What is allowed and probably not meant, or soon a trouble: the warnings of `sipagent check`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from sipagent.config.findings import Steps
from sipagent.config.gathering import Gathered, SourceFile
from sipagent.config.leaves import Leaf, ancestry, leaves_of
from sipagent.config.loader import Loaded
from sipagent.config.models import RETIRED_ON, SUCCESSORS, meant_model
from sipagent.config.operations import Operations
from sipagent.config.report.wording import answering, count, some
from sipagent.config.schema import Transcription
from sipagent.config.schema.base import given
from sipagent.config.schema.operations import AzureAccount, OpenAIAccount, SecretFile, TrunkSecret
from sipagent.config.skills.requests import templates_of
from sipagent.config.spaces import Named, Space, spaces_of
from sipagent.config.templates.compiled import CompiledTemplate
from sipagent.config.words import dotted, quoted
from sipagent.errors import Finding, SecretError
from sipagent.model import AgentProfile, HttpRequest, TenantName, Text, TrunkName

SOON: Final = timedelta(days=90)
"""How long before a model's end it is told."""

PROMPTS_END_ON: Final = date(2026, 11, 30)
"""When the provider ends reusable prompts."""

_DISCLOSING: Final = re.compile(
    r"\b(?:ai|a\.i\.|artificial|virtual|automated|automatic|assistant|digital|machine|computer|robot"
    r"|bot|ki|künstliche[rn]?|virtuelle[rn]?|automatische[rn]?|assistent(?:in)?|ia|asistente"
    r"|automático|assistente|automatique|virtuel(?:le)?|artificielle)\b",
    re.IGNORECASE,
)
"""Words by which a greeting may tell that a machine speaks. A guess: it knows no sentence."""


@dataclass(frozen=True, slots=True)
class Advice:
    """`warnings` deserve a look."""

    warnings: tuple[Finding, ...] = ()


class _Agent(NamedTuple):
    """An agent with its leaves, as its tenant sees it, and the numbers that it answers."""

    profile: AgentProfile
    space: Space
    named: Named
    leaves: Mapping[str, Leaf]
    numbers: list[str]

    @property
    def who(self) -> str:
        return f"{self.profile.tenant}/{self.profile.name}"


def advice_on(loaded: Loaded, today: date) -> Advice:
    """The loader's warnings and all others. Reads secrets' files, as this process may. Needs
    `loaded.gathered`."""
    if loaded.gathered is None:
        return Advice(loaded.warnings)
    return _Adviser(loaded, loaded.gathered, today).advice()


class _Adviser:
    def __init__(self, loaded: Loaded, gathered: Gathered, today: date) -> None:
        self.loaded = loaded
        self.gathered = gathered
        self.today = today
        self.spaces = spaces_of(gathered)
        self._warned: dict[tuple[str, int, int, str], Finding] = {}
        self._misspelled_models: set[str] = set()

    def advice(self) -> Advice:
        agents = list(self._agents())
        self._retiring(agents)
        self._misspelled(agents)
        self._unpriced(agents)
        for agent in agents:
            self._prompt(agent)
            self._headers(agent)
            self._unproven(agent)
            if agent.numbers:
                self._disclosure(agent)
                self._person(agent)
        self._secrets()
        self._shadows()
        files = [source.findings.file for source in self.gathered.sources]
        warned = sorted(
            self._warned.values(), key=lambda found: (files.index(found.file), found.line)
        )
        return Advice((*self.loaded.warnings, *warned))

    def _agents(self) -> Iterator[_Agent]:
        reach = answering(self.loaded.table)
        for key, profile in self.loaded.table.agents.items():
            space = self.spaces[profile.tenant]
            chain = ancestry(space, profile.name)
            yield _Agent(
                profile, space, chain.agents[-1], leaves_of(space, chain), reach.get(key, [])
            )

    def _retiring(self, agents: Iterable[_Agent]) -> None:
        """One warning for each place where a model is named, with all numbers that it concerns."""
        places: dict[tuple[int, Steps], tuple[Leaf, str, list[str]]] = {}
        main = self.gathered.main
        for name, entry in main.draft.file.models.items():
            leaf = Leaf(entry.model, ("models", name, "model"), main)
            places[id(main), leaf.steps] = (leaf, entry.model, [])
        for agent in agents:
            if self._names_deployments(agent.profile.tenant):
                continue
            for leaf, model in _models_of(agent.leaves):
                known = places.setdefault((id(leaf.source), leaf.steps), (leaf, model, []))
                known[2].extend(agent.numbers)
        for leaf, model, numbers in places.values():
            ends = RETIRED_ON.get(model)
            if ends is not None and ends - self.today <= SOON:
                self._warn(leaf.source, leaf.steps, self._end_of(model, ends), _concerns(numbers))

    def _misspelled(self, agents: Iterable[_Agent]) -> None:
        """Names of models that are almost a known one."""
        main, models = self.gathered.main, self.gathered.main.draft.file.models
        places = {
            (id(leaf.source), leaf.steps): (leaf, model)
            for agent in agents
            if not self._names_deployments(agent.profile.tenant)
            for leaf, model in _models_of(agent.leaves)
        }
        if not any(spec.capabilities.model_is_deployment for spec in self.loaded.accounts):
            for name, entry in models.items():
                steps = ("models", name, "model")
                places[id(main), steps] = (Leaf(entry.model, steps, main), entry.model)
        for leaf, model in places.values():
            # The model of an entry is the provider's, never another entry.
            entries = () if leaf.steps[0] == "models" else tuple(models)
            if (meant := meant_model(model, entries)) is not None:
                self._misspelled_models.add(model)
                message = f"no model {quoted(model)} is known"
                self._warn(leaf.source, leaf.steps, message, f"did you mean {quoted(meant)}?")

    def _unpriced(self, agents: Iterable[_Agent]) -> None:
        """Models of which no price is known, so that nobody can say what their calls cost."""
        hint = "write it under `prices`"
        for agent in agents:
            edition = agent.profile.editions[0]
            prices = (edition.prices.session, edition.prices.transcription)
            for (leaf, model), price in zip(_models_of(agent.leaves), prices, strict=False):
                if price is None and model not in self._misspelled_models:
                    message = f"there is no price of {quoted(model)}: costs stay unknown"
                    self._warn(leaf.source, leaf.steps, message, hint)
            if edition.fallback_session is not None and edition.fallback_prices.session is None:
                model, named = str(edition.fallback_session["model"]), agent.leaves["model"]
                message = f"there is no price of {quoted(model)}: costs stay unknown"
                self._warn(named.source, (*named.steps[:2], "fallback"), message, hint)

    def _end_of(self, model: str, ends: date) -> str:
        days = (ends - self.today).days
        when = f"ends on {ends}, in {count(days, 'day')}" if days > 0 else f"ended on {ends}"
        successor = SUCCESSORS.get(ends)
        return f"{quoted(model)} {when}" + (f"; use {successor}" if successor else "")

    def _names_deployments(self, tenant: TenantName) -> bool:
        """Whether the tenant's models are names of deployments, which may be called anything."""
        named = self.loaded.table.tenants[tenant].account
        specs = [spec for spec in self.loaded.accounts if named in (None, spec.name)]
        return bool(specs) and all(spec.capabilities.model_is_deployment for spec in specs)

    def _prompt(self, agent: _Agent) -> None:
        leaf = agent.leaves.get("prompt")
        if leaf is not None and leaf.value is not None:
            verb = "end" if self.today < PROMPTS_END_ON else "ended"
            message = f"reusable prompts {verb} on {PROMPTS_END_ON}"
            self._warn(leaf.source, leaf.steps, message, "write instructions")

    def _headers(self, agent: _Agent) -> None:
        """Texts that read a header which no trunk exposes: it is never there."""
        exposed = {name for trunk in self.loaded.table.trunks.values() for name in trunk.expose}
        for edition in agent.profile.editions:
            for key in ("instructions", "greeting", "disclosure"):
                text, leaf = getattr(edition, key), agent.leaves.get(key)
                if not isinstance(text, CompiledTemplate):
                    continue
                at = leaf or Leaf(None, agent.named.steps, agent.named.source)
                for name in sorted(text.headers - exposed):
                    message = f"no trunk exposes the header {quoted(name)}"
                    self._warn(at.source, at.steps, message, "list it under a trunk's `expose`")

    def _disclosure(self, agent: _Agent) -> None:
        """Once for each agent, at its greeting."""
        if all(_discloses(e.disclosure, e.greeting) for e in agent.profile.editions):
            return
        leaf, named = agent.leaves.get("greeting"), agent.named
        if leaf is None or leaf.steps[:2] != named.steps:
            leaf = Leaf(None, named.steps, named.source)
        message = f"callers of {agent.who} may not learn that a machine speaks"
        hint = (
            "a guess: no disclosure, and no word such as AI, virtual or assistant in the greeting"
        )
        self._warn(leaf.source, leaf.steps, message, hint)

    def _person(self, agent: _Agent) -> None:
        tenant = self.loaded.table.tenants[agent.profile.tenant]
        fallback = given(getattr(agent.space.own.draft.file, "fallback", None))
        if tenant.destinations or fallback is not None:
            return
        message = f"no caller of {agent.who} can reach a person"
        hint = f"neither a destination nor a fallback; {_concerns(agent.numbers)}"
        self._warn(agent.named.source, agent.named.steps, message, hint)

    def _secrets(self) -> None:
        main = self.gathered.main
        operations = Operations(self.gathered, main.path.parent)
        seen: dict[tuple[str, str], Steps] = {}
        for steps, written in _secrets_in(main):
            try:
                secrets = operations.secret(written).read()
            except SecretError as error:
                self._warn(main, steps, f"cannot be read here: {error}")
                continue
            kind = self._must_differ(steps)
            for secret in secrets if kind else ():
                first = seen.setdefault((kind, secret), steps)
                if first[1] != steps[1]:
                    message = f"{first[0]}.{first[1]} has the same secret"
                    self._warn(main, steps, message, "nobody can tell whose a call is: change one")

    def _must_differ(self, steps: Steps) -> str:
        """Among which secrets no two may be the same; "" for one that may be any."""
        if steps[0] == "trunks":
            return f"trunks {self.loaded.table.trunks[TrunkName(str(steps[1]))].secret_header}"
        return "accounts" if steps[-1] == "webhook_secrets" else ""

    def _shadows(self) -> None:
        names = self.gathered.main.draft.file.destinations
        for source in self.gathered.tenants.values():
            for name in source.draft.file.destinations:
                if name in names:
                    message = "the main file has a destination of this name, too"
                    hint = "orders of the operator's lead to that one, the tenant's rules to this"
                    self._warn(source, ("destinations", name), message, hint)

    def _unproven(self, agent: _Agent) -> None:
        """Requests that rest on nothing but a caller's number, which anybody can claim."""
        leaf = agent.leaves.get("tools")
        for template in agent.profile.tools:
            does, requires = template.tool.does, template.tool.requires
            bound = templates_of(template) if isinstance(does, HttpRequest) else ()
            claimed = any("caller" in text.reads for text in bound)
            alone = not template.tool.parameters.get("properties")
            if leaf is None or not claimed or not alone or template.pin or requires is not None:
                continue
            name = quoted(template.tool.name)
            message = f"the tool {name} trusts the number that a caller shows, which can be forged"
            hint = "write requires: {attestation: A} beside it, or a pin"
            self._warn(leaf.source, leaf.steps, message, hint)

    def _warn(
        self, source: SourceFile[Any], steps: Steps, message: str, hint: str | None = None
    ) -> None:
        at, file = source.document.value(steps), source.findings
        path = dotted(steps)
        finding = Finding(file.file, at.line, at.column, path, message, hint, file.tenant)
        self._warned[file.file, at.line, at.column, message] = finding


def _models_of(leaves: Mapping[str, Leaf]) -> Iterator[tuple[Leaf, str]]:
    model, transcription = leaves.get("model"), leaves.get("transcription")
    if model is not None:
        yield model, str(model.value)
    match None if transcription is None else transcription.value:
        case str() as name if transcription is not None:
            yield transcription, name
        case Transcription(model=name) if transcription is not None:
            steps = (*transcription.steps, "model")
            yield transcription._replace(steps=steps), name


def _discloses(disclosure: Text | None, greeting: Text | None) -> bool:
    return disclosure is not None or _DISCLOSING.search(_source(greeting)) is not None


def _source(text: Text | None) -> str:
    if isinstance(text, CompiledTemplate):
        return text.source
    return text if isinstance(text, str) else ""


def _concerns(numbers: list[str]) -> str:
    if not numbers:
        return "no number leads there"
    return f"{count(len(numbers), 'number')}: {some(numbers)}"


def _secrets_in(main: SourceFile[Any]) -> Iterator[tuple[Steps, str | SecretFile]]:
    """Where the main file says that secrets are."""
    file = main.draft.file
    for name, account in file.accounts.items():
        yield from _of_account(("accounts", name), account)
    for name, trunk in file.trunks.items():
        if isinstance(trunk.secret, TrunkSecret):
            secret, steps = trunk.secret, ("trunks", name, "secret")
            if given(secret.value) is not None:
                yield (*steps, "value"), secret.value
            elif given(secret.file) is not None:
                yield (*steps, "file"), SecretFile(file=secret.file)
    for name, tenant in file.tenants.items():
        grants = given(tenant.grants)
        secrets = (given(grants.secrets) or {}) if grants is not None else {}
        for key, written in secrets.items():
            yield ("tenants", name, "grants", "secrets", key), written
        for key, hook in (given(tenant.webhooks) or {}).items():
            yield ("tenants", name, "webhooks", key, "secret"), hook.secret


def _of_account(
    steps: Steps, account: OpenAIAccount | AzureAccount
) -> Iterator[tuple[Steps, str | SecretFile]]:
    for key in ("api_keys", "webhook_secrets"):
        if given(getattr(account, key)) is not None:
            yield (*steps, key), getattr(account, key)
    entra = given(account.entra) if isinstance(account, AzureAccount) else None
    if entra is not None:
        for key in ("client_secret", "federated_token"):
            if given(getattr(entra, key)) is not None:
                yield (*steps, "entra", key), getattr(entra, key)
