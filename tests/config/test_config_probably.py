"""What is probably not meant: warnings, and what is told once instead of again and again."""

from pathlib import Path

import pytest

from sipagent.config.models import SPEAKERS, meant_model
from sipagent.config.numbers import length_problem
from tests.config.support import loaded, told, write

MAIN = """\
version: 1
defaults: {model: gpt-realtime-2.1}
agents: {a: {}}
"""
ODD = "no number of this country has so many digits (one may be missing, or stand twice)"


@pytest.mark.parametrize(
    "number", ["+1713481012", "+171348101111", "+44207946095812", "+331234567890"]
)
def test_a_number_of_a_wrong_length_is_odd(number: str) -> None:
    assert length_problem(number) is not None


@pytest.mark.parametrize(
    "text",
    ["+17134810111", "+442079460958", "+390612345678", "+49301234567", "default", "101", "+1713*"],
)
def test_other_numbers_are_not(text: str) -> None:
    assert length_problem(text) is None


def test_lost_and_doubled_digits_are_told_where_they_stand(tmp_path: Path) -> None:
    main = MAIN + (
        "destinations: {desk: {to: '+1713555010', allow_any_number: true}, in: 'sip:1001@x'}\n"
        'numbers: {table: "n.csv", "+1 713 481 012": a, "+1 713 481 0111": a}\n'
    )
    table = "number,agent\n+1 713 481 0112,a\n+1 713 481 01111,a\n"
    config = loaded(tmp_path, {"agents.yaml": main, "n.csv": table})
    assert [str(each).replace(f"{tmp_path}/", "") for each in config.warnings] == [
        f"agents.yaml:4:27: destinations.desk.to: {ODD}",
        f'agents.yaml:5:27: numbers."+1 713 481 012": {ODD}',
        f"n.csv:3:1: number: {ODD}",
    ]


@pytest.mark.parametrize("to", ["+1713555010", "sip:+1713555010@x.example"])
def test_no_call_is_sent_to_a_number_with_lost_digits(to: str, tmp_path: Path) -> None:
    main = MAIN + f"destinations: {{desk: '{to}'}}\nnumbers: {{default: a}}\n"
    assert told(write(tmp_path, {"agents.yaml": main})) == [
        f"agents.yaml:4:22: destinations.desk: {ODD}"
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("standrd", "standard"),
        ("gpt-realtme-2.1", "gpt-realtime-2.1"),
        ("gpt-realtime-2.1-mni", "gpt-realtime-2.1-mini"),
        ("gpt-live-transcrib", "gpt-live-transcribe"),
        ("standard", None),
        ("gpt-realtime-2.2", None),
        ("gpt-realtime-2.1-large", None),
        ("our-deployment", None),
    ],
)
def test_the_model_that_was_probably_meant(name: str, meant: str | None) -> None:
    assert meant_model(name, ("standard",)) == meant


def test_no_known_model_is_taken_for_another() -> None:
    assert [name for name in SPEAKERS if meant_model(name, ())] == []


TENANT = {
    "agents.yaml": MAIN
    + "tenants: {acme: {}}\ninclude: tenants/*/tenant.yaml\n"
    + "numbers: {table: n.csv, default: a}\n",
    "tenants/acme/tenant.yaml": 'tenant: acme\nagents: {b: {}}\nnumbers: {"+1 713 481 0111": b}\n',
}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            "number,tenant\n+1 713 481 0111,acme,x\n",
            (
                "n.csv:2:3: the row has 3 cells and the first row 2"
                " (a cell with a comma needs quotes around it)"
            ),
        ),
        (
            "Number,Agent\n+1 713 481 0111,a\n",
            'n.csv:1:1: "Number": this cannot be a variable (did you mean "number"?)',
        ),
        (
            "number\ttenant\n+1 713 481 0111\tacme\n",
            (
                "n.csv:1:1: the cells are separated by tabs"
                " (separate them by commas, or by semicolons)"
            ),
        ),
    ],
)
def test_numbers_of_a_table_that_cannot_be_read_are_nobody_elses(
    table: str, expected: str, tmp_path: Path
) -> None:
    lines = told(write(tmp_path, TENANT | {"n.csv": table}))
    assert lines[0] == expected
    assert not [line for line in lines if "not the tenant's" in line]


def test_an_environment_that_is_no_folder_is_not_called_unset(tmp_path: Path) -> None:
    main = MAIN + 'numbers: {table: "{env}/*.csv", default: a}\n'
    path = write(tmp_path, {"agents.yaml": main})
    what = "agents.yaml:4:18: numbers.table: {env} stands for SIPAGENT_ENV, which "
    repair = "(set it to production, for example)"
    assert told(path, SIPAGENT_ENV="a/b") == [f"{what}cannot be a folder's name {repair}"]
    assert told(path) == [f"{what}is not set {repair}"]


def test_an_account_that_is_wrong_counts_as_one_of_two(tmp_path: Path) -> None:
    secret = "webhook_secrets: {file: h}"
    azure = f"provider: azure, endpoint: 'https://x.openai.azure.com', {secret}"
    accounts = f"accounts: {{z: {{{azure}, api_keys: {{file: k}}}}, o: {{{secret}}}}}\n"
    main = MAIN + accounts + "numbers: {default: {reject: 404}}\n"
    lines = told(write(tmp_path, {"agents.yaml": main}))
    assert lines
    assert not [line for line in lines if "no instructions" in line]


@pytest.mark.parametrize("key", ["tenant: acme", "namespace: common"])
def test_a_part_of_the_main_file_is_told_as_one(key: str, tmp_path: Path) -> None:
    lines = told(write(tmp_path, {"agents.yaml": f"{key}\nagents: {{a: {{}}}}\n"}))
    (line,) = lines
    assert "is a part of the main file that includes it (check that one" in line


def test_a_keyword_that_counts_for_nothing_is_told(tmp_path: Path) -> None:
    schema = (
        "{properties: {maxlength: {$ref: '#/$defs/one'}, c: {minimum: 1, x-note: a}},"
        " $defs: {one: {type: string, max_length: 3}}}"
    )
    tool = f"{{name: t, url: 'https://a.example', parameters: {schema}}}"
    main = MAIN.replace("{a: {}}", f"{{a: {{tools: [{{http: {tool}}}]}}}}")
    config = loaded(tmp_path, {"agents.yaml": main + "numbers: {default: a}\n"})
    (warning,) = config.warnings
    assert "parameters.properties.maxlength.max_length" in str(warning)
    assert 'JSON Schema has no such keyword (did you mean "maxLength"?)' in str(warning)
