"""Where each tenant is told of its calls: what the operator writes, and what its own file may."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sipagent.config.findings import Complaint, Steps
from sipagent.config.gathering import Role
from sipagent.config.operations import Operations
from sipagent.config.reach import grants_of, host_refusal
from sipagent.config.schema.base import given
from sipagent.config.schema.operations import WebhookEntry
from sipagent.config.schema.webhooks import Endpoint, TenantWebhookEntry
from sipagent.config.spaces import Space
from sipagent.model import EventType, TenantName, Webhook
from sipagent.providers.secrets import SecretSource
from sipagent.tools.targets import TargetError, parse_target

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
    found = [*_url(entry.url, (*steps, "url"))]
    yield from found or _kept_from(space, entry.url, (*steps, "url"))
    if entry.secret.secret not in (given(grants_of(space).secrets) or {}):
        hint = "the operator grants secrets under `tenants`"
        where = (*steps, "secret", "secret")
        yield Complaint(where, "the tenant has no secret of this name", hint)


def _kept_from(space: Space, url: str, steps: Steps) -> Iterator[Complaint]:
    """Why a tenant may not be told there, of a URL that can be read."""
    target = parse_target(url)
    if target.scheme != "https":
        yield Complaint(steps, "what is told there would not be encrypted", "write https://")
    elif (refusal := host_refusal(space, target.host)) is not None:
        yield Complaint(steps, *refusal)


def _url(url: str, steps: Steps) -> Iterator[Complaint]:
    """Why nothing is ever sent there, in the words of the guard that sends it."""
    try:
        parse_target(url)
    except TargetError as error:
        yield Complaint(steps, str(error), "as in https://api.example/events")
