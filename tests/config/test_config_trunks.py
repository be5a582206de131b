"""Trunks as they are written: forms, headers, secrets, and numbers whose calls prove nothing."""

from datetime import date
from pathlib import Path

import pytest

from sipagent.config.reload.live import LiveConfiguration
from sipagent.config.report.advice import advice_on
from tests.config.support import loaded, told, write

HEAD = "version: 1\ndefaults: {model: gpt-realtime-2.1%s}\n"
TAIL = "\nagents: {a: {instructions: Be kind., greeting: The AI., tools: [{transfer: [d]}]}}\n"
SIGNED = "trunks: {t: {secret: {header: X-Key, file: t.key}}, u: {secret: none, per_caller: 3/10m}}"


def files(main: str, numbers: str = "numbers: {default: a}", defaults: str = "") -> dict[str, str]:
    text = f"{HEAD % defaults}{main}{TAIL}destinations: {{d: '+17135550100'}}\n{numbers}\n"
    return {"agents.yaml": text, "t.key": "hunter2", "u.key": "hunter2\nhunter3"}


def unsigned(more: str) -> str:
    return f"trunks: {{t: {{secret: none, per_caller: 3/10m, {more}}}}}"


@pytest.mark.parametrize(
    "form",
    [
        "tel:{e164};ext=5",
        "sip:{e164}",
        "sip:{e164}@x?Replaces=1",
        "sip:{e164}@x;method=BYE",
        "tel:1",
    ],
)
def test_a_form_that_makes_no_target_is_refused(form: str, tmp_path: Path) -> None:
    (line,) = told(write(tmp_path, files(unsigned(f'refer: "{form}"'))))
    assert "trunks.t.refer: this is no form of a transfer's target" in line


@pytest.mark.parametrize("name", ["From", "f", "Via", "Call-ID", "P-Asserted-Identity", "Identity"])
def test_headers_with_a_meaning_of_their_own_are_refused(name: str, tmp_path: Path) -> None:
    secret = f"trunks: {{t: {{secret: {{header: {name}, file: t.key}}}}}}"
    for main in (secret, unsigned(f"dialed_header: {name}")):
        (line,) = told(write(tmp_path, files(main)))
        assert "means something else (choose one of your own" in line


@pytest.mark.parametrize("name", ["X-DID", "To", "Diversion", "History-Info", "P-Called-Party-ID"])
def test_headers_in_which_carriers_put_the_dialed_number_are_usable(
    name: str, tmp_path: Path
) -> None:
    assert loaded(tmp_path, files(unsigned(f"dialed_header: {name}")))


NUMBERS = 'numbers: {"+1 713 481 0111": a, "+1 713 481 0122": {forward: d}, default: {reject: 404}}'


def test_numbers_whose_calls_prove_nothing_are_told_once(tmp_path: Path) -> None:
    (warning,) = loaded(tmp_path, files(SIGNED, NUMBERS)).warnings
    assert str(warning).endswith(
        "trunks: calls to 2 numbers prove nothing: +17134810111, +17134810122 (each needs its "
        "`trunk`, or `trunk: any`; defaults.trunk is for all)"
    )


@pytest.mark.parametrize(
    ("numbers", "defaults", "expected"),
    [
        (NUMBERS, ", trunk: any", None),
        (NUMBERS, ", trunk: t", "t"),
        ('numbers: {"+1 713 481 0111": {agent: a, trunk: any}}', "", None),
        ('numbers: {"+1 713 481 0111": {agent: a, trunk: any}}', ", trunk: t", None),
        ('numbers: {"+1 713 481 0111": {agent: a, trunk: t}}', ", trunk: u", "t"),
    ],
)
def test_what_is_said_of_trunks_is_no_warning(
    numbers: str, defaults: str, expected: str | None, tmp_path: Path
) -> None:
    config = loaded(tmp_path, files(SIGNED, numbers, defaults))
    assert config.warnings == ()
    directory = next(iter(config.table.directories.values()))
    assert directory.exact["+17134810111"].trunk == expected


def test_a_table_says_any_too(tmp_path: Path) -> None:
    table = {"n.csv": "number,agent,trunk\n+17134810111,a,any\n+17134810122,a,\n"}
    config = loaded(tmp_path, {**files(SIGNED, "numbers: {table: n.csv}"), **table})
    (warning,) = config.warnings
    assert "calls to 1 number prove nothing: +17134810122" in str(warning)


def test_any_is_no_name_and_the_default_must_be_there(tmp_path: Path) -> None:
    lines = told(write(tmp_path, files("trunks: {any: {secret: none, per_caller: 1/1m}}")))
    assert "trunks.any: no trunk can be called any" in lines[0]
    lines = told(write(tmp_path, files(SIGNED, defaults=", trunk: x")))
    assert 'defaults.trunk: there is no trunk "x"' in lines[0]


TWINS = (
    "trunks: {t: {secret: {header: X-Key, file: t.key}}, "
    "u: {secret: {header: x-key, file: u.key}}, v: {secret: {header: X-Other, file: t.key}}}\n"
    "accounts: {a: {api_keys: {file: t.key}, webhook_secrets: {file: t.key}}, "
    "b: {api_keys: {file: t.key}, webhook_secrets: {file: u.key}}}\n"
    "tenants: {default: {account: a}}"
)


def test_secrets_that_are_the_same_are_told(tmp_path: Path) -> None:
    config = loaded(tmp_path, files(TWINS, defaults=", trunk: any"))
    found = [str(one) for one in advice_on(config, date(2026, 9, 1)).warnings]
    same = [line.partition(": ")[2].partition(" (")[0] for line in found if "same secret" in line]
    assert same == [
        "trunks.u.secret.file: trunks.t has the same secret",
        "accounts.b.webhook_secrets.file: accounts.a has the same secret",
    ] or same == [
        "trunks.u.secret.file: trunks.t has the same secret",
        "accounts.b.webhook_secrets: accounts.a has the same secret",
    ]
    assert "hunter" not in "".join(found)


def test_trunks_with_the_same_secret_are_a_trouble_while_calls_are_taken(tmp_path: Path) -> None:
    live = LiveConfiguration(write(tmp_path, files(TWINS, defaults=", trunk: any")))
    (trouble,) = live.status.troubles
    assert trouble == ("trunk:u", "same-secret", "proves nothing: t has the same")


AZURE = (
    "accounts: {az: {provider: azure, endpoint: 'https://x.example', api_keys: {file: t.key}, "
    "webhook_secrets: {file: u.key}}}\n"
)
SILENT = (
    "version: 1\n%sdestinations: {d: '+17135550100'}\n"
    "agents: {a: {instructions: Be kind., model: mine}}\nnumbers: {default: {forward: d}}\n"
)


def test_a_forward_on_azure_needs_a_deployment(tmp_path: Path) -> None:
    (line,) = told(write(tmp_path, {"agents.yaml": SILENT % AZURE}))
    assert "defaults.model: is missing: calls to default are forwarded by az" in line
    named = SILENT % (AZURE + "defaults: {model: mine}\n")
    assert loaded(tmp_path, {"agents.yaml": named})
    assert loaded(tmp_path, {"agents.yaml": SILENT % ""})


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        ("https://login.microsoftonline.us", True),
        ("http://127.0.0.1:8080", True),
        ("http://localhost:8080", True),
        ("http://login.microsoftonline.us", False),
        ("http://127.0.0.1.evil.example", False),
    ],
)
def test_a_clients_secret_travels_encrypted(url: str, usable: bool, tmp_path: Path) -> None:
    entra = f"entra: {{tenant_id: t, client_id: c, client_secret: {{file: s}}, authority: '{url}'}}"
    account = AZURE.replace("api_keys: {file: t.key}", entra)
    text = SILENT % (account + "defaults: {model: mine}\n")
    if usable:
        assert loaded(tmp_path, {"agents.yaml": text})
    else:
        (line,) = told(write(tmp_path, {"agents.yaml": text}))
        assert (
            "accounts.az.entra.authority: the client's secret would be sent there without" in line
        )


def test_a_destination_that_an_order_would_not_reach_is_told(tmp_path: Path) -> None:
    main = files("include: tenants/*/tenant.yaml\ntenants: {acme: {}}")
    own = {"tenants/acme/tenant.yaml": "tenant: acme\ndestinations: {d: '+17135550199'}\n"}
    found = [
        str(one) for one in advice_on(loaded(tmp_path, {**main, **own}), date(2026, 9, 1)).warnings
    ]
    assert [line for line in found if "tenant.yaml:2:19: destinations.d: the main file has" in line]
