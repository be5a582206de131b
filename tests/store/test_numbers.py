"""Numbers at rest: the same value for the same number of a tenant, and never for another's."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from sipagent.errors import SettingsError, StoreError
from sipagent.model import TenantName
from sipagent.store.numbers import (
    InstallationKey,
    StoredNumbers,
    installation_key,
    is_hashed,
)

ACME, BETA = TenantName("acme"), TenantName("beta")
KEY = InstallationKey(b"a key of this installation")
NUMBER = "+14065550100"


def test_a_number_of_a_tenant_is_always_the_same_value() -> None:
    numbers = StoredNumbers(KEY, lambda tenant: tenant == ACME)
    stored = numbers.stored(ACME, NUMBER)
    assert stored == numbers.stored(ACME, NUMBER) == numbers.stored(ACME, NUMBER[1:])
    assert stored == numbers.stored(ACME, "+1 (406) 555-0100")
    assert stored == "h:t6qzmuddzqczjftmuzp4daljyrqg7j5o"
    assert is_hashed(stored)
    assert not is_hashed(NUMBER)
    assert numbers.stored(BETA, NUMBER) == NUMBER
    assert numbers.spellings(ACME, NUMBER) == (NUMBER, stored)


def test_values_of_other_tenants_numbers_and_keys_are_others() -> None:
    keys = KEY, InstallationKey(b"another key of another one")
    values = {
        key.stored(tenant, key.fingerprint(number))
        for key in keys
        for tenant in (ACME, BETA)
        for number in (NUMBER, "+14065550101")
    }
    assert len(values) == 8
    assert all(len(value) >= 2 + 128 / 5 for value in values)


def test_the_key_does_not_show_itself() -> None:
    assert "installation" not in repr(StoredNumbers(KEY, lambda _: True))


def test_the_key_is_that_of_the_settings(tmp_path: Path) -> None:
    given = SecretStr("  0123456789abcdef\n")
    assert installation_key(given, tmp_path) == InstallationKey(b"0123456789abcdef")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("given", "told"), [("short", "is shorter than 16"), (None, "is not set")])
def test_a_key_that_is_none_is_told(given: str | None, told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"SIPAGENT_PRIVACY_KEY: {told}"):
        installation_key(None if given is None else SecretStr(given), tmp_path, file=False)


def test_without_one_the_data_directory_gets_a_key_of_its_own(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: installation_key(None, data), range(32)))
    (file,) = data.iterdir()
    assert keys == {InstallationKey(file.read_bytes().strip())}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert installation_key(None, tmp_path / "other") not in keys


@pytest.mark.parametrize("content", ["", "short"])
def test_a_damaged_key_file_is_told_and_kept(content: str, tmp_path: Path) -> None:
    file = tmp_path / "privacy.key"
    file.write_text(content)
    with pytest.raises(StoreError, match=r"privacy\.key: is shorter than 16 characters"):
        installation_key(None, tmp_path)
    assert file.read_text() == content
