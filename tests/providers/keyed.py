"""Accounts for tests of what speaks for them."""

from pathlib import Path
from typing import Any

from sipagent.model import AccountName
from sipagent.providers.accounts import AccountSpec
from sipagent.providers.openai.account import Account
from sipagent.providers.openai.credentials import KeyRing
from sipagent.providers.openai.health import AccountHealth
from sipagent.providers.secrets import SecretSource

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def a_spec(name: str = "a", base_url: str = "https://api.test/v1", **more: Any) -> AccountSpec:
    """An OpenAI account with one key, unless `more` says otherwise; a path is a file of keys."""
    given = more.pop("api_keys", "sk-test")
    hooks = more.pop("webhook_secrets", SECRET)
    return AccountSpec(
        name=AccountName(name),
        provider=more.pop("provider", "openai"),
        base_url=base_url,
        webhook_secrets=source(hooks),
        api_keys=None if given is None else source(given),
        **more,
    )


def source(given: str | Path) -> SecretSource:
    if isinstance(given, Path):
        return SecretSource(file=given)
    return SecretSource(literal=given)


def an_account(base_url: str, **more: Any) -> Account:
    """An account that is not part of a registry."""
    spec = a_spec(base_url=base_url, **more)
    assert spec.api_keys is not None
    keys = KeyRing(spec, spec.api_keys)
    return Account(spec.name, base_url, keys, AccountHealth(spec.name), spec.capabilities)
