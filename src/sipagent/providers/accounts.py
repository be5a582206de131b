"""What an account is: one OpenAI project or one Azure OpenAI resource, as data."""

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from sipagent.model import AccountName
from sipagent.providers.secrets import SecretSource

Provider = Literal["openai", "azure"]

OPENAI_BASE_URL: Final = "https://api.openai.com/v1"
AZURE_SCOPE: Final = "https://cognitiveservices.azure.com/.default"
AZURE_AUTHORITY: Final = "https://login.microsoftonline.com"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """In what the providers differ, as far as anything here depends on it.

    `model_is_deployment`: `model` and `transcription.model` name deployments of the resource, so
    no list of models can say whether they exist. `instructions_required`: an accept without
    instructions is refused. `secret_for_webrtc`: a call by WebRTC is made with a client secret,
    and not with the account's own key.
    """

    model_is_deployment: bool
    instructions_required: bool
    secret_for_webrtc: bool = False


CAPABILITIES: Final[dict[Provider, Capabilities]] = {
    "openai": Capabilities(model_is_deployment=False, instructions_required=False),
    "azure": Capabilities(
        model_is_deployment=True, instructions_required=True, secret_for_webrtc=True
    ),
}


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """An app registration that proves itself by a secret."""

    tenant_id: str
    client_id: str
    secret: SecretSource


@dataclass(frozen=True, slots=True)
class FederatedToken:
    """An app registration or identity that proves itself by a token from elsewhere, such as that
    of a Kubernetes service account (workload identity). The file is read at each renewal."""

    tenant_id: str
    client_id: str
    token: SecretSource


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """The identity of the machine or app itself; `client_id` chooses among several.

    `metadata` is the host that machines ask (IMDS). App Service and Container Apps name theirs in
    IDENTITY_ENDPOINT, which takes precedence.
    """

    client_id: str | None = None
    metadata: str = "http://169.254.169.254"


@dataclass(frozen=True, slots=True)
class EntraSpec:
    """How tokens of Microsoft Entra are got. `authority` is another in sovereign clouds."""

    identity: ClientSecret | FederatedToken | ManagedIdentity
    scope: str = AZURE_SCOPE
    authority: str = AZURE_AUTHORITY


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """One account as the configuration has it. `base_url` is the REST API's root with its version.

    Either `api_keys` or `entra` proves who we are.
    """

    name: AccountName
    provider: Provider
    base_url: str
    webhook_secrets: SecretSource
    api_keys: SecretSource | None = None
    entra: EntraSpec | None = None
    organization: str | None = None
    project: str | None = None

    def __post_init__(self) -> None:
        if (self.api_keys is None) == (self.entra is None):
            raise ValueError("an account needs either api_keys or entra")
        if self.entra is not None and self.provider != "azure":
            raise ValueError("entra is for azure accounts")
        for value in (self.organization, self.project):
            if value is not None and not (value.isascii() and value.isprintable()):
                raise ValueError("organization or project is not the value of a header")

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES[self.provider]


def openai_base_url(region: str | None = None, base_url: str | None = None) -> str:
    """The root of OpenAI's API: `base_url` if there is one, else that of the region."""
    if base_url is not None:
        return _root(base_url)
    return OPENAI_BASE_URL if region is None else f"https://{region}.api.openai.com/v1"


def azure_base_url(endpoint: str) -> str:
    """The root of an Azure resource's API: its endpoint, with or without the path."""
    root = _root(endpoint)
    return root if root.endswith("/openai/v1") else f"{root}/openai/v1"


def _root(url: str) -> str:
    """The URL without a slash at the end. Raises ValueError for what is no API's root."""
    parts = urlsplit(url)  # raises ValueError by itself for some
    usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("is not the URL of an API")
    if parts.query or parts.fragment or parts.username is not None or parts.password is not None:
        raise ValueError("has a query, a fragment or credentials")
    return url.rstrip("/")
