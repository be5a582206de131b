"""The examples of docs/accounts.md are complete files, and mean what the page says."""

import re
from pathlib import Path

import pytest

from sipagent.config import parse
from sipagent.providers.accounts import ClientSecret, FederatedToken, ManagedIdentity

PAGE = (Path(__file__).parents[2] / "docs" / "accounts.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_is_a_whole_file(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("US_1_KEY", "sk-1")
    monkeypatch.setenv("US_1_HOOK", "whsec_" + "A" * 32)
    loaded = parse(example, file="agents.yaml", base=Path.cwd())
    assert loaded.accounts
    for spec in loaded.accounts:
        assert spec.base_url in (
            "https://api.openai.com/v1",
            "https://eu.api.openai.com/v1",
            "https://acme.openai.azure.com/openai/v1",
        )


def test_each_way_to_an_entra_token_is_shown() -> None:
    loaded = [parse(text, file="agents.yaml", base=Path.cwd()) for text in EXAMPLES[3:]]
    identities = [spec.entra.identity for one in loaded for spec in one.accounts if spec.entra]
    assert [type(one) for one in identities] == [ClientSecret, FederatedToken, ManagedIdentity]
