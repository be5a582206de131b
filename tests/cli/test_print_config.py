"""`sipagent print-config`: merged, stable, and without a secret."""

import yaml

from tests.cli.support import Place


def printed(place: Place, *words: str) -> dict[str, object]:
    result = place.run("print-config", *words)
    assert result.exit_code == 0, result.output
    return yaml.safe_load(result.stdout)  # type: ignore[no-any-return]


def test_agents_have_what_models_defaults_and_extends_give(place: Place) -> None:
    place.change("  model: standard\n", "  model: standard\n  noise_reduction: near_field\n")
    agent = printed(place)["agents"]["acme/store"]  # type: ignore[index]
    instructions = agent.pop("instructions")
    assert {text.partition("\n")[0] for text in instructions.values()} == {
        "You are {{ vars.brand }}."
    }
    assert "Speak Spanish (es)" in instructions["es"]
    assert agent == {
        "model": "gpt-realtime-2.1",
        "noise_reduction": "near_field",
        "voice": "marin",
        "languages": ["en", "es"],
        "greeting": {"en": "Hello", "es": "Hola"},
        "disclosure": {
            "en": "I'm {{ vars.brand }}'s virtual assistant.",
            "es": "Soy el asistente virtual.",
        },
        "vars": {"brand": "Acme Hardware"},
    }


def test_numbers_say_where_they_lead(place: Place) -> None:
    numbers = printed(place)["numbers"]
    assert numbers["+17134810111"] == {  # type: ignore[index]
        "tenant": "acme",
        "rules": [
            {"when": "hours: weekdays", "agent": "store"},
            {"when": "caller: +1406*", "reject": 603},
            {"forward": "call_centre"},
        ],
    }
    assert list(numbers)[-1] == "default"  # type: ignore[call-overload]


def test_one_number_and_one_agent(place: Place) -> None:
    only = printed(place, "--number", "17134810199")
    assert list(only["agents"]) == ["beta/night"]  # type: ignore[call-overload]
    assert list(only["tenants"]) == ["beta"]  # type: ignore[call-overload]
    only = printed(place, "--agent", "acme/store")
    assert list(only["numbers"]) == ["+17134810111", "+17134810122", "+1713482*"]  # type: ignore[call-overload]
    assert place.run("print-config", "--agent", "acme/stor").exit_code == 2
    assert place.run("print-config", "--number", "5").exit_code == 2
    assert place.run("print-config", "--number", "5", "--agent", "a").exit_code == 2


def test_a_number_whose_rules_may_not_hold_leads_to_the_agent_of_default(place: Place) -> None:
    place.change("default: {reject: 404}", "default: night")
    only = printed(place, "--number", "17134810199")
    assert list(only["agents"]) == ["beta/night", "default/night"]  # type: ignore[call-overload]


def test_no_secret_and_no_value_of_the_environment_is_printed(place: Place) -> None:
    place.change(
        "    max_concurrent_calls: 900", "    base_url: ${ROOT}\n    organization: ${ORG:-none}"
    )
    place.change(
        "greeting: The virtual",
        "tools: [{http: {name: t, url: 'https://x.example/', headers: {X-Key: '${KEY}'}}}], "
        "greeting: The virtual",
    )
    secrets = {"ROOT": "https://root.example", "KEY": "hidden-key", "US_HOOKS": "hidden-hook"}
    result = place.run("print-config")
    assert result.exit_code == 78
    import os
    from unittest import mock

    with mock.patch.dict(os.environ, secrets):
        text = place.run("print-config").stdout
    assert "hidden" not in text
    assert "whsecondary" not in text
    assert "sk-one" not in text
    data = yaml.safe_load(text)
    assert data["accounts"]["us-1"] == {
        "api_keys": {"file": "us-1.keys"},
        "webhook_secrets": "${US_HOOKS}",
        "base_url": "${ROOT}",
        "organization": "${ORG}",
    }
    tool = data["agents"]["beta/night"]["tools"][0]["http"]
    assert tool["headers"] == {"X-Key": "${KEY}"}


def test_the_output_is_the_same_each_time(place: Place) -> None:
    first = place.run("print-config").stdout
    assert place.run("print-config").stdout == first


def test_a_destination_that_reads_the_tenants_own_value_is_shown_as_it_is_written(
    place: Place,
) -> None:
    text = place.acme.read_text().replace("vars: {", 'vars: {desk: "+17135550112", ')
    own = 'destinations:\n  own_desk: {to: "{{ vars.desk }}"}\n'
    place.acme.write_text(text.replace("destinations:\n", own))
    tenants = printed(place)["tenants"]
    assert tenants["acme"]["destinations"]["own_desk"]["to"] == "{{ vars.desk }}"  # type: ignore[index]
