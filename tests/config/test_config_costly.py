"""What a tenant's own file must not cost others: time between their calls' events, and memory."""

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sipagent.config.skills.parameters import MOST_PARTS, problems_of
from sipagent.sessions.machine.arguments import LONGEST, Unfit, fitting
from tests.config.support import loaded, told, write

MAIN = """\
version: 1
include: [tenants/*/tenant.yaml]
defaults: {model: gpt-realtime-2.1}
tenants: {acme: {}}
numbers: {"+17134810111": {tenant: acme, agent: a}}
"""


def complaints(folder: Path, agents: str) -> list[str]:
    """What is told of a tenant's file with these agents, without where."""
    tenant = {"tenants/acme/tenant.yaml": f"tenant: acme\nagents:\n{agents}"}
    path = write(folder, {"agents.yaml": MAIN} | tenant)
    return [line.partition(": ")[2] for line in told(path)]


HAND_ON = "tools: [{{switch_agent: [{}]}}]"
STAND_IN = "attestation: {{min: A, otherwise: {{agent: {}}}}}"


def chain(leaf: str, length: int) -> str:
    """The agent `a`, and so many after it, each of which names the next one."""
    names = ["a", *(f"a{n}" for n in range(1, length + 1))]
    agents = [f"  {name}: {{{leaf.format(other)}}}\n" for name, other in pairwise(names)]
    return "".join(agents) + f"  {names[-1]}: {{}}\n"


@pytest.mark.parametrize("leaf", [HAND_ON, STAND_IN])
def test_a_chain_of_agents_is_told_however_long(leaf: str, tmp_path: Path) -> None:
    found = complaints(tmp_path, chain(leaf, 2000))
    assert found[0] == "agents.a: more than 8 agents may have its calls"


@pytest.mark.parametrize("leaf", [HAND_ON, STAND_IN])
def test_eight_agents_in_a_row_are_usable(leaf: str, tmp_path: Path) -> None:
    tenant = {"tenants/acme/tenant.yaml": f"tenant: acme\nagents:\n{chain(leaf, 7)}"}
    assert loaded(tmp_path, {"agents.yaml": MAIN} | tenant)


@pytest.mark.parametrize("languages", [4, 5])
def test_a_call_does_not_carry_megabytes(languages: int, tmp_path: Path) -> None:
    spoken = ", ".join(["en", "es", "de", "fr", "it"][:languages])
    agent = (
        f"  a: {{languages: [{spoken}], greeting: null, disclosure: null,"
        " instructions: {file: a.md}, tools: [set_language]}\n"
    )
    text = {"tenants/acme/tenant.yaml": f"tenant: acme\nagents:\n{agent}"}
    prompt = {"tenants/acme/a.md": "x" * 250_000}
    path = write(tmp_path, {"agents.yaml": MAIN} | text | prompt)
    if languages == 4:
        assert loaded(tmp_path, {})
    else:
        (found,) = told(path)
        assert "instructions and tools of one call would be more than 1 MiB" in found


def test_tools_that_agents_share_count_for_each(tmp_path: Path) -> None:
    url = "https://api.acme.example/x"
    tool = f"{{http: {{name: t, url: '{url}', body: {{text: {'x' * 400_000}}}}}}}"
    agents = (
        f"  c: {{tools: [&t {tool}]}}\n"
        "  b: {tools: [*t, {switch_agent: [c]}]}\n  a: {tools: [*t, {switch_agent: [b]}]}\n"
    )
    granted = MAIN.replace("acme: {}", "acme: {grants: {http_hosts: [api.acme.example]}}")
    tenant = f"tenant: acme\nagents:\n{agents}"
    path = write(tmp_path, {"agents.yaml": granted, "tenants/acme/tenant.yaml": tenant})
    (found,) = told(path)
    assert "agents.a: instructions and tools of one call would be more than 1 MiB" in found


def doubling(steps: int, word: str = "allOf") -> dict[str, Any]:
    """A schema of which each part asks twice for the next one."""
    parts = {f"d{n}": {word: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(steps)}
    return {"$defs": {**parts, f"d{steps}": {"type": "object"}}, "$ref": "#/$defs/d0"}


PLACE = {"$defs": {"place": {"type": "string", "pattern": "^[A-Z]{3}$"}}}
COSTLY: dict[str, dict[str, Any]] = {
    "doubling": doubling(40),
    "doubling where one is enough": doubling(40, "anyOf"),
    "a circle": {"properties": {"a": {"$ref": "#"}}},
    "a circle of a keyword of old": {"dependencies": {"a": {"$ref": "#"}}},
    "another name of a place": {"properties": {"a": {"$dynamicRef": "#"}}},
    "a name of its own": {"$id": "https://x.example/", "properties": {}},
    "an anchor": {"properties": {"a": {"$anchor": "b"}}},
    "an anchor's name": {"$defs": {"a": {"$anchor": "b"}}, "properties": {"a": {"$ref": "#b"}}},
    "many": {"properties": {f"a{n}": {"type": "string"} for n in range(MOST_PARTS)}},
    "a large pattern": {"properties": {"a": {"pattern": "(a|b)*a(a|b){500}c"}}},
    "a large pattern of names": {"patternProperties": {"(a|b)*a(a|b){500}c": {}}},
    "one pattern often": {"properties": {"a": {"allOf": [{"pattern": "^[a-z]{1,200}$"}] * 100}}},
}
USUAL: list[dict[str, Any]] = [
    {**PLACE, "properties": {"from": {"$ref": "#/$defs/place"}, "to": {"$ref": "#/$defs/place"}}},
    {"properties": {"$ref": {"type": "string"}, "$id": {}, "pattern": {"type": "string"}}},
    {"properties": {f"a{n}": {"pattern": r"^\d{4}-[A-Z]{2}$"} for n in range(30)}},
    {"properties": {"name": {"pattern": r"^[\w .,'-]{2,80}$"}}},
    {"properties": {"a": {"type": "array", "items": {"anyOf": [{"type": "string"}, True]}}}},
    doubling(4),
]


@pytest.mark.parametrize("what", COSTLY)
def test_schemas_that_take_long_are_refused(what: str) -> None:
    began = time.perf_counter()
    assert len(list(problems_of(COSTLY[what], ("parameters",)))) == 1
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("schema", USUAL)
def test_usual_schemas_are_not(schema: dict[str, Any]) -> None:
    assert list(problems_of(schema, ("parameters",))) == []


def test_the_worst_that_is_left_holds_nobody_up() -> None:
    pattern = "(?:[ab]{0,9}a){9}c"
    many = {"type": "object", "properties": {"a": {"items": {"oneOf": [{"minimum": 1}] * 200}}}}
    slow = {"type": "object", "properties": {"a": {"items": {"pattern": pattern}}}}
    for schema, item in ((many, 0), (slow, "ab" * 20)):
        assert not list(problems_of(schema, ()))
        count = (LONGEST - 16) // len(json.dumps(item) + ",")
        began = time.perf_counter()
        given = fitting(schema, json.dumps({"a": [item] * count}, separators=(",", ":")))
        assert time.perf_counter() - began < 1
        assert isinstance(given, Unfit)


def test_of_short_arguments_several_mistakes_are_told() -> None:
    schema = {"type": "object", "properties": {n: {"type": "string"} for n in "abcd"}}
    told_ = fitting(schema, '{"a": 1, "b": 2, "c": 3, "d": 4}')
    assert isinstance(told_, Unfit)
    assert told_.why.count("is not of type") == 3
    longer = fitting(schema, json.dumps({"a": 1, "b": 2, "x": "y" * 300}))
    assert isinstance(longer, Unfit)
    assert longer.why.count("is not of type") == 1


CHOICES = {
    "tool_choice: required": 'the agent "a" has no tools',
    "tool_choice: {type: function, name: look_up}, tools: [wait]": 'has no tool "look_up"',
    "tool_choice: {type: mcp, server_label: shop}, tools: [wait]": 'has no server "shop"',
}


@pytest.mark.parametrize("leaves", CHOICES)
def test_a_model_must_not_use_what_it_does_not_have(leaves: str, tmp_path: Path) -> None:
    (found,) = complaints(tmp_path, f"  a: {{{leaves}}}\n")
    assert CHOICES[leaves] in found


@pytest.mark.parametrize(
    "leaves",
    [
        "tool_choice: required, tools: [wait]",
        "tool_choice: {type: function, name: wait}, tools: [wait]",
        "tool_choice: none",
    ],
)
def test_a_model_may_use_what_it_has(leaves: str, tmp_path: Path) -> None:
    tenant = {"tenants/acme/tenant.yaml": f"tenant: acme\nagents: {{a: {{{leaves}}}}}\n"}
    assert loaded(tmp_path, {"agents.yaml": MAIN} | tenant)


WARNED = {
    "http": (
        "http: {name: t, url: 'http://api.acme.example/'}",
        "http is refused, but for hosts in SIPAGENT_HTTP_TOOLS_ALLOW (write https://)",
    ),
    "attestation": (
        "http: {name: t, url: 'https://api.acme.example/', requires: {attestation: A}}",
        'no trunk can say of a caller what "t" requires',
    ),
}


@pytest.mark.parametrize("what", WARNED)
def test_a_tool_that_can_never_be_used_is_told(what: str, tmp_path: Path) -> None:
    tool, words = WARNED[what]
    tenant = f"tenant: acme\nagents: {{a: {{tools: [{{{tool}}}]}}}}\n"
    granted = MAIN.replace("acme: {}", "acme: {grants: {http_hosts: [api.acme.example]}}")
    found = loaded(tmp_path, {"agents.yaml": granted, "tenants/acme/tenant.yaml": tenant})
    assert any(words in str(warning) for warning in found.warnings)
