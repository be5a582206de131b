"""What agents may use beside their files: secrets that tenants are granted, servers beside us."""

from collections.abc import Iterable, Mapping

from sipagent.config.findings import Complaint
from sipagent.config.operations import Operations
from sipagent.config.personas import Persona
from sipagent.config.reach import grants_of
from sipagent.config.schema.base import given
from sipagent.config.spaces import Space
from sipagent.config.words import quoted
from sipagent.model import SecretName, TenantName
from sipagent.providers.secrets import SecretSource
from sipagent.tools.local import LocalServer

Granted = Mapping[tuple[TenantName, SecretName], SecretSource]
"""Where the secrets stand that a tenant's tools may use."""


def granted_secrets(spaces: Mapping[TenantName, Space], operations: Operations) -> Granted:
    return {
        (tenant, SecretName(name)): operations.secret(written)
        for tenant, space in spaces.items()
        for name, written in (given(grants_of(space).secrets) or {}).items()
    }


def local_servers(personas: Iterable[Persona]) -> Mapping[str, LocalServer]:
    """The servers that run beside us, by label; told where two agents mean different ones."""
    found: dict[str, LocalServer] = {}
    for persona in personas:
        for label, server in persona.local.items():
            if found.setdefault(label, server) != server:
                message = f"another agent starts the server {quoted(label)} in another way"
                hint = "give each its own server_label"
                persona.source.complain(Complaint(persona.steps, message, hint, at_key=True))
    return found
