"""What a tenant's `privacy` becomes: for its calls, its records and the version's name."""

from pathlib import Path

import pytest

from sipagent.config import Loaded
from sipagent.model import PRIVACY, Privacy, Redaction, TenantName
from sipagent.model.privacy import DAY
from tests.config.support import loaded, plan, told, write

MAIN = """\
version: 1
defaults: {{model: gpt-realtime-2.1}}
tenants:
  acme: {{privacy: {privacy}}}
  beta: {{}}
agents: {{a: {{instructions: Be kind.}}}}
numbers:
  "+17134810111": {{tenant: acme, agent: a}}
  "+17134810122": {{tenant: beta, agent: a}}
"""


def configured(folder: Path, privacy: str) -> Loaded:
    return loaded(folder, {"agents.yaml": MAIN.format(privacy=privacy)})


@pytest.mark.parametrize(
    ("written", "privacy"),
    [
        ("{}", Privacy()),
        ("{transcripts: 7d}", Privacy(transcripts=7 * DAY)),
        ("{records: 400d}", Privacy(records=400 * DAY)),
        ("{records: 7d}", Privacy(transcripts=7 * DAY, records=7 * DAY)),
        ("{numbers_at_rest: hmac}", Privacy(hmac=True)),
        ("{numbers_at_rest: plain}", Privacy()),
        ("{redact: [ssn, card, ssn]}", Privacy(redact=(Redaction.CARD, Redaction.SSN))),
        ("{redact: [ssn]}", Privacy(redact=(Redaction.SSN,))),
        ("{redact: []}", Privacy(redact=())),
    ],
)
def test_privacy_is_compiled(written: str, privacy: Privacy, tmp_path: Path) -> None:
    tenants = configured(tmp_path, written).table.tenants
    assert tenants[TenantName("acme")].privacy == privacy
    assert tenants[TenantName("beta")].privacy == PRIVACY == Privacy(30 * DAY)


def test_a_tenant_that_is_gone_from_the_file_shows_no_numbers(tmp_path: Path) -> None:
    table = configured(tmp_path, "{transcripts: 7d}").table
    assert table.privacy(TenantName("acme")) == Privacy(transcripts=7 * DAY)
    assert table.privacy(TenantName("gone")) == Privacy(hmac=True)


def test_a_plan_says_what_is_left_out_of_the_words_of_its_call(tmp_path: Path) -> None:
    config = configured(tmp_path, "{redact: [card]}")
    assert plan(config, "+17134810111").redact == (Redaction.CARD,)
    assert plan(config, "+17134810122").redact == (Redaction.CARD, Redaction.SSN)


def test_each_change_of_it_is_another_version(tmp_path: Path) -> None:
    texts = [
        "{}",
        "{transcripts: 7d}",
        "{records: 90d}",
        "{numbers_at_rest: hmac}",
        "{redact: [ssn]}",
    ]
    hashes = {configured(tmp_path, text).table.config_hash for text in texts}
    assert len(hashes) == len(texts)


def test_words_are_not_kept_longer_than_their_records(tmp_path: Path) -> None:
    text = MAIN.format(privacy="{transcripts: 31d, records: 30d}")
    (finding,) = told(write(tmp_path, {"agents.yaml": text}))
    place, message = "agents.yaml:4:33: tenants.acme.privacy.transcripts: ", "words cannot be kept"
    assert finding == f"{place}{message} longer than the records that they belong to"
