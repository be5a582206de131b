"""The process's settings, from the environment. Each variable may also be given as `NAME_FILE`,
the path of a file that holds the value, as container platforms mount secrets."""

import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from sipagent.errors import SettingsError
from sipagent.model import Quota, QuotaScope, Rate
from sipagent.tools.addresses import Allow

DATABASE_VARIABLE: Final = "SIPAGENT_DATABASE_URL"

_LARGEST_FILE: Final = 64 * 1024
_RATE: Final = re.compile(
    r"(?P<count>[1-9][0-9]{0,5})/(?P<time>[1-9][0-9]{0,3})(?P<unit>[smh])", re.ASCII
)
_SUM: Final = re.compile(r"(?P<dollars>[0-9]{1,9}(?:\.[0-9]{1,2})?) USD")
_WARN_AT: Final = (8_000,)
"""The share of the process's budgets at which somebody is told, in hundredths of a percent."""

_REDIS: Final = ("redis", "rediss", "unix")
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}
_ALSO: Final = {DATABASE_VARIABLE: "DATABASE_URL"}
"""Variables that platforms set, and whose word is taken where ours are unset."""


def _env(name: str, default: Any, description: str, **limits: Any) -> Any:
    return Field(default, validation_alias=name, description=description, **limits)


class Settings(BaseSettings):
    """Everything that is not in agents.yaml. Read once, when the process starts."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    host: str = _env("HOST", "0.0.0.0", "Address to listen on.")
    port: int = _env("PORT", 8000, "Port to listen on.", ge=0, le=65535)
    admin_port: Annotated[int, Field(ge=1, le=65535)] | None = _env(
        "SIPAGENT_ADMIN_PORT",
        None,
        "Port of its own for the control API, the console, metrics and details of readiness.",
    )
    admin_host: str = _env(
        "SIPAGENT_ADMIN_HOST", "127.0.0.1", "Address to listen on for SIPAGENT_ADMIN_PORT."
    )
    config: Path = _env("SIPAGENT_CONFIG", Path("config/agents.yaml"), "The agents file.")
    data_dir: Path = _env(
        "SIPAGENT_DATA_DIR", Path("data"), "Folder of what the service keeps for itself."
    )
    database_url: SecretStr | None = _env(
        DATABASE_VARIABLE, None, "Where records are kept: sqlite:///PATH or postgresql://..."
    )
    db_migrate: Literal["auto", "never"] = _env(
        "SIPAGENT_DB_MIGRATE",
        "auto",
        "Whether the service brings the records' schema itself: auto, or never.",
    )
    without_records: Literal["take", "reject"] = _env(
        "SIPAGENT_WITHOUT_RECORDS",
        "take",
        "What becomes of new calls while records are away: take them, or reject them with 503.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = _env(
        "LOG_LEVEL", "info", "debug, info, warning or error."
    )
    log_format: Literal["json", "console"] = _env("LOG_FORMAT", "json", "json or console.")
    engine: SecretStr = _env(
        "SIPAGENT_ENGINE",
        SecretStr("embedded"),
        "Who holds which call: embedded, in this process, or redis://... for many replicas.",
    )
    lease: Annotated[float, Field(ge=0.5, le=60)] = _env(
        "SIPAGENT_LEASE", 3.0, "Seconds after which calls of a replica that is gone are taken over."
    )
    heartbeat: Annotated[float, Field(ge=0.1, le=20)] = _env(
        "SIPAGENT_HEARTBEAT", 1.0, "Seconds between two renewals of a replica's leases."
    )
    drain: Literal["hold", "handover"] | None = _env(
        "SIPAGENT_DRAIN", None, "On SIGTERM: hold the calls to their end, or hand them over."
    )
    max_calls: Annotated[int, Field(ge=1)] | None = _env(
        "SIPAGENT_MAX_CALLS", None, "The most calls that this process holds at once."
    )
    call_rate: str | None = _env(
        "SIPAGENT_CALL_RATE", None, "The most new calls in a time, as in 600/1m."
    )
    budget_day: str | None = _env(
        "SIPAGENT_BUDGET_DAY", None, "What all calls of a day may cost, as in 500 USD."
    )
    budget_month: str | None = _env(
        "SIPAGENT_BUDGET_MONTH", None, "What all calls of a month may cost, as in 9000 USD."
    )
    ring_window: Annotated[float, Field(gt=0, le=3600)] = _env(
        "SIPAGENT_RING_WINDOW", 120.0, "Seconds after its creation in which a call may ring."
    )
    drain_timeout: Annotated[float, Field(ge=0, le=7200)] = _env(
        "SIPAGENT_DRAIN_TIMEOUT", 3600.0, "Seconds to let live calls end by themselves on SIGTERM."
    )
    http_tools_allow: str = _env(
        "SIPAGENT_HTTP_TOOLS_ALLOW",
        "",
        "Networks and hosts inside that tools and webhooks may reach, as in 10.1.0.0/16,crm:8080.",
    )
    traces: Literal["on", "off"] | None = _env(
        "SIPAGENT_TRACES", None, "Whether calls are traced: on where a collector is named, or off."
    )
    trace_content: bool = _env(
        "SIPAGENT_TRACE_CONTENT",
        False,
        "Whether traces hold what is said, where the tenant keeps that.",
    )
    trace_hosts: str = _env(
        "SIPAGENT_TRACE_HOSTS",
        "",
        "Hosts of tools and webhooks that are told the trace, as in crm.internal,*.example.com.",
    )
    otlp_endpoint: str | None = _env(
        "OTEL_EXPORTER_OTLP_ENDPOINT", None, "The collector that traces are sent to."
    )
    otlp_traces_endpoint: str | None = _env(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", None, "The same, whole, for traces alone."
    )
    privacy_key: SecretStr | None = _env(
        "SIPAGENT_PRIVACY_KEY", None, "Secret by which telephone numbers are hidden in records."
    )
    openai_api_key: SecretStr | None = _env("OPENAI_API_KEY", None, "Key of the OpenAI project.")
    openai_webhook_secret: SecretStr | None = _env(
        "OPENAI_WEBHOOK_SECRET", None, "Signing secret of the webhook; several by space or comma."
    )
    openai_base_url: str = _env("OPENAI_BASE_URL", "https://api.openai.com/v1", "Root of the API.")
    azure_openai_endpoint: str | None = _env(
        "AZURE_OPENAI_ENDPOINT", None, "Address of an Azure OpenAI resource, in place of OpenAI."
    )
    azure_openai_api_key: SecretStr | None = _env(
        "AZURE_OPENAI_API_KEY", None, "Key of the Azure OpenAI resource."
    )
    azure_openai_webhook_secret: SecretStr | None = _env(
        "AZURE_OPENAI_WEBHOOK_SECRET", None, "Signing secret of the resource's webhook."
    )
    openai_org_id: str | None = _env("OPENAI_ORG_ID", None, "Sent as OpenAI-Organization.")
    openai_project_id: str | None = _env("OPENAI_PROJECT_ID", None, "Sent as OpenAI-Project.")

    @field_validator(
        "log_level",
        "log_format",
        "db_migrate",
        "without_records",
        "drain",
        "traces",
        mode="before",
    )
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("openai_base_url", "azure_openai_endpoint")
    @classmethod
    def _root(cls, value: str | None) -> str | None:
        """Refuse what cannot be the beginning of a call's URL; the value is not told."""
        if value is None:
            return None
        advice = "write the API's root, such as https://api.openai.com/v1"
        try:
            url = urlsplit(value)
            usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        except ValueError:
            raise ValueError(f"is not a URL: {advice}") from None
        if not usable or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError(f"is not the URL of an API: {advice}")
        if url.query or url.fragment or url.username is not None or url.password is not None:
            raise ValueError(f"has a query, a fragment or credentials: {advice}")
        return value.rstrip("/")

    @field_validator("otlp_endpoint", "otlp_traces_endpoint")
    @classmethod
    def _collector(cls, value: str | None) -> str | None:
        """Refuse what no span could be sent to; the value is not told."""
        try:
            url = urlsplit(value or "")
            usable = not value or (url.scheme in ("http", "https") and bool(url.hostname))
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("is not a URL: write it as in http://collector:4318")
        return value

    @field_validator("http_tools_allow")
    @classmethod
    def _allowed(cls, value: str) -> str:
        Allow.parse(value)
        return value

    @field_validator("engine")
    @classmethod
    def _engine(cls, value: SecretStr) -> SecretStr:
        """Refuse what names no engine; the value, which may hold a password, is not told."""
        engine = value.get_secret_value()
        try:
            url = urlsplit(engine)
            known = engine == "embedded" or (url.scheme in _REDIS and url.port != 0)
        except ValueError:
            known = False
        if not known:
            raise ValueError("is neither embedded nor redis://HOST, rediss://HOST or unix://PATH")
        return value

    @model_validator(mode="after")
    def _fit(self) -> "Settings":
        if self.heartbeat > self.lease / 2:
            raise ValueError("SIPAGENT_HEARTBEAT must be at most half of SIPAGENT_LEASE")
        if self.admin_port is not None and self.admin_port == self.port:
            raise ValueError("SIPAGENT_ADMIN_PORT must be another port than PORT")
        if self.drain == "handover" and self.redis_url is None:
            raise ValueError("SIPAGENT_DRAIN=handover needs SIPAGENT_ENGINE=redis://...")
        if self.redis_url is not None and not self._shares_records:
            raise ValueError(
                "SIPAGENT_ENGINE=redis://... needs records that replicas share:"
                " set SIPAGENT_DATABASE_URL=postgresql://..."
            )
        return self

    @property
    def _shares_records(self) -> bool:
        url = "" if self.database_url is None else self.database_url.get_secret_value()
        return url.strip().startswith("postgres")

    @property
    def redis_url(self) -> str | None:
        """Where the engine that replicas share is, None without one."""
        engine = self.engine.get_secret_value()
        return None if engine == "embedded" else engine

    @property
    def hands_over(self) -> bool:
        """Whether calls are handed over to other replicas when the process is to end."""
        return self.redis_url is not None and self.drain != "hold"

    @property
    def traced(self) -> bool:
        """Whether calls are traced."""
        if self.traces is None:
            return bool(self.otlp_endpoint or self.otlp_traces_endpoint)
        return self.traces == "on"

    @field_validator("call_rate")
    @classmethod
    def _rate(cls, value: str | None) -> str | None:
        if value is not None and _RATE.fullmatch(value) is None:
            raise ValueError("is no rate: write it as in 600/1m")
        return value

    @property
    def process_quota(self) -> Quota | None:
        """What all calls of this process may take together, None without a limit."""
        day, month = _micros(self.budget_day), _micros(self.budget_month)
        if all(limit is None for limit in (self.max_calls, self.call_rate, day, month)):
            return None
        rate = None if self.call_rate is None else _RATE.fullmatch(self.call_rate)
        return Quota(
            QuotaScope.PROCESS,
            held=self.max_calls,
            rate=None
            if rate is None
            else Rate(int(rate["count"]), int(rate["time"]) * _UNITS[rate["unit"]]),
            day=day,
            month=month,
            warn_at=_WARN_AT,
        )

    @field_validator("budget_day", "budget_month")
    @classmethod
    def _sum(cls, value: str | None) -> str | None:
        if value is not None and _SUM.fullmatch(value) is None:
            raise ValueError("is no sum of money: write it as in 500 USD")
        return value

    @field_validator("openai_org_id", "openai_project_id")
    @classmethod
    def _header_value(cls, value: str | None) -> str | None:
        if value is not None and not (value.isascii() and value.isprintable()):
            raise ValueError("is not the value of a header")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, VariableOrFile(settings_cls)


class VariableOrFile(PydanticBaseSettingsSource):
    """`NAME`, else the contents of the file that `NAME_FILE` names.

    An empty variable counts as unset, as in most container platforms.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = str(field.validation_alias)
        return value_of(name, _ALSO.get(name)), name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field_name, field in self.settings_cls.model_fields.items():
            value, name, _ = self.get_field_value(field, field_name)
            if value is not None:
                found[name] = value
        return found


def value_of(name: str, also: str | None = None) -> str | None:
    """What a variable says, itself or by its file, or the one that is `also` asked; None where both
    are unset. Raises SettingsError."""
    path = file_of(name)
    if path is not None:
        return _contents(f"{name}_FILE", path)
    value = os.environ.get(name) or None
    return value_of(also) if value is None and also is not None else value


def database_url() -> str | None:
    """Where records are kept, as the environment says. Raises SettingsError."""
    return value_of(DATABASE_VARIABLE, _ALSO[DATABASE_VARIABLE])


def file_of(name: str) -> Path | None:
    """The file that a variable's value comes from, None where it is given directly."""
    path = os.environ.get(f"{name}_FILE")
    return Path(path) if path and not os.environ.get(name) else None


def read() -> Settings:
    """The settings of this process's environment. Raises SettingsError that names each bad one."""
    try:
        return Settings()
    except ValidationError as invalid:
        problems = (
            f"{error['loc'][0]}: {error['msg']}" if error["loc"] else error["msg"]
            for error in invalid.errors(
                include_url=False, include_input=False, include_context=False
            )
        )
        raise SettingsError(tuple(problems)) from None


def _contents(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_FILE + 1)
        text = raw.decode("utf-8").strip()
    except OSError as error:
        raise SettingsError((f"{name}: {path}: {error.strerror}",)) from error
    except UnicodeDecodeError as error:
        raise SettingsError((f"{name}: {path}: is not UTF-8 text",)) from error
    if len(raw) > _LARGEST_FILE:
        raise SettingsError((f"{name}: {path}: is larger than {_LARGEST_FILE} bytes",))
    return text


def _micros(money: str | None) -> int | None:
    """Micro-dollars of a sum of money."""
    written = None if money is None else _SUM.fullmatch(money)
    return None if written is None else int(Decimal(written["dollars"]) * 1_000_000)
