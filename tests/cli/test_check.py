"""`sipagent check`: findings and warnings, for people, programs and reviews."""

import pytest

from sipagent.cli.check import annotation
from sipagent.errors import Finding
from tests.cli.support import Place

TODAY = ("--today", "2026-11-21")


def warnings(place: Place, *words: str) -> list[str]:
    result = place.run("check", *(words or TODAY))
    assert result.exit_code == 0, result.output
    text = result.stdout.replace(f"{place.folder}/", "")
    return [line.removeprefix("warning: ") for line in text.splitlines() if "warning: " in line]


def test_a_clean_file_is_summed_up(place: Place) -> None:
    place.change("fallback: call_centre\n", "", place.acme)
    place.change("agents:\n  night", "destinations: {desk: '+17135550100'}\nagents:\n  night")
    place.change("    max_concurrent_calls: 900\n", "")
    result = place.run("check", str(place.main), *TODAY, "--strict")
    assert result.exit_code == 0
    assert result.stdout.startswith(
        f"{place.main}: usable: 3 agents, 4 numbers, 2 tenants, version "
    )
    assert len(result.stdout.splitlines()) == 1


def test_findings_are_printed_as_everywhere_and_end_with_1(place: Place) -> None:
    place.change("greeting:", "greting:")
    result = place.run("check")
    assert result.exit_code == 1
    finding, summary = result.stdout.splitlines()
    assert finding == (
        f'{place.main}:21:42: agents.night.greting: unknown key (did you mean "greeting"?)'
    )
    assert summary == f"{place.main}: not usable: 1 finding"


def test_findings_as_json_and_for_github(place: Place) -> None:
    place.change("greeting:", "greting:")
    (found,) = place.json("check")
    assert (found["kind"], found["line"], found["column"]) == ("error", 21, 42)
    assert found["path"] == "agents.night.greting"
    result = place.run("check", "--format", "github")
    assert result.exit_code == 1
    assert result.stdout == (
        f"::error file={place.main},line=21,col=42::agents.night.greting: unknown key"
        ' (did you mean "greeting"?)\n'
    )


def test_annotations_are_escaped_as_the_runner_reads_them() -> None:
    finding = Finding("a:b,c.yaml", 3, 4, "x", "100%\r\nof it: a, b", None)
    assert annotation("warning", finding) == (
        "::warning file=a%3Ab%2Cc.yaml,line=3,col=4::x: 100%25%0D%0Aof it: a, b"
    )


def test_warnings_of_the_loader_are_told_and_strict_counts_them(place: Place) -> None:
    place.change("{when: {hours: office}, agent: night}", "night")
    place.change("agents:\n  night", "destinations: {desk: '+17135550100'}\nagents:\n  night")
    (warning,) = warnings(place)
    assert "this rule is never reached" in warning
    assert place.run("check", *TODAY, "--strict").exit_code == 1


@pytest.mark.parametrize(
    ("today", "told"),
    [
        ("2026-10-21", None),
        ("2026-10-22", "ends on 2027-01-20, in 90 days"),
        ("2027-01-19", "ends on 2027-01-20, in 1 day"),
        ("2027-01-20", "ended on 2027-01-20"),
    ],
)
def test_a_model_that_ends_is_told_once_with_its_numbers(
    place: Place, today: str, told: str | None
) -> None:
    place.change("model: gpt-realtime-2.1,", "model: gpt-realtime-mini,")
    found = [line for line in warnings(place, "--today", today) if "gpt-realtime-mini" in line]
    assert found == ([] if told is None else [
        (f'agents.yaml:12:21: models.standard.model: "gpt-realtime-mini" {told}; use'
        " gpt-realtime-2.1 or gpt-realtime-2.1-mini"
        " (4 numbers: +17134810111, +17134810122, +1713482* and 1 more)")
    ])  # fmt: skip


def test_a_transcription_model_that_ends_is_told_where_it_is_named(place: Place) -> None:
    place.change("  model: standard\n", "  model: standard\n  transcription: {model: whisper-1}\n")
    (found,) = [line for line in warnings(place, "--today", "2027-03-01") if "whisper" in line]
    assert found.startswith(
        'agents.yaml:15:26: defaults.transcription.model: "whisper-1" ended on 2027-02-26; use'
    )


def test_the_names_of_deployments_are_not_judged(place: Place) -> None:
    azure = "    provider: azure\n    endpoint: https://x.openai.azure.com\n"
    place.change("    api_keys: {", f"{azure}    api_keys: {{")
    place.change("  model: standard\n", "  model: gpt-realtime\n")
    assert [line for line in warnings(place) if "ends on" in line and "acme" in line] == []


def test_an_agent_whose_callers_reach_nobody_is_told_once(place: Place) -> None:
    another = '  "+17134810198": {tenant: beta, agent: night, trunk: any}\n'
    place.change("  default: {reject", f"{another}  default: {{reject")
    (found,) = warnings(place)
    assert found == (
        "agents.yaml:21:10: agents.night: no caller of beta/night can reach a person (neither a"
        " destination nor a fallback; 2 numbers: +17134810198, +17134810199)"
    )
    place.change("greeting: The", "tools: [{transfer: [desk]}], greeting: The")
    place.change("agents:\n  night", "destinations: {desk: '+17135550100'}\nagents:\n  night")
    assert warnings(place) == []


@pytest.mark.parametrize(
    ("greeting", "guessed"),
    [
        ("Good night.", True),
        ("This is Said from the maintenance team.", True),
        ("This is an AI.", False),
        ("You speak to our automated desk.", False),
        ("Le habla el asistente virtual.", False),
        ("null", True),
    ],
)
def test_first_words_that_do_not_say_who_speaks(place: Place, greeting: str, guessed: bool) -> None:
    place.change("greeting: The virtual night desk.", f"greeting: {greeting}")
    found = [line for line in warnings(place) if "machine" in line]
    assert bool(found) is guessed
    if found:
        assert "callers of beta/night may not learn that a machine speaks (a guess: " in found[0]


@pytest.mark.parametrize(("today", "verb"), [("2026-11-29", "end"), ("2026-11-30", "ended")])
def test_reusable_prompts_end(place: Place, today: str, verb: str) -> None:
    place.change("greeting: The", "prompt: {id: pmpt_1}, greeting: The")
    (found,) = [line for line in warnings(place, "--today", today) if "prompt" in line]
    assert (
        f"agents.night.prompt: reusable prompts {verb} on 2026-11-30 (write instructions)" in found
    )


def test_secrets_that_cannot_be_read_here_are_warnings(place: Place) -> None:
    place.change(":-whsecondary", "")
    (place.folder / "twilio.key").unlink()
    found = [line for line in warnings(place) if "cannot be read here" in line]
    assert found[0] == (
        "agents.yaml:6:22: accounts.us-1.webhook_secrets: cannot be read here: ${US_HOOKS}:"
        " is not set"
    )
    assert found[1].startswith(
        "agents.yaml:9:51: trunks.twilio-us.secret.file: cannot be read here"
    )
    assert len(found) == 2


def test_a_file_that_is_not_there(place: Place) -> None:
    result = place.run("check", "nowhere.yaml")
    told = "nowhere.yaml:1:1: the file does not exist (--config or SIPAGENT_CONFIG names another"
    assert (result.exit_code, result.stdout[: len(told)]) == (1, told)
    assert place.run("check", "--format", "xml").exit_code == 2


def test_a_model_that_is_almost_a_known_one(place: Place) -> None:
    place.change("model: standard", "model: standrd")
    place.change("model: gpt-realtime-2.1", "model: gpt-realtme-2.1")
    told = [line for line in warnings(place) if "is known" in line]
    assert told == [
        (
            'agents.yaml:12:21: models.standard.model: no model "gpt-realtme-2.1" is known'
            ' (did you mean "gpt-realtime-2.1"?)'
        ),
        'agents.yaml:14:10: defaults.model: no model "standrd" is known (did you mean "standard"?)',
    ]


def test_a_deployment_may_be_called_anything(place: Place) -> None:
    place.change(
        "  us-1:\n", "  us-1:\n    provider: azure\n    endpoint: https://x.openai.azure.com\n"
    )
    place.change(
        "greeting: {en:",
        "instructions: Be kind.\n    greeting: {en:",
        place.main.parent / "common" / "agents.yaml",
    )
    place.change("model: gpt-realtime-2.1", "model: gpt-realtme-2.1")
    assert not [line for line in warnings(place) if "is known" in line]


def test_a_header_that_no_trunk_exposes(place: Place) -> None:
    place.change("Say good night.", '\'{{ headers["x-store-id"] }} {{ headers["x-stor"] }}\'')
    told = [line for line in warnings(place) if "exposes" in line]
    assert told == [
        (
            'agents.yaml:21:25: agents.night.instructions: no trunk exposes the header "x-stor"'
            " (list it under a trunk's `expose`)"
        )
    ]


def test_models_of_which_no_price_is_known(place: Place) -> None:
    place.change(
        "standard: {model: gpt-realtime-2.1,",
        "spare: {model: mine}\n  standard: {model: gpt-realtime-3, fallback: spare,",
    )
    place.change("defaults:\n", "defaults:\n  transcription: {model: theirs}\n")
    told = [line for line in warnings(place) if "price" in line]
    assert told == [
        f'agents.yaml:{line}: {path}: there is no price of "{model}": costs stay unknown'
        " (write it under `prices`)"
        for line, path, model in (
            ("13:21", "models.standard.model", "gpt-realtime-3"),
            ("13:47", "models.standard.fallback", "mine"),
            ("15:26", "defaults.transcription.model", "theirs"),
        )
    ]
    prices = "prices: {version: v, models: {mine: {minute: 1}, theirs: {minute: 1}}}\n"
    place.change("models:\n", f"{prices}models:\n")
    told = [line for line in warnings(place) if "price" in line]
    assert [line.partition(": there")[0] for line in told] == [
        "agents.yaml:14:21: models.standard.model"
    ]
