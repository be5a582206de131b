"""`sipagent plan`: what changes, by meaning, and what it means for calls that came before."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sipagent.config import load
from sipagent.config.report.difference import difference
from tests.cli.support import Place


@pytest.fixture
def candidate(place: Place) -> Path:
    """The same files in another folder."""
    folder = place.folder.parent / "candidate"
    shutil.copytree(place.folder, folder)
    return folder / "agents.yaml"


def changed(place: Place, candidate: Path, *changes: tuple[str, str]) -> list[str]:
    """What is reported once these texts of any file have been replaced."""
    for old, new in changes:
        files = [path for path in candidate.parent.rglob("*.yaml") if old in path.read_text()]
        assert files, old
        for path in files:
            place.change(old, new, path)
    result = place.run("plan", str(candidate))
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()[1:]


def test_nothing_changes_between_equal_files(place: Place, candidate: Path) -> None:
    place.change("version: 1\n", "# a comment\nversion: 1\n", candidate)
    result = place.run("plan", str(candidate), "--exit-code")
    version = load(place.main).table.config_hash
    assert (result.exit_code, result.stdout) == (0, f"{version} -> {version}\nnothing changes\n")
    assert "Nothing changes." in place.run("plan", str(candidate), "--format", "github").stdout


def test_numbers_that_come_go_and_move(place: Place, candidate: Path) -> None:
    lines = changed(
        place,
        candidate,
        ('"+1 713 481 0122": {tenant: acme, trunk: twilio-us', '"+1 713 481 0144": {tenant: acme'),
        ("default: {reject: 404}", "default: {reject: 480}"),
        ("- {when: {hours: office}, agent: night}", "- {when: {hours: not office}, agent: night}"),
    )
    assert lines == [
        "numbers",
        "  - +17134810122: agent store",
        "  + +17134810144: agent store",
        (
            '  ~ +17134810199: calls "when hours: office: agent night" -> "when hours: not office:'
            ' agent night"'
        ),
        '  ~ default: calls "reject 404" -> "reject 480"',
    ]


def test_personas_by_their_leaves_with_the_numbers_they_answer(
    place: Place, candidate: Path
) -> None:
    lines = changed(
        place,
        candidate,
        ("voice: marin", "voice: ash"),
        ("Say good night.", '"Say good night.\\nSlowly.\\n"'),
        ('es: "Hola"', 'es: "Buenas"'),
        ("brand: Acme Hardware", "brand: Acme"),
    )
    assert lines == [
        "agents",
        (
            "  ~ acme/store (3 numbers): voice marin -> ash; greeting.es Hola -> Buenas;"
            ' vars.brand "Acme Hardware" -> Acme'
        ),
        (
            "  ~ beta/night (1 number), default/night (0 numbers): voice marin -> ash;"
            " instructions +1 -0 lines"
        ),
    ]


def test_all_other_sections(place: Place, candidate: Path) -> None:
    lines = changed(
        place,
        candidate,
        ("version: 1\n", "version: 1\n"),
        ("voice: marin}", "voice: marin}\n  eco: {model: m}"),
        ("  model: standard\n", "  model: standard\n  region: US\n"),
        ("timezone: America/Chicago", "timezone: America/Denver, max_concurrent_calls: 9"),
        ('office: {mon-fri: "09:00-18:00"}', 'office: {mon-thu: "09:00-18:00"}'),
        ("+1 800 555 0100", "+1 800 555 0101"),
        ("3/10m", "4/10m"),
        ("us-1.keys", "us-2.keys"),
        ("max_concurrent_calls: 900", "max_concurrent_calls: 901"),
        ("${US_HOOKS:-whsecondary}", "${EU_HOOKS}"),
        ("X-Trunk-Key, file: twilio.key", "X-Trunk-Key, file: t.key"),
    )
    assert lines == [
        "defaults",
        "  + region",
        "destinations",
        '  ~ acme/call_centre: to "+1 800 555 0100" -> "+1 800 555 0101"',
        "hours",
        '  ~ office: open "fri 09:00-18:00" -> "fri closed"',
        "tenants",
        "  ~ acme: timezone America/Chicago -> America/Denver; max_concurrent_calls (none) -> 9",
        "trunks",
        "  ~ twilio-us: secret twilio.key -> t.key",
        "  ~ wavix-eu: per_caller 3/10m -> 4/10m",
        "accounts",
        (
            "  ~ us-1: api_keys us-1.keys -> us-2.keys; webhook_secrets ${US_HOOKS} -> ${EU_HOOKS};"
            " max_concurrent_calls 900 -> 901"
        ),
    ]


def test_the_lines_of_a_log_hold_no_number_and_no_value(place: Place, candidate: Path) -> None:
    text = (
        candidate.read_text().replace("481 0122", "481 0144").replace("voice: marin", "voice: ash")
    )
    candidate.write_text(text.replace("default: {reject: 404}", "default: {reject: 480}"))
    lines = difference(load(place.main), load(candidate)).lines()
    assert lines == [
        "1 number removed",
        "1 number added",
        "1 number changed: calls",
        "agents acme/store, beta/night, default/night changed: voice",
    ]


def test_what_is_only_written_is_not_compared_with_nothing(place: Place) -> None:
    whole = load(place.main)
    place.change("acme: {", "acme: {grants: {http_hosts: [api.example]}, ")
    other = load(place.main)
    assert difference(whole, other)
    assert not difference(whole, replace(other, gathered=None))
    assert not difference(replace(other, gathered=None), whole)


def test_a_change_that_many_numbers_share_is_told_once(place: Place, candidate: Path) -> None:
    for path in (place.main, candidate):
        numbers = "".join(
            f'  "+1 713 489 {at:04}": {{tenant: beta, agent: night}}\n' for at in range(400)
        )
        place.change("  default: {reject", numbers + "  default: {reject", path)
    place.change("{tenant: beta, agent: night}", "{tenant: beta, reject: 480}", candidate)
    result = place.run("plan", str(candidate))
    (line,) = [line for line in result.stdout.splitlines() if "+1713489" in line]
    assert line.endswith('and 395 more: calls "agent night" -> "reject 480"')
    told = place.json("plan", str(candidate))["changes"]
    assert len([change for change in told if change["section"] == "numbers"]) == 400


def event(number: str, *more: dict[str, str]) -> dict[str, object]:
    headers = [{"name": "To", "value": f"<sip:{number}@x>"}, *more]
    data = {"call_id": f"rtc_{number[1:]}", "sip_headers": headers}
    return {"type": "realtime.call.incoming", "created_at": 1790089200, "data": data}


def test_stored_calls_are_decided_under_both(place: Place, candidate: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    trunk = {"name": "X-Trunk-Key", "value": "proof"}
    (calls / "a.json").write_text(json.dumps(event("+17134810122", trunk)))
    several = [event("+17134810111"), event("+17134810199"), {"type": "batch.completed"}]
    (calls / "b.json").write_text(json.dumps(several))
    (calls / "c.json").write_text("\n".join(json.dumps(one) for one in several[:2]))
    (candidate.parent / "twilio.key").unlink()  # as where a review runs
    theirs = candidate.parent / "tenants" / "acme" / "tenant.yaml"
    place.change('"09:00-18:00", sat', '"10:30-18:00", sat', theirs)
    result = place.run("plan", str(candidate), "--replay", str(calls), "--exit-code")
    assert result.exit_code == 1
    forward = "forward acme/call_centre tel:+18005550100"
    assert result.stdout.splitlines()[-3:] == [
        "2 of 5 stored calls would be decided otherwise",
        f"  b.json: +17134810111: agent acme/store (en) -> {forward}",
        f"  c.json: +17134810111: agent acme/store (en) -> {forward}",
    ]
    told = place.json("plan", str(candidate), "--replay", str(calls / "b.json"))
    assert (told["calls"], len(told["decided"])) == (2, 1)
    markdown = place.run(
        "plan", str(candidate), "--replay", str(calls), "--format", "github"
    ).stdout
    assert "| `b.json` | +17134810111 | agent acme/store (en) | forward" in markdown
    assert "```diff\n# hours\n! acme/weekdays: open" in markdown
    (calls / "d.json").write_text('{"type": "realtime.call.incoming", "data": {}}')
    bad = place.run("plan", str(candidate), "--replay", str(calls))
    assert bad.exit_code == 2
    assert "d.json: data.call_id" in bad.stderr


def test_a_file_that_cannot_be_used(place: Place, candidate: Path) -> None:
    place.change("version: 1", "version: 2", candidate)
    result = place.run("plan", str(candidate))
    assert result.exit_code == 78
    assert result.stderr.startswith(f"{candidate}:1:10: version: ")


def test_what_differs_is_within_what_is_shown(place: Place, candidate: Path) -> None:
    rule = (
        "{when: {caller: ['+1406*', '+1407*', '+1408*', '+1409*', '+1410*', '+1411*', '+1412*']},"
    )
    for file, word in ((place.main, "a; b"), (candidate, "a; c")):
        place.change(
            '{when: {caller: "+1406*"}, reject: 603}',
            f"{rule} agent: night, vars: {{x: '{word}'}}}}",
            file,
        )
        place.change("agents:\n  night: {", "agents:\n  night: {vars: {x: {default: z}}, ", file)
    lines = place.run("plan", str(candidate)).stdout.splitlines()
    assert lines[-1] == '  ~ +17134810199: calls "...night, x=a; b" -> "...night, x=a; c"'


def test_what_agents_can_do_is_compared(place: Place, candidate: Path) -> None:
    tools = "tools: [hang_up, {http: {name: look, url: 'https://a.example', timeout: 3s}}]"
    place.change("  night: {", f"  night: {{{tools}, silence: {{after: 9s}}, ")
    more = "{http: {name: look, url: 'https://a.example', requires: {attestation: B}}}"
    new = f"tools: [hang_up, {more}, wait], silence: {{after: 9s, say: Hello?}}"
    _, line = changed(place, candidate, ("  night: {", f"  night: {{{new}, "))
    told = re.sub(r"\([0-9a-f]{8}\)", "(...)", line)
    assert 'tools.look "POST https://a.example (...)" -> "POST https://a.example; needs' in told
    assert 'silence "after 9s: in its own words, 2 questions" -> "after 9s: "Hello?", 2' in told
    assert 'tools.wait (none) -> "wait (...)"' in told
    assert "hang_up" not in told
