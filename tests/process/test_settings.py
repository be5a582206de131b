"""The process's environment: names, files, defaults, and what is said of bad values."""

from pathlib import Path

import pytest

from sipagent import settings
from sipagent.app import build
from sipagent.environment import environment_account
from sipagent.errors import SettingsError
from sipagent.model import Quota, QuotaScope, Rate
from sipagent.providers.openai.webhooks import WebhookSecrets
from sipagent.testing import a_table

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NAMES = [field.validation_alias for field in settings.Settings.model_fields.values()]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(str(name), raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


def test_the_defaults_are_the_documented_ones() -> None:
    read = settings.read()
    assert (read.host, read.port, str(read.config)) == ("0.0.0.0", 8000, "config/agents.yaml")
    assert (read.ring_window, read.drain_timeout) == (120, 3600)
    assert read.openai_base_url == "https://api.openai.com/v1"


def test_a_value_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-from-file\n")
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(tmp_path / "key"))
    key = settings.read().openai_api_key
    assert key is not None
    assert key.get_secret_value() == "sk-from-file"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-direct")
    key = settings.read().openai_api_key
    assert key is not None
    assert key.get_secret_value() == "sk-direct"


def test_an_empty_variable_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    assert settings.read().port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"),
        ("PORT", "70000"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("SIPAGENT_ENGINE", "nats://localhost"),
        ("SIPAGENT_RING_WINDOW", "0"),
        ("SIPAGENT_DRAIN_TIMEOUT", "-1"),
        ("OPENAI_BASE_URL", "api.openai.com"),
        ("OPENAI_BASE_URL", "https://["),
        ("OPENAI_BASE_URL", "http://h:99999/v1"),
        ("OPENAI_BASE_URL", "https://h/v1?x=1"),
        ("OPENAI_BASE_URL", "https://user:pw@h/v1"),
        ("OPENAI_BASE_URL", "https://h\u00e9/v1"),
        ("OPENAI_ORG_ID", "org\n1"),
        ("AZURE_OPENAI_ENDPOINT", "acme.openai.azure.com"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://["),
        ("SIPAGENT_TRACES", "sometimes"),
        ("SIPAGENT_TRACE_CONTENT", "some"),
        ("OPENAI_API_KEY_FILE", "/does/not/exist"),
    ],
)
def test_a_bad_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        settings.read()


def test_all_bad_values_are_named_at_once_and_none_is_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PORT", "s3cret")
    monkeypatch.setenv("LOG_LEVEL", "s3cret")
    with pytest.raises(SettingsError) as refused:
        settings.read()
    assert len(refused.value.problems) == 2
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 70_000])
def test_a_file_that_is_no_short_text_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(SettingsError, match="OPENAI_API_KEY_FILE"):
        settings.read()


def test_an_account_needs_a_key_and_a_secret() -> None:
    with pytest.raises(SettingsError) as refused:
        environment_account(settings.read())
    assert str(refused.value) == ("OPENAI_API_KEY: is not set\nOPENAI_WEBHOOK_SECRET: is not set")


def test_a_secret_that_can_never_verify_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", "plain-secret")
    with pytest.raises(SettingsError, match="OPENAI_WEBHOOK_SECRET") as refused:
        environment_account(settings.read())
    assert "plain-secret" not in str(refused.value)


@pytest.mark.parametrize("key", ["sk-\u00e9", "sk-\n1", "sk- 1"])
def test_a_key_that_no_header_can_carry_is_refused(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", SECRET)
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        environment_account(settings.read())


def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", SECRET)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(SettingsError, match="ALL_PROXY"):
        build(settings.read(), a_table())


def test_several_secrets_are_separated_by_space_or_comma(monkeypatch: pytest.MonkeyPatch) -> None:
    other = "whsec_" + "A" * 32
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", f"{SECRET}, {other}")
    account = environment_account(settings.read())
    assert len(WebhookSecrets.parse(*account.webhook_secrets.read())) == 2
    assert "sk-x" not in repr(account)
    assert SECRET not in repr(account)


def test_what_all_calls_of_the_process_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.read().process_quota is None
    monkeypatch.setenv("SIPAGENT_MAX_CALLS", "900")
    monkeypatch.setenv("SIPAGENT_CALL_RATE", "600/10m")
    monkeypatch.setenv("SIPAGENT_BUDGET_DAY", "500 USD")
    monkeypatch.setenv("SIPAGENT_BUDGET_MONTH", "9000.50 USD")
    quota = settings.read().process_quota
    sums = {"day": 500_000_000, "month": 9_000_500_000, "warn_at": (8_000,)}
    assert quota == Quota(QuotaScope.PROCESS, held=900, rate=Rate(600, 600.0), **sums)
    monkeypatch.setenv("SIPAGENT_MAX_CALLS", "0")
    monkeypatch.setenv("SIPAGENT_CALL_RATE", "often")
    monkeypatch.setenv("SIPAGENT_BUDGET_DAY", "500 EUR")
    with pytest.raises(SettingsError) as refused:
        settings.read()
    assert len(refused.value.problems) == 3
    assert "SIPAGENT_BUDGET_DAY: Value error, is no sum of money: write it as in 500 USD" in str(
        refused.value
    )
    assert "SIPAGENT_CALL_RATE: Value error, is no rate: write it as in 600/1m" in str(
        refused.value
    )


def test_an_azure_resource_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://acme.openai.azure.com/")
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", SECRET)
    with pytest.raises(SettingsError) as refused:
        environment_account(settings.read())
    assert str(refused.value) == "AZURE_OPENAI_API_KEY: is not set"
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "k-1")
    account = environment_account(settings.read())
    assert (account.provider, account.base_url) == (
        "azure",
        "https://acme.openai.azure.com/openai/v1",
    )
    assert account.webhook_secrets.read() == (SECRET,)
    monkeypatch.setenv("AZURE_OPENAI_WEBHOOK_SECRET", "whsec_" + "A" * 32)
    account = environment_account(settings.read())
    assert account.webhook_secrets.read() == ("whsec_" + "A" * 32,)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    with pytest.raises(SettingsError, match="OPENAI_API_KEY and AZURE_OPENAI_ENDPOINT"):
        environment_account(settings.read())


def test_a_key_from_a_file_is_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("sk-1\n")
    monkeypatch.setenv("OPENAI_API_KEY_FILE", str(path))
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", SECRET)
    account = environment_account(settings.read())
    path.write_text("sk-2\n")
    assert account.api_keys is not None
    assert account.api_keys.read() == ("sk-2",)


REDIS = {"SIPAGENT_ENGINE": "redis://:s3cret@r", "SIPAGENT_DATABASE_URL": "postgresql://p/n"}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"SIPAGENT_ENGINE": "redis://:s3cret@r"}, "SIPAGENT_DATABASE_URL"),
        (REDIS | {"SIPAGENT_DATABASE_URL": "sqlite:///r.sqlite"}, "SIPAGENT_DATABASE_URL"),
        (REDIS | {"SIPAGENT_HEARTBEAT": "2"}, "SIPAGENT_HEARTBEAT"),
        ({"SIPAGENT_DRAIN": "handover"}, "SIPAGENT_ENGINE"),
        ({"SIPAGENT_DRAIN": "wait"}, "SIPAGENT_DRAIN"),
        ({"SIPAGENT_LEASE": "0.1"}, "SIPAGENT_LEASE"),
    ],
)
def test_settings_of_replicas_that_do_not_fit_are_told(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=named) as refused:
        settings.read()
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("drain", "hands_over"), [(None, True), ("handover", True), ("hold", False), ("HOLD", False)]
)
def test_replicas_hand_over_unless_they_are_to_hold(
    monkeypatch: pytest.MonkeyPatch, drain: str | None, *, hands_over: bool
) -> None:
    for name, value in (REDIS | ({} if drain is None else {"SIPAGENT_DRAIN": drain})).items():
        monkeypatch.setenv(name, value)
    chosen = settings.read()
    assert chosen.redis_url == "redis://:s3cret@r"
    assert chosen.hands_over is hands_over
    assert "s3cret" not in repr(chosen)


@pytest.mark.parametrize(
    ("given", "traced"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "SIPAGENT_TRACES": "OFF"}, False),
        ({"SIPAGENT_TRACES": "on"}, True),
    ],
)
def test_calls_are_traced_where_a_collector_is_named_or_it_is_said(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], *, traced: bool
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert settings.read().traced is traced


def test_one_process_needs_no_redis() -> None:
    chosen = settings.read()
    assert (chosen.redis_url, chosen.hands_over) == (None, False)
