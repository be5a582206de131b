"""Scenario files: what they become, and where their mistakes stand."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sipagent.config.findings import Findings
from sipagent.config.outline import outline_of
from sipagent.config.yamlfile.reader import read
from sipagent.config.yamlfile.values import to_data
from sipagent.errors import ConfigError
from sipagent.scenarios.jsonschema import FILE_NAME, scenario_schema, scenario_schema_text
from sipagent.scenarios.reading import parse_scenario, read_scenario
from sipagent.scenarios.scenario import Exchange, Reply, Stub, Takes
from sipagent.scenarios.schema import ScenarioFile

ROOT = Path(__file__).parents[2]
CALL = 'call: {to: "+1 713 481 0111"}\n'
END = "expect: [{outcome: completed.line_closed}]\n"
WHOLE = """\
about: Everything that a file may have.
call:
  to: "+1 713 481 0111"
  caller: anonymous
  at: "2026-11-24T10:00-06:00"
  trunk: wavix
  attestation: A
  headers: {X-Store: "17"}
  account: us
  limit: 2m
transfers:
  desk: nobody_answers
  shop: {answers_after: 500ms}
  home: refused
http:
  - request: POST https://api.acme.example/orders
    reply: {status: 201, body: {id: 7}, after: 2s}
  - request: GET http://api.acme.example/x?n=1
tools:
  look: {returns: {a: 1}}
  find: {fails: down, after: 1s}
script:
  - {caller: Hello}
  - {caller: Stop, interrupts: true, after: 1s, unheard: true}
  - {agent: Hi}
  - {agent: Wait, calls: look}
  - {calls: {look: {n: 1}, find: {}}}
  - {mcp: crm/find, arguments: {n: 1}, returns: [1]}
  - {mcp: crm/find, fails: down}
  - {quotes: open}
  - {presses: "12#", interrupts: true}
  - {silence: 20s}
  - {hangs_up: true}
expect:
  - {said: Hi}
  - {tool: look, arguments: {n: 1}, result: done, output: one}
  - {http: POST https://api.acme.example/orders, body: {a: 1}, headers: {x-y: z}, times: 1}
  - {message: {name: Dana}}
  - {rejected: 486}
"""


def test_a_file_becomes_what_it_says() -> None:
    scenario = parse_scenario(WHOLE, file="scenarios/whole.yaml")
    call = scenario.call
    assert (scenario.name, call.caller, call.at) == ("whole", "anonymous", 1795536000.0)
    assert (call.trunk, call.attestation, call.account, call.limit) == ("wavix", "A", "us", 120)
    assert scenario.transfers == {
        "desk": Takes(None),
        "shop": Takes(0.5),
        "home": Takes(None, refused=True),
    }
    assert scenario.http == (
        Exchange("POST", "https://api.acme.example/orders", Reply(201, {"id": 7}, 2)),
        Exchange("GET", "http://api.acme.example/x?n=1", Reply()),
    )
    assert scenario.stubs == {"look": Stub('{"a": 1}'), "find": Stub("down", True, 1)}
    assert scenario.expected[0].text == "said: Hi"
    assert (scenario.expected[0].place.line, scenario.expected[0].place.column) == (35, 5)


def test_steps_become_what_the_simulator_takes() -> None:
    look = {"name": "look", "arguments": {"n": 1}}
    use = {"server": "crm", "name": "find"}
    orders = [dict(step.order) for step in parse_scenario(WHOLE, file="f.yaml").script]
    quiet = {"barge_in": False, "after": None}
    assert orders == [
        {"caller": "Hello", "transcription_fails": False, **quiet},
        {"caller": "Stop", "transcription_fails": True, "barge_in": True, "after": 1.0},
        {"agent": "Hi"},
        {"say": "Wait", "tool": [{"name": "look"}]},
        {"tool": [look, {"name": "find", "arguments": {}}]},
        {"mcp": {**use, "arguments": {"n": 1}, "output": "[1]"}},
        {"mcp": {**use, "arguments": {}, "error": "down"}},
        {"quotes": "open"},
        {"dtmf": "12#", "barge_in": True, "after": None},
        {"pause": 20.0},
        {"hang_up": True, **quiet},
    ]


MISTAKES: dict[str, tuple[str, str]] = {
    "empty": ("", "1:1: the file is empty (begin with `call:`)"),
    "no-yaml": ("call: [a", "a [ is opened"),
    "no-mapping": ("[]", "a mapping with the keys call, script and expect"),
    "no-call": (END, "f.yaml:1:1: call: is missing"),
    "no-expectation": (CALL, "1:1: expect: is missing"),
    "expects-nothing": (f"{CALL}expect: []", "2:9: expect: must have at least 1 item"),
    "unknown-key": (f"{CALL}{END}scrip: []", '3:1: scrip: unknown key (did you mean "script"?)'),
    "twice": (f"{CALL}{CALL}{END}", "2:1: call: the key stands twice"),
    "no-step": (f"{CALL}{END}script: [{{caler: Hi}}]", "3:10: script[0]: must be a step"),
    "text-step": (f"{CALL}{END}script: [Hi]", 'not the text "Hi"'),
    "two-steps": (
        f"{CALL}{END}script: [{{caller: Hi, agent: Ho}}]",
        "3:23: script[0].agent: does not go with",
    ),
    "number": (f"{CALL}{END}script: [{{caller: 5}}]", "3:19: script[0].caller: must be text"),
    "duration": (f"{CALL}{END}script: [{{silence: 20}}]", "must be text, not the number 20"),
    "no-duration": (f"{CALL}{END}script: [{{silence: soon}}]", "this is no duration"),
    "keys": (f"{CALL}{END}script: [{{presses: 1a}}]", "3:20: script[0].presses: must be keys"),
    "use": (f"{CALL}{END}script: [{{mcp: crm, returns: x}}]", "script[0].mcp: is not usable"),
    "two-ends": (
        f"{CALL}{END}script: [{{mcp: a/b, returns: x, fails: y}}]",
        "script[0]: must have either returns or fails",
    ),
    "no-end": (f"{CALL}{END}tools: {{look: {{}}}}", "tools.look: must have either"),
    "transfer": (f"{CALL}{END}transfers: {{a: soon}}", "must be nobody_answers or refused, not"),
    "request": (f"{CALL}{END}http: [{{request: get it}}]", "must be a method and a URL"),
    "expected-request": (f"{CALL}expect: [{{http: GET /x}}]", "expect[0].http: must be a method"),
    "moment": ('call: {to: "1", at: 2026-11-24T10:00}\n' + END, "call.at: this is no moment"),
    "no-moment": ('call: {to: "1", at: noon}\n' + END, "1:21: call.at: this is no moment"),
    "outcome": (
        f"{CALL}expect: [{{outcome: completed.transfered}}]",
        'there is no such outcome (did you mean "completed.transferred"?)',
    ),
    "odd-outcome": (f"{CALL}expect: [{{outcome: x}}]", "as in completed.agent_hung_up"),
    "code": (f"{CALL}expect: [{{rejected: 200}}]", "expect[0].rejected: must be at least 300"),
    "expectation": (f"{CALL}expect: [{{seid: Hi}}]", "expect[0]: must be an expectation"),
    "secret": (f"{CALL}{END}about: sk-1234567890abcdef1234", "this looks like a secret"),
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_scenario(text, file="f.yaml")
    assert told in str(refused.value)
    assert all(finding.line >= 1 and finding.column >= 1 for finding in refused.value.findings)


def test_all_mistakes_of_one_kind_are_told_at_once() -> None:
    text = f"{CALL}script: [{{silence: soon}}, {{quotes: 1}}]\nexpect: [{{said: 2}}]\n"
    with pytest.raises(ConfigError) as refused:
        parse_scenario(text, file="f.yaml")
    paths = [finding.path for finding in refused.value.findings]
    assert paths == ["script[0].silence", "script[1].quotes", "expect[0].said"]


def test_a_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml:1:1: the file does not exist"):
        read_scenario(tmp_path / "no.yaml")


def data_of(text: str) -> dict[str, Any]:
    findings = Findings("f")
    return to_data(read(text, findings), findings, outline_of(ScenarioFile), None)


def test_the_schema_for_editors_is_current_and_takes_what_is_usable() -> None:
    schema = scenario_schema()
    Draft202012Validator.check_schema(schema)
    committed = (ROOT / "schema" / FILE_NAME).read_text("utf-8")
    assert committed == scenario_schema_text(), "run `sipagent schema --out schema`"
    assert Draft202012Validator(schema).is_valid(data_of(WHOLE))


@pytest.mark.parametrize("path", sorted(ROOT.glob("scenarios/*.yaml")), ids=lambda path: path.stem)
def test_the_scenarios_that_are_shipped_are_valid_in_editors(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=../schema/scenario.schema.json\n")
    errors = Draft202012Validator(scenario_schema()).iter_errors(data_of(text))
    assert [error.message for error in errors] == []


@pytest.mark.parametrize("name", ["no-call", "unknown-key", "no-step", "duration", "transfer"])
def test_the_schema_for_editors_refuses_what_is_not(name: str) -> None:
    assert not Draft202012Validator(scenario_schema()).is_valid(data_of(MISTAKES[name][0]))


PAGE = (ROOT / "docs" / "scenarios.md").read_text("utf-8")


def test_the_examples_of_the_page_are_scenarios() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    whole = [block for block in blocks if "\ncall:" in block]
    assert whole
    for block in whole:
        assert parse_scenario(block, file="page.yaml").expected


def keys_of(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for each in schema:
            yield from keys_of(each)
    elif isinstance(schema, dict):
        yield from schema.get("properties", {})
        for each in schema.values():
            yield from keys_of(each)


def test_the_page_describes_every_key() -> None:
    known = set(keys_of(scenario_schema()))
    assert len(known) > 40
    assert {key for key in known if not re.search(rf"\b{key}\b", PAGE)} == set()
