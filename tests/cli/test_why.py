"""`sipagent why`: sentences on standard output, and the same as data."""

import time

import pytest

from sipagent.store import tables
from tests.cli.kept import keep
from tests.cli.support import Place
from tests.store.kept import CALLER, DIALED, a_call, an_alias, failed, rejected


@pytest.fixture(autouse=True)
def _no_other_records(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SIPAGENT_DATABASE_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_one_call_by_the_carriers_name_for_it(place: Place) -> None:
    keep(place, failed("rtc_1", detail="server_error"))
    keep(place, an_alias("rtc_1", "CA0123"), table=tables.aliases)
    result = place.run("why", "CA0123")
    assert result.exit_code == 0
    titles = [line for line in result.stdout.splitlines() if line and not line.startswith(" ")]
    assert titles == [
        *("What was decided", "What happened", "How it ended", "What it cost", "What to do")
    ]
    assert "  It ended after 1 min 00 s as failed.provider_error (server_error).\n" in result.stdout
    assert CALLER not in result.stdout
    assert DIALED not in result.stdout
    assert CALLER in place.run("why", "rtc_1", "--numbers").stdout
    data = place.json("why", "rtc_1")
    assert data["call_id"] == "rtc_1"
    assert data["ended"][-1] == "At fault: the provider."


def test_the_calls_of_the_last_hour(place: Place) -> None:
    now = time.time()
    rows = [
        failed(f"rtc_{at}", tenant=("acme", "beta")[at % 2], trunk="wavix-eu") for at in range(4)
    ]
    rows += [a_call(f"rtc_1{at}", trunk="twilio-us") for at in range(8)]
    rows.append(rejected("rtc_20", dialed="+17134810199", dialed_source="x-number"))
    times = {"began_at": now - 70, "ended_at": now - 10}
    keep(place, *(row | times for row in rows))
    keep(place, failed("rtc_old"))
    text = place.run("why", "--since", "1h").stdout
    assert "  13 calls ended from " in text
    assert "  4 of the 12 others failed or were lost (33 %).\n" in text
    assert "  8 lines closed at the same moment as others, as hang-ups seldom do.\n" in text
    assert "  One incident: 12 calls of 2 tenants ended within 0.0 s, from " in text
    assert "; all 12 calls that were held ended together; all on account us-1; at fault:" in text
    assert "  4 of 4 failed calls came by trunk wavix-eu; none of the others did.\n" in text
    assert "  4 calls: failed.provider_error, such as rtc_" in text
    assert '    "+17134810199": AGENT\n' in text
    assert "header x-number" in text
    mine = place.json("why", "--since", "1h", "--tenant", "beta")
    assert mine["counted"][0].startswith("2 calls ended from ")
    assert (mine["incidents"], mine["unrouted"]) == ([], [])


def test_a_quiet_hour(place: Place) -> None:
    keep(place)
    assert "No call ended from " in place.run("why", "--since", "1h").stdout


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("why",), 2, "give a CALL or --since, not both or neither"),
        (("why", "rtc_1", "--since", "1h"), 2, "give a CALL or --since, not both or neither"),
        (("why", "--since", "soon"), 2, '"soon" is no time'),
        (("why", "rtc_9"), 1, 'there is no call "rtc_9"'),
        (("why", "rtc_1", "--tenant", "beta"), 1, 'there is no call "rtc_1" of tenant "beta"'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_told(place: Place, words: tuple[str, ...], code: int, told: str) -> None:
    keep(place, a_call("rtc_1"))
    result = place.run(*words)
    assert result.exit_code == code
    assert told in " ".join(result.stderr.replace("│", " ").split())
