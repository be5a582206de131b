"""Names and ids, each a type of its own, so that no signature takes two bare strings."""

import re
from typing import Final, NewType, TypeGuard

CallId = NewType("CallId", str)
"""The provider's id of a call (`rtc_...`), passed on unchanged. Not the SIP Call-ID."""

WebhookId = NewType("WebhookId", str)
"""The `webhook-id` header: the same for each delivery of one event (Standard Webhooks)."""

AccountName = NewType("AccountName", str)
TenantName = NewType("TenantName", str)
AgentName = NewType("AgentName", str)
"""An agent's name within its tenant."""

DestinationName = NewType("DestinationName", str)
TrunkName = NewType("TrunkName", str)
ToolName = NewType("ToolName", str)
"""A tool's name within its agent, as the model sees it."""

SecretName = NewType("SecretName", str)
"""A secret that the operator grants a tenant, by name; what it holds is read when it is used."""

DEFAULT_TENANT: Final = TenantName("default")
"""Whose numbers and agents are those of a file without tenants."""

_CALL_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


def is_call_id(value: object) -> TypeGuard[CallId]:
    """Whether a value may stand in a URL path as a call id: 1 to 128 of A-Z a-z 0-9 _ -."""
    return isinstance(value, str) and _CALL_ID.fullmatch(value) is not None
