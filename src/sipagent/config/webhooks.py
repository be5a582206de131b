"""Where each tenant is told of its calls: what the operator writes, and what its own file may."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from sipagent.config.findings import Complaint, Steps
from sipagent.config.gathering import Role
from sipagent.config.operations import Operations
from sipagent.config.reach import grants_of
from sipagent.config.schema.base import given
from sipagent.config.schema.operations import WebhookEntry
from sipagent.config.schema.webhooks import Endpoint, TenantWebhookEntry
from sipagent.config.spaces import Space
from sipagent.config.words import quoted
from sipagent.model import EventType, TenantName, Webhook
from sipagent.providers.secrets import SecretSource

Secrets = Mapping[tuple[TenantName, str], SecretSource]
"""Where the secrets stand that sign what a tenant's webhook of this name gets."""

_TRANSCRIPT: Final = "transcript"


def webhooks_of(space: Space) -> dict[str, Webhook]:
    """The tenant's webhooks by name."""
    return {name: _webhook(name, entry) for name, entry in _entries(space)}


def webhook_secrets(spaces: Mapping[TenantName, Space], operations: Operations) -> Secrets:
    """Where the secrets of all webhooks stand."""
    found: dict[tuple[TenantName, str], SecretSource] = {}
    for tenant, space in spaces.items():
        granted = given(grants_of(space).secrets) or {}
        for name, entry in _entries(space):
            written = (
                entry.secret
                if isinstance(entry, WebhookEntry)
                else granted.get(entry.secret.secret)
            )
            if written is not None:
                found[tenant, name] = operations.secret(written)
    return found


def verify_webhooks(space: Space) -> None:
    """Complain of webhooks that cannot be asked, and of those that the tenant is not granted."""
    operators, own = _of_operator(space), _of_tenant(space)
    main = space.gathered.main
    for name, entry in operators.items():
        for complaint in _url(entry.url, ("tenants", space.tenant, "webhooks", name, "url")):
            main.complain(complaint)
    for name, tenants in own.items():
        for complaint in _ungranted(space, name, tenants):
            space.own.complain(complaint)
        if name in operators:
            message = "the operator has a webhook of this name for the tenant"
            space.own.complain(Complaint(("webhooks", name), message, at_key=True))


@dataclass(frozen=True, slots=True)
class _Parted:
    scheme: str
    host: str | None
    named: bool


def _entries(space: Space) -> Iterator[tuple[str, WebhookEntry | TenantWebhookEntry]]:
    found: dict[str, WebhookEntry | TenantWebhookEntry] = {}
    found |= _of_tenant(space)
    found |= _of_operator(space)
    yield from found.items()


def _of_operator(space: Space) -> Mapping[str, WebhookEntry]:
    return {} if space.entry is None else given(space.entry.webhooks) or {}


def _of_tenant(space: Space) -> Mapping[str, TenantWebhookEntry]:
    if space.own.role is not Role.TENANT:
        return {}
    found: Any = space.own.draft.file.webhooks
    return found or {}


def _webhook(name: str, entry: Endpoint) -> Webhook:
    events = given(entry.events)
    return Webhook(
        name=name,
        url=entry.url,
        events=frozenset(EventType if events is None else map(EventType, events)),
        transcript=_TRANSCRIPT in (given(entry.include) or ()),
    )


def _ungranted(space: Space, name: str, entry: TenantWebhookEntry) -> Iterator[Complaint]:
    steps: Steps = ("webhooks", name)
    grants, wrong = grants_of(space), False
    for complaint in _url(entry.url, (*steps, "url")):
        wrong = True
        yield complaint
    parts = _parted(entry.url)
    host = parts.host
    if not wrong and parts.scheme == "http":
        message = "what is told there would not be encrypted"
        yield Complaint((*steps, "url"), message, "write https://")
    elif not wrong and host not in (given(grants.http_hosts) or ()):
        hint = "the operator grants hosts under `tenants`"
        message = f"the tenant may not ask the host {quoted(host or '')}"
        yield Complaint((*steps, "url"), message, hint)
    if entry.secret.secret not in (given(grants.secrets) or {}):
        hint = "the operator grants secrets under `tenants`"
        where = (*steps, "secret", "secret")
        yield Complaint(where, "the tenant has no secret of this name", hint)


def _url(url: str, steps: Steps) -> Iterator[Complaint]:
    parts = _parted(url)
    if parts.scheme not in ("http", "https") or not parts.host:
        yield Complaint(steps, "this is not the URL of a host", "as in https://api.example/events")
    elif parts.named:
        yield Complaint(steps, "a URL must not hold credentials", "what is sent is signed")


def _parted(url: str) -> _Parted:
    try:
        parts = urlsplit(url)
        usable = url.isascii() and url.isprintable() and " " not in url and parts.port != 0
        host = parts.hostname if usable else None
    except ValueError:
        return _Parted("", None, named=False)
    return _Parted(parts.scheme, host, named=parts.username is not None)
