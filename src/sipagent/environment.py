"""The account that the environment describes, for a file of agents that has none of its own."""

from typing import Final

from pydantic import SecretStr

from sipagent.errors import SecretError, SettingsError
from sipagent.model import AccountName
from sipagent.providers.accounts import AccountSpec, azure_base_url
from sipagent.providers.openai.credentials import sendable
from sipagent.providers.openai.webhooks import WebhookSecrets
from sipagent.providers.secrets import SecretSource
from sipagent.settings import Settings, file_of

ENVIRONMENT_ACCOUNT: Final = AccountName("default")

_NO_KEY: Final = "has characters that no key has"


def environment_account(settings: Settings) -> AccountSpec:
    """The account of `OPENAI_*`, or of `AZURE_OPENAI_*` where an endpoint is set.

    Raises SettingsError that names everything that is missing or wrong.
    """
    azure = settings.azure_openai_endpoint is not None
    problems: list[str] = []
    if azure and settings.openai_api_key is not None:
        problems.append("OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT: unset one of them")
    key_name, key = _key(settings, azure=azure)
    hooks_name, hooks = _hooks(settings, azure=azure)
    problems += [
        f"{name}: is not set"
        for name, value in ((key_name, key), (hooks_name, hooks))
        if value is None
    ]
    if key is None or hooks is None:
        raise SettingsError(tuple(problems))
    keys, secrets = _source(key_name, key), _source(hooks_name, hooks)
    if keys.file is None and not sendable(key.get_secret_value()):
        problems.append(f"{key_name}: {_NO_KEY}")
    try:
        WebhookSecrets.parse(" ".join(secrets.read()))
    except (ValueError, SecretError) as error:
        problems.append(f"{hooks_name}: {error}")
    if problems:
        raise SettingsError(tuple(problems))
    endpoint = settings.azure_openai_endpoint
    return AccountSpec(
        name=ENVIRONMENT_ACCOUNT,
        provider="openai" if endpoint is None else "azure",
        base_url=settings.openai_base_url if endpoint is None else azure_base_url(endpoint),
        webhook_secrets=secrets,
        api_keys=keys,
        organization=settings.openai_org_id,
        project=settings.openai_project_id,
    )


def _key(settings: Settings, *, azure: bool) -> tuple[str, SecretStr | None]:
    if azure:
        return "AZURE_OPENAI_API_KEY", settings.azure_openai_api_key
    return "OPENAI_API_KEY", settings.openai_api_key


def _hooks(settings: Settings, *, azure: bool) -> tuple[str, SecretStr | None]:
    """An Azure account's secret may stand under either name: its own precedes."""
    if azure and settings.azure_openai_webhook_secret is not None:
        return "AZURE_OPENAI_WEBHOOK_SECRET", settings.azure_openai_webhook_secret
    return "OPENAI_WEBHOOK_SECRET", settings.openai_webhook_secret


def _source(name: str, value: SecretStr) -> SecretSource:
    """Where the value is found again: its file, if it came from one that still holds it."""
    given = SecretSource(literal=value.get_secret_value())
    path = file_of(name)
    if path is None:
        return given
    file = SecretSource(file=path)
    try:
        return file if file.read() == given.read() else given
    except SecretError:
        return given
