"""One OpenAI project: where it is, and what proves that we may speak for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from sipagent.model import AccountName, CallId
from sipagent.providers.openai.webhooks import WebhookSecrets


@dataclass(frozen=True, slots=True)
class Account:
    """`base_url` is the API's root with its version, without a slash at the end."""

    name: AccountName
    base_url: str
    api_key: str = field(repr=False)
    secrets: WebhookSecrets
    organization: str | None = None
    project: str | None = None

    def headers(self) -> Mapping[str, str]:
        """What every request and every upgrade carries."""
        headers = {"Authorization": f"Bearer {self.api_key}"}
        if self.organization:
            headers["OpenAI-Organization"] = self.organization
        if self.project:
            headers["OpenAI-Project"] = self.project
        return headers

    def call_url(self, call_id: CallId, action: str) -> str:
        return f"{self.base_url}/realtime/calls/{call_id}/{action}"

    def socket_url(self, call_id: CallId) -> str:
        """Where the call's socket is: on the REST API's own host, also for regional ones."""
        scheme, host, path, _, _ = urlsplit(self.base_url)
        secure = "wss" if scheme == "https" else "ws"
        return urlunsplit((secure, host, f"{path}/realtime", f"call_id={call_id}", ""))
