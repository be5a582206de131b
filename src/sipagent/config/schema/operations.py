"""What only the operator writes: accounts, trunks, tenants and what each may use."""

from typing import Annotated, Any, Literal

from pydantic import Field, Tag

from sipagent.config.schema.base import (
    ABSENT,
    MAPPING,
    TEXT,
    Days,
    Entry,
    Expandable,
    ExpandableWord,
    Hidden,
    Host,
    LanguageTag,
    Name,
    RateText,
    Region,
    SecretWord,
    VariableName,
    Word,
    shaped,
)
from sipagent.config.schema.callers import CallersEntry
from sipagent.config.schema.limits import Budget, Limited, Spending, WhenFull
from sipagent.config.schema.persona import Value
from sipagent.config.schema.webhooks import Endpoint


class SecretFile(Entry):
    file: ExpandableWord = Field(
        description="A file with the secret; several on lines of their own."
    )


Secret = Annotated[
    Annotated[SecretWord, Tag(TEXT)] | Annotated[SecretFile, Tag(MAPPING)],
    shaped('"${NAME}" or {file: path}'),
    Hidden(),
]


class _Account(Limited):
    webhook_secrets: Secret = Field(
        description="Where the webhook's signing secrets are; all are valid."
    )
    budget: Spending = Field(default=ABSENT, description="How much its calls may cost.")


class OpenAIAccount(_Account):
    provider: Literal["openai", "azure"] = Field(default="openai", description="openai or azure.")
    region: Literal["eu"] = Field(default=ABSENT, description="eu for a project that stays there.")
    base_url: ExpandableWord = Field(default=ABSENT, description="The API's root, if not OpenAI's.")
    api_keys: Secret = Field(description="Where the API keys are; the next is tried on 401.")
    organization: ExpandableWord = Field(default=ABSENT, description="Sent as OpenAI-Organization.")
    project: ExpandableWord = Field(default=ABSENT, description="Sent as OpenAI-Project.")


class Entra(Entry):
    tenant_id: ExpandableWord = Field(default=ABSENT, description="The directory's id.")
    client_id: ExpandableWord = Field(default=ABSENT, description="The application's id.")
    client_secret: Secret = Field(default=ABSENT, description="Where its secret is.")
    federated_token: Annotated[SecretFile, Hidden()] = Field(
        default=ABSENT, description="The token file of a workload identity."
    )
    managed_identity: bool = Field(
        default=False, description="Whether the machine's identity is used."
    )
    scope: Word = Field(default=ABSENT, description="What the token is for.")
    authority: ExpandableWord = Field(default=ABSENT, description="Where tokens come from.")


class AzureAccount(_Account):
    provider: Literal["azure"] = Field(description="openai or azure.")
    endpoint: ExpandableWord = Field(
        description="The resource's endpoint, https://NAME.openai.azure.com."
    )
    api_keys: Secret = Field(
        default=ABSENT, description="Where the API keys are; the next is tried on 401."
    )
    entra: Entra = Field(default=ABSENT, description="How tokens of Microsoft Entra are had.")


def _provider_of(value: Any) -> str | None:
    if isinstance(value, dict):
        return "<azure>" if value.get("provider") == "azure" else "<openai>"
    return None


Account = Annotated[
    Annotated[OpenAIAccount, Tag("<openai>")] | Annotated[AzureAccount, Tag("<azure>")],
    shaped("a mapping such as {provider: openai, api_keys: ...}", _provider_of),
]


class TrunkSecret(Entry):
    header: Word = Field(description="The header in which the trunk sends the secret.")
    file: ExpandableWord = Field(default=ABSENT, description="A file with the secret.")
    value: SecretWord = Field(default=ABSENT, description="The secret, as ${NAME}.")


class TrunkEntry(Entry):
    carrier: Word = Field(default=ABSENT, description="A preset: twilio, telnyx, wavix, ...")
    secret: Annotated[
        Annotated[Literal["none"], Expandable(secret=True), Tag(TEXT)]
        | Annotated[TrunkSecret, Tag(MAPPING)],
        shaped("none or {header: name, file: path}"),
        Hidden(),
    ] = Field(
        description="What proves that a call came by it: {header: X-Key, file: path}, or none."
    )
    dialed_header: Word = Field(
        default=ABSENT, description="The header that holds the dialed number."
    )
    attestation: Word = Field(
        default=ABSENT, description="The header that holds the caller's attestation."
    )
    expose: list[Word] = Field(default=ABSENT, description="Headers that texts and tools may see.")
    refer: Word = Field(
        default=ABSENT, description='How a transfer names a number, such as "tel:{e164}".'
    )
    per_caller: RateText = Field(
        default=ABSENT, description="The most calls of one caller in a time, such as 3/10m."
    )


class Grants(Entry):
    secrets: dict[Name, Secret] = Field(
        default=ABSENT, description="Secrets that the tenant may use, by name."
    )
    http_hosts: list[Host] = Field(
        default=ABSENT, description="Hosts that the tenant's tools may ask."
    )
    transfer_countries: list[Region] = Field(
        default=ABSENT, description="Countries that calls may be sent to."
    )
    sip_hosts: list[Host] = Field(
        default=ABSENT, description="Hosts of SIP URIs that calls may be sent to."
    )
    transfers_per_hour: int = Field(
        default=ABSENT, ge=0, description="The most calls sent on in an hour."
    )


class Privacy(Entry):
    transcripts: Days = Field(
        default=ABSENT, description="How long words are kept, as in 30d; 30d without the key."
    )
    records: Days = Field(
        default=ABSENT, description="How long calls are kept, as in 400d; for ever without the key."
    )
    numbers_at_rest: Literal["plain", "hmac"] = Field(
        default="plain", description="How telephone numbers are stored."
    )
    redact: list[Literal["card", "ssn"]] = Field(
        default=ABSENT,
        description="What is left out of words that were spoken; both without the key.",
    )


class WebhookEntry(Endpoint):
    secret: Secret = Field(description="Where the secrets are that sign; all of them do.")


class TenantEntry(Limited):
    account: Name = Field(default=ABSENT, description="The account that takes the tenant's calls.")
    timezone: Word = Field(default=ABSENT, description="The tenant's time zone.")
    language: LanguageTag = Field(default=ABSENT, description="The language of first words.")
    vars: dict[VariableName, Value] = Field(
        default=ABSENT, description="Values of variables for the tenant's agents."
    )
    reserved_calls: int = Field(default=ABSENT, ge=0, description="Calls never lent to others.")
    when_full: WhenFull = Field(
        default=ABSENT, description="What callers get for whom there is no room; 486 by default."
    )
    budget: Budget = Field(default=ABSENT, description="How much may be spent.")
    grants: Grants = Field(default=ABSENT, description="What the tenant's file may use.")
    webhooks: dict[Name, WebhookEntry] = Field(
        default=ABSENT, description="Where the tenant is told of its calls, by name."
    )
    privacy: Privacy = Field(default=ABSENT, description="What is kept, and how long.")
    callers: CallersEntry = Field(
        default=ABSENT, description="Who gets through to the tenant's numbers."
    )
