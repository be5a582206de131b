"""What is expected against what happened, and how it is told."""

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from sipagent.model import Message, ToolName, ToolStatus, ToolUse
from sipagent.scenarios.judging import Failure, failures_of, includes
from sipagent.scenarios.reading import parse_scenario
from sipagent.scenarios.scenario import Scenario
from sipagent.scenarios.stage import Run
from sipagent.scenarios.standin import Asked
from sipagent.scenarios.verdict import as_json, as_junit, as_text, verdict_on
from sipagent.testing import a_plan

SESSION = {
    "instructions": "You are Alex.\nWe open at nine.",
    "tools": [
        {
            "name": "look",
            "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}},
        }
    ],
}
ORDERS = "https://api.acme.example/orders"
NOTES: list[dict[str, Any]] = [
    {"type": "step", "at": 1.0, "index": 0, "happened": True},
    {"type": "speech", "at": 1.0, "who": "caller", "text": "Hello"},
    {"type": "step", "at": 2.0, "index": 1, "happened": True},
    {"type": "tool", "at": 2.0, "name": "look", "arguments": '{"n": 1}', "call_id": "c1"},
    {"type": "served", "at": 3.0, "server": "crm", "name": "find", "arguments": "{}"},
    {"type": "speech", "at": 4.0, "who": "agent", "text": "Good   day"},
    {"type": "refer", "at": 5.0, "status": 200},
]
SCRIPT = "script: [{caller: Hello}, {calls: {look: {n: 1}}}]\n"


def a_run(**fields: Any) -> Run:
    call = SimpleNamespace(
        ended_by=fields.pop("ended_by", "refer"),
        session=SESSION,
        transcript=[
            {"who": "agent", "text": "Acme, this is Alex.", "interrupted": False},
            {"who": "caller", "text": "Hello", "interrupted": False},
            {"who": "agent", "text": "Good   day", "interrupted": False},
        ],
        client_events=[
            "not json",
            {
                "type": "conversation.item.create",
                "item": {"type": "function_call_output", "call_id": "c1", "output": "found it"},
            },
        ],
    )
    use = ToolUse("c1", ToolName("look"), 0.0, 1.0, ToolStatus.DONE)
    run = Run(
        call=call,  # type: ignore[arg-type]
        plan=replace(a_plan(), language="es"),
        outcome=SimpleNamespace(name="completed.transferred"),  # type: ignore[arg-type]
        tools=(use,),
        messages=(Message("m", {"name": "Dana Whitfield", "message": "Call me"}),),
        asked=(Asked("POST", ORDERS, {"x-key": "k"}, '{"n": 1, "m": [2]}', known=True),),
        sent=("shop", "desk"),
        notes=tuple(NOTES),
    )
    return replace(run, **fields)


def a_scenario(expect: str, script: str = SCRIPT) -> Scenario:
    text = f'call: {{to: "1"}}\n{script}expect:\n  - {expect}\n'
    return parse_scenario(text, file="scenarios/one.yaml")


def judged(expect: str, **fields: Any) -> list[str]:
    return [failure.happened for failure in failures_of(a_scenario(expect), a_run(**fields))]


AS_EXPECTED = [
    "said: GOOD day",
    "never_said: bad day",
    "begins: this is alex",
    "instructions: alex. We open",
    "tool: look",
    "{tool: look, arguments: {n: 1}, result: done, output: found}",
    "{tool: crm/find, arguments: {}}",
    "no_tool: other",
    "message: {name: dana}",
    "transferred_to: desk",
    "transfer_failed: shop",
    f"http: POST {ORDERS}",
    f"{{http: POST {ORDERS}, body: {{m: [2]}}, headers: {{X-Key: k}}, times: 1}}",
    f"{{http: GET {ORDERS}, times: 0}}",
    "answered_by: reception",
    "language: es",
    "outcome: completed.transferred",
]
NOT_AS_EXPECTED = [
    ("said: Hello", "did not say it"),
    ("never_said: good day", 'said "Good   day"'),
    ("begins: good day", 'began with "Acme, this is Alex."'),
    ("instructions: we close", "do not have these words"),
    ("tool: other", "did not ask for it"),
    ("{tool: look, arguments: {n: 2}}", 'its arguments were {"n": 1}'),
    ("{tool: look, result: failed}", "it came to done: found it"),
    ("{tool: look, output: lost}", "the model got found it"),
    ("no_tool: look", "offers it"),
    ("message: {name: Dora}", "the messages kept"),
    ("message: {city: Reno}", "the messages kept"),
    ("transferred_to: shop", "sent shop, desk, and somebody took it"),
    ("transfer_failed: desk", "sent shop, desk"),
    ("not_transferred: true", "sent shop, desk"),
    (f"http: GET {ORDERS}", f"the requests made: POST {ORDERS}"),
    (f"{{http: POST {ORDERS}, body: {{n: 2}}}}", 'it had the body {"n": 1'),
    (f"{{http: POST {ORDERS}, headers: {{x-key: other}}}}", "of its headers x-key was k"),
    (f"{{http: POST {ORDERS}, headers: {{x-none: a}}}}", "x-none was not sent"),
    (f"{{http: POST {ORDERS}, times: 2}}", "made 1 times"),
    ("answered_by: night", "it was reception"),
    ("language: en", "it was es"),
    ("outcome: completed.silence", "it was completed.transferred"),
    ("rejected: 404", "the call was answered"),
]


@pytest.mark.parametrize("expect", AS_EXPECTED)
def test_what_happened_is_as_expected(expect: str) -> None:
    assert judged(expect) == []


@pytest.mark.parametrize(("expect", "happened"), NOT_AS_EXPECTED)
def test_what_happened_is_not_as_expected(expect: str, happened: str) -> None:
    (told,) = judged(expect)
    assert happened in told


@pytest.mark.parametrize(
    ("expect", "fields", "happened"),
    [
        ("transferred_to: desk", {"ended_by": "caller"}, "and nobody took it"),
        ("transferred_to: desk", {"sent": ()}, "sent nowhere"),
        ("message: {name: Dana}", {"messages": ()}, "no message was kept"),
        (f"http: POST {ORDERS}", {"asked": ()}, "no request was made"),
        ("{tool: look, result: done}", {"tools": ()}, "it was never done"),
        ("answered_by: reception", {"plan": None}, "it was none"),
        ("language: es", {"plan": None}, "it was none"),
        ("outcome: completed.transferred", {"outcome": None}, "it was none"),
        ("outcome: completed.transferred", {"overdue": True}, "the call did not end"),
        ("rejected: 404", {"rejected": 603}, "it was 603"),
        ("said: good day", {"problems": ("find is not asked",)}, "find is not asked"),
        ("said: good day", {"notes": tuple(NOTES[:2])}, "did not come to this step"),
        (
            "said: good day",
            {"asked": (Asked("GET", ORDERS, {}, "", known=False),)},
            "`http` has no answer for it",
        ),
    ],
)
def test_what_is_missing_is_told(expect: str, fields: dict[str, Any], happened: str) -> None:
    (told,) = judged(expect, **fields)
    assert happened in told


@pytest.mark.parametrize(
    ("note", "happened"),
    [
        (
            {"type": "not_offered", "name": "buy", "offered": ["look"]},
            "it offers: look",
        ),
        ({"type": "not_offered", "name": "buy", "offered": []}, "it offers: none"),
        ({"type": "not_instructed", "words": "Sunday"}, 'do not have the words "Sunday"'),
        (
            {"type": "tool", "name": "look", "arguments": '{"n": "x"}', "call_id": "c2"},
            "the tool look does not allow it",
        ),
        (
            {"type": "tool", "name": "look", "arguments": "{", "call_id": "c2"},
            "the tool look does not allow it",
        ),
    ],
)
def test_what_the_persona_does_not_allow_fails_at_the_step(
    note: dict[str, Any], happened: str
) -> None:
    run = a_run(notes=(*NOTES, {"at": 6.0, **note}))
    scenario = a_scenario("said: good day")
    (failure,) = failures_of(scenario, run)
    assert happened in failure.happened
    assert failure.place == scenario.script[1].place


def test_arguments_that_were_cut_are_nobodys_fault() -> None:
    cut = {
        "type": "tool",
        "name": "look",
        "arguments": '{"n',
        "call_id": "c",
        "status": "incomplete",
    }
    assert judged("said: good day", notes=(*NOTES, {"at": 6.0, **cut})) == []


@pytest.mark.parametrize(
    ("whole", "part", "holds"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": {"b": [1, {"c": 2, "d": 3}]}}, {"a": {"b": [1, {"c": 2}]}}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": 1}, False),
        ([1, 2], [1], False),
        (None, {}, False),
        ("x", "x", True),
    ],
)
def test_json_that_has_all_of_another(whole: Any, part: Any, holds: bool) -> None:
    assert includes(whole, part) is holds


def test_a_failure_is_told_with_its_place_and_the_whole_call() -> None:
    scenario, run = a_scenario("said: Hello"), a_run()
    verdict = verdict_on(scenario, run, failures_of(scenario, run), 1.25)
    lines = list(as_text(verdict))
    assert lines[1] == ("  scenarios/one.yaml:4:5: expected said: Hello; the agent did not say it")
    story = "\n".join(lines)
    for told in (
        "0.0  reception answers",
        '1.0  caller: "Hello"',
        '2.0  agent calls look {"n": 1} -> done',
        "3.0  agent uses crm/find {}",
        "5.0  sent to shop (200)",
        "the end: completed.transferred",
    ):
        assert told in story


def test_what_is_as_expected_takes_one_line() -> None:
    scenario, run = a_scenario("said: good day"), a_run()
    verdict = verdict_on(scenario, run, (), 1.25)
    assert list(as_text(verdict)) == ["ok    scenarios/one.yaml (1.2 s)"]
    assert verdict.passed


def test_junit_and_json_say_the_same() -> None:
    good, bad = a_scenario("said: good day"), a_scenario(r'said: "<&\u0007>"')
    run = a_run()
    verdicts = [verdict_on(each, run, failures_of(each, run), 0.5) for each in (good, bad)]
    root = ET.fromstring(as_junit(verdicts))  # noqa: S314  # it is ours
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "2", "1")
    cases = root.findall("testsuite/testcase")
    assert [case.get("name") for case in cases] == ["one", "one"]
    assert [case.find("failure") is not None for case in cases] == [False, True]
    failure = cases[1].find("failure")
    assert failure is not None
    assert "expected said: <&>" in failure.get("message", "")
    assert "reception answers" in (failure.text or "")
    told = json.loads(json.dumps(as_json(verdicts)))
    assert [each["passed"] for each in told] == [True, False]
    assert told[1]["failures"][0]["line"] == 4


def test_failures_stand_in_the_files_order() -> None:
    text = 'call: {to: "1"}\nexpect: [{said: Zulu}, {said: Quux}]\n' + SCRIPT
    scenario = parse_scenario(text, file="f.yaml")
    failures: tuple[Failure, ...] = failures_of(scenario, a_run(notes=(), problems=("t",)))
    assert [failure.place.line for failure in failures] == [1, 2, 2, 3]
