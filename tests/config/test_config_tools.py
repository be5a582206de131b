"""What `tools` become: what the model is offered, and what is done when it uses them."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from openai.types.realtime.call_accept_params import CallAcceptParams
from pydantic import TypeAdapter

from sipagent.config import Loaded
from sipagent.config.report.advice import advice_on
from sipagent.model import (
    AgentName,
    CallPlan,
    CollectDigits,
    DestinationName,
    Effects,
    HangUp,
    HttpRequest,
    McpCall,
    McpServer,
    PythonCall,
    Requirement,
    SecretName,
    SetLanguage,
    SwitchAgent,
    TakeMessage,
    Tool,
    ToolName,
    TransferTo,
    Wait,
)
from sipagent.sessions.machine.arguments import Unfit, fitting
from tests.config.support import decided, loaded, plan, told, write
from tests.config.test_config_session import unknown_keys

NUMBER = "+17134810111"
HEAD = """\
version: 1
defaults: {model: gpt-realtime-2.1}
tenants: {default: {grants: {secrets: {crm: {file: crm.key}}}}}
hours: {office: {mon-fri: "09:00-17:00"}}
destinations:
  desk: {to: "+17135550100", description: bookings and invoices, hours: office}
  boss: "+17135550101"
"""
TAIL = f'numbers: {{"{NUMBER}": a, default: {{reject: 404}}}}\n'


def house(folder: Path, agents: str, **environment: str) -> Loaded:
    return loaded(folder, {"agents.yaml": f"{HEAD}agents:\n{agents}\n{TAIL}"}, **environment)


def planned(folder: Path, tools: str, *, more: str = "", **environment: str) -> CallPlan:
    """The plan of a call to an agent with these tools."""
    return plan(house(folder, f"  a: {{{more}tools: [{tools}]}}\n  b: {{}}", **environment), NUMBER)


def only(call: CallPlan) -> Tool:
    (tool,) = call.skills.tools
    return tool


WORDS: dict[str, tuple[Any, dict[str, Any], list[dict[str, Any]]]] = {
    "hang_up": (HangUp(), {}, [{"now": True}]),
    "wait": (Wait(), {}, [{"seconds": 5}]),
    "take_message": (TakeMessage(("message",)), {"message": "Call me."}, [{}, {"message": ""}]),
    "{take_message: {fields: [name, phone]}}": (
        TakeMessage(("name", "phone")),
        {"name": "Ann", "phone": "+1"},
        [{"name": "Ann"}, {"name": "Ann", "phone": 1}],
    ),
    "collect_digits": (CollectDigits(), {}, [{"digits": "1"}]),
    "{collect_digits: {name: pin, length: 4, terminator: '*', timeout: 5s, retries: 1, "
    "sensitive: true}}": (CollectDigits(4, "*", 5.0, 1, True), {}, [{"pin": "1234"}]),
    "{transfer: [desk, boss]}": (
        TransferTo((DestinationName("desk"), DestinationName("boss"))),
        {"destination": "boss"},
        [{}, {"destination": "+19005551234"}, {"destination": "DESK"}],
    ),
    "{switch_agent: [b]}": (
        SwitchAgent((AgentName("b"),)),
        {"agent": "b"},
        [{"agent": "a"}, {"agent": "default/b"}],
    ),
}


@pytest.mark.parametrize("written", WORDS)
def test_what_the_call_itself_does(written: str, tmp_path: Path) -> None:
    does, right, wrong = WORDS[written]
    tool = only(planned(tmp_path, written))
    assert tool.does == does
    assert tool.requires is None
    assert tool.description.endswith(".")
    assert isinstance(fitting(tool.parameters, _json(right)), dict)
    for arguments in wrong:
        assert isinstance(fitting(tool.parameters, _json(arguments)), Unfit), arguments


@pytest.mark.parametrize("written", WORDS)
def test_the_session_offers_what_the_plan_has(written: str, tmp_path: Path) -> None:
    call = planned(tmp_path, written)
    tool = only(call)
    assert call.session["tools"] == [
        {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        }
    ]
    assert list(unknown_keys(dict(call.session), CallAcceptParams)) == []
    TypeAdapter(CallAcceptParams).validate_python(call.session)


def test_an_agent_without_tools_offers_none(tmp_path: Path) -> None:
    call = planned(tmp_path, "")
    assert call.skills.tools == ()
    assert "tools" not in call.session


def test_the_fallback_model_is_offered_the_same(tmp_path: Path) -> None:
    models = "models: {m: {model: gpt-realtime-2.1, fallback: n}, n: {model: gpt-realtime-2}}\n"
    text = f"{HEAD}{models}agents: {{a: {{model: m, tools: [hang_up, wait]}}}}\n{TAIL}"
    call = plan(loaded(tmp_path, {"agents.yaml": text}), NUMBER)
    assert call.fallback_session is not None
    assert call.fallback_session["model"] == "gpt-realtime-2"
    assert call.fallback_session["tools"] == call.session["tools"]


def test_the_model_is_told_what_destinations_are_for(tmp_path: Path) -> None:
    tool = only(planned(tmp_path, "{transfer: [desk, boss]}"))
    choice = tool.parameters["properties"]["destination"]
    assert choice["enum"] == ["desk", "boss"]
    assert "desk: bookings and invoices" in choice["description"]
    assert "boss" not in choice["description"]
    assert "+1713" not in str(tool.parameters) + tool.description


def test_messages_are_taken_to_the_end(tmp_path: Path) -> None:
    assert only(planned(tmp_path, "take_message")).finish


class TestHttp:
    def test_the_least(self, tmp_path: Path) -> None:
        tool = only(planned(tmp_path, "{http: {name: order_status, url: 'https://api.example/o'}}"))
        assert tool == Tool(
            ToolName("order_status"),
            HttpRequest("POST", "https://api.example/o"),
            "order status",
            {"type": "object", "properties": {}, "additionalProperties": False},
        )

    def test_everything(self, tmp_path: Path) -> None:
        tool = only(
            planned(
                tmp_path,
                "{http: {name: order, description: Looks an order up., method: PUT, "
                "url: 'https://${HOST}/o/{no}?by={who}', headers: {X-Key: '${KEY}'}, "
                "auth: {bearer: {secret: crm}}, parameters: {properties: {no: {type: string}}, "
                "required: [no]}, bind: {who: us}, body: {order: '{no}'}, response: {state: /s}, "
                "timeout: 4s, say_while_waiting: One moment., effects: once, "
                "requires: {attestation: B}, finish: true}}",
                HOST="api.example",
                KEY="k",
            )
        )
        assert tool == Tool(
            ToolName("order"),
            HttpRequest(
                "PUT",
                "https://api.example/o/{no}?by={who}",
                {"X-Key": "k"},
                SecretName("crm"),
                {"who": "us"},
                {},
                {"order": "{no}"},
                {"state": "/s"},
            ),
            "Looks an order up.",
            {
                "type": "object",
                "properties": {"no": {"type": "string"}},
                "required": ["no"],
                "additionalProperties": False,
            },
            4.0,
            "One moment.",
            Effects.ONCE,
            Requirement("B"),
            True,
        )

    def test_one_pointer_is_the_result(self, tmp_path: Path) -> None:
        tool = only(planned(tmp_path, "{http: {name: x, url: 'https://a.example', response: /a}}"))
        assert isinstance(tool.does, HttpRequest)
        assert tool.does.response == {"result": "/a"}

    @pytest.mark.parametrize("url", ["http://a.example/", "https://a.example/"])
    def test_plain_http_is_by_the_operators_word(self, url: str, tmp_path: Path) -> None:
        tool = only(planned(tmp_path, f"{{http: {{name: x, url: '{url}'}}}}"))
        assert isinstance(tool.does, HttpRequest)
        assert tool.does.plain is url.startswith("http:")

    def test_what_is_bound_is_of_the_call(self, tmp_path: Path) -> None:
        tools = (
            "{http: {name: x, url: 'https://a.example', bind: {who: '{{ caller.e164 }}', "
            "where: '{{ vars.store }}', both: '{{ vars.store }}: {{ caller.e164 }}', "
            "pin: '{{ digits.pin }}'}, headers: {X-Store: '{{ vars.store }}'}}}, "
            "{collect_digits: {name: pin}}"
        )
        config = house(tmp_path, f"  a: {{vars: {{store: {{default: Palm}}}}, tools: [{tools}]}}")
        does = plan(config, NUMBER).skills.tools[0].does
        assert isinstance(does, HttpRequest)
        assert does.bind == {
            "who": "+12025550123",
            "where": "Palm",
            "both": 'Palm: "+12025550123"',
        }
        assert does.digits == {"pin": "pin"}
        assert does.headers == {"X-Store": "Palm"}

    def test_what_is_bound_is_not_offered(self, tmp_path: Path) -> None:
        call = planned(
            tmp_path,
            "{http: {name: x, url: 'https://a.example', parameters: {properties: {a: {}}}, "
            "bind: {who: '{{ caller.e164 }}'}}}",
        )
        assert "who" not in str(call.session["tools"])
        assert isinstance(fitting(only(call).parameters, '{"who": "x"}'), Unfit)

    @pytest.mark.parametrize("caller", ["anonymous", '"; DROP TABLE'])
    def test_a_caller_without_a_number_is_nothing(self, caller: str, tmp_path: Path) -> None:
        tools = "{http: {name: x, url: 'https://a.example', bind: {who: '{{ caller.e164 }}'}}}"
        config = house(tmp_path, f"  a: {{tools: [{tools}]}}")
        verdict = decided(config, NUMBER, caller=caller).verdict
        does = verdict.plan.skills.tools[0].does  # type: ignore[union-attr]
        assert isinstance(does, HttpRequest)
        assert does.bind == {"who": ""}


class TestPins:
    TOOLS = (
        "{http: {name: balance, url: 'https://a.example', requires: {pin: code}}}, "
        "{collect_digits: {name: pin, sensitive: true}}"
    )

    def test_the_pin_of_the_number(self, tmp_path: Path) -> None:
        agents = f"  a: {{vars: {{code: required}}, tools: [{self.TOOLS}]}}"
        number = f'numbers: {{"{NUMBER}": {{agent: a, vars: {{code: "12 34"}}}}}}\n'
        text = f"{HEAD}agents:\n{agents}\n{number}"
        call = plan(loaded(tmp_path, {"agents.yaml": text}), NUMBER)
        assert call.skills.tools[0].requires == Requirement(None, "1234")
        assert "1234" not in str(call.session)

    def test_a_pin_that_nobody_can_press_is_told(self, tmp_path: Path) -> None:
        agents = f"  a: {{vars: {{code: {{default: secret}}}}, tools: [{self.TOOLS}]}}"
        path = write(tmp_path, {"agents.yaml": f"{HEAD}agents:\n{agents}\n{TAIL}"})
        (line,) = told(path)
        assert line.endswith(
            'the tool "balance" of the agent "a" cannot be made for this number: '
            "vars.code is no PIN"
        )


class TestServers:
    def test_one_that_the_provider_asks(self, tmp_path: Path) -> None:
        call = planned(
            tmp_path,
            "{mcp: {server_label: crm, server_url: 'https://mcp.example/x', headers: {X-A: b}, "
            "auth: {bearer: {secret: crm}}, allowed_tools: [look], description: Orders.}}",
        )
        assert call.skills.tools == ()
        assert call.skills.servers == (McpServer("crm", ("look",)),)
        assert call.session["tools"] == [
            {
                "type": "mcp",
                "server_label": "crm",
                "server_url": "https://mcp.example/x",
                "require_approval": "never",
                "server_description": "Orders.",
                "headers": {"X-A": "b"},
                "authorization": {"$secret": "crm", "tenant": "default"},
                "allowed_tools": ["look"],
            }
        ]
        assert list(unknown_keys(dict(call.session), CallAcceptParams)) == []

    def test_one_beside_us(self, tmp_path: Path) -> None:
        config = house(
            tmp_path,
            "  a: {tools: [{mcp: {server_label: crm, command: [crm, --fast], "
            "environment: {TOKEN: '${TOKEN}'}, tools: [{name: look, timeout: 3s, "
            "parameters: {properties: {a: {type: string}}}}]}}]}",
            TOKEN="t",
        )
        tool = only(plan(config, NUMBER))
        assert (tool.name, tool.does, tool.timeout) == ("look", McpCall("crm", "look"), 3.0)
        (server,) = config.servers.values()
        assert (server.command, server.environment) == (("crm", "--fast"), {"TOKEN": "t"})
        assert server.folder == tmp_path


def test_a_function_of_the_operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "own_tools.py"
    package.write_text(
        "from sipagent.tools.kit import ToolCall, tool\n\n\n"
        "@tool(effects='none', timeout=3)\n"
        "async def opening(call: ToolCall, day: str) -> str:\n"
        '    """When the shop opens."""\n'
        "    return day\n"
    )
    info = tmp_path / "own_tools-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-tools\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sipagent.tools]\nopening = own_tools:opening\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    tool = only(planned(tmp_path, "{python: {name: opening}}"))
    assert tool.does == PythonCall("opening")
    assert (tool.description, tool.timeout, tool.effects) == (
        "When the shop opens.",
        3.0,
        Effects.NONE,
    )
    assert set(tool.parameters["properties"]) == {"day"}
    longer = only(planned(tmp_path, "{python: {name: opening, timeout: 9s, effects: once}}"))
    assert (longer.timeout, longer.effects) == (9.0, Effects.ONCE)


class TestLanguages:
    AGENT = (
        "  a: {languages: [en, es], greeting: {en: Hello, es: Hola}, disclosure: null, "
        "instructions: 'Be kind.', transcription: gpt-live-transcribe, "
        "silence: {after: 9s, say: {en: 'Still there?', es: '¿Sigue ahí?'}}, tools: [set_language]}"
    )

    def test_the_tool_and_the_tongues(self, tmp_path: Path) -> None:
        call = plan(house(tmp_path, self.AGENT), NUMBER)
        tool = only(call)
        assert tool.does == SetLanguage(("en", "es"))
        assert tool.parameters["properties"]["language"]["enum"] == ["en", "es"]
        english, spanish = call.skills.tongues
        assert (english.language, english.asks) == ("en", "Still there?")
        assert (spanish.language, spanish.asks) == ("es", "¿Sigue ahí?")
        assert spanish.session["type"] == "realtime"
        assert spanish.session["audio"] == {
            "input": {"transcription": {"model": "gpt-live-transcribe", "language": "es"}}
        }
        assert "Speak Spanish (es)" in spanish.session["instructions"]
        assert set(spanish.session) == {"type", "instructions", "audio"}

    def test_what_is_said_of_languages_stands_before_the_rules(self, tmp_path: Path) -> None:
        text = f"{HEAD}agents:\n{self.AGENT}\n{TAIL}".replace(
            "defaults: {", "defaults: {rules: Never lie., "
        )
        call = plan(loaded(tmp_path, {"agents.yaml": text}), NUMBER)
        instructions = call.session["instructions"]
        assert instructions.startswith("Be kind.\n\n# Languages\n\n- You speak English (en) and")
        assert instructions.endswith("Never lie.")
        assert "set_language" in instructions

    def test_an_agent_of_one_language_is_told_nothing_of_it(self, tmp_path: Path) -> None:
        agent = (
            "  a: {languages: [pt-BR], greeting: null, disclosure: null, instructions: Be kind.}"
        )
        call = plan(house(tmp_path, agent), NUMBER)
        assert call.session["instructions"] == "Be kind."
        assert call.skills.tongues == ()

    @pytest.mark.parametrize(
        ("own", "default", "heard"),
        [
            ("gpt-transcribe", None, {"model": "gpt-transcribe", "language": "pt"}),
            (None, "{model: m, language: en}", {"model": "m", "language": "pt"}),
            ("{model: m, language: en}", None, {"model": "m", "language": "en"}),
            ("{model: m, languages: [en]}", None, {"model": "m", "languages": ["en"]}),
            ("null", "{model: m}", None),
        ],
    )
    def test_what_is_expected_to_be_heard(
        self, own: str | None, default: str | None, heard: Any, tmp_path: Path
    ) -> None:
        leaf = "" if own is None else f"transcription: {own}, "
        agent = f"  a: {{{leaf}languages: [pt-BR], greeting: null, disclosure: null}}"
        text = f"{HEAD}agents:\n{agent}\n{TAIL}"
        if default is not None:
            text = text.replace("defaults: {", f"defaults: {{transcription: {default}, ")
        call = plan(loaded(tmp_path, {"agents.yaml": text}), NUMBER)
        assert call.session["audio"]["input"]["transcription"] == heard


def test_silence_is_of_the_call(tmp_path: Path) -> None:
    silence = "silence: {after: 20s, say: '{{ vars.store }}? Still there?', hang_up_after: 3}, "
    call = planned(tmp_path, "hang_up", more=f"vars: {{store: {{default: Palm}}}}, {silence}")
    assert call.skills.silence is not None
    assert call.skills.silence.say == "Palm? Still there?"
    assert (call.skills.silence.after, call.skills.silence.hang_up_after) == (20.0, 3)
    quiet = planned(tmp_path, "", more="silence: {after: 1500ms}, ").skills.silence
    assert quiet is not None
    assert (quiet.after, quiet.say, quiet.hang_up_after) == (1.5, None, 2)


def test_keys_and_the_watch(tmp_path: Path) -> None:
    call = planned(tmp_path, "", more='keys: {"0": boss, "#": desk}, watch: 1m, ')
    assert call.skills.keys == {"0": "boss", "#": "desk"}
    assert [way.destination for way in call.ways.destinations] == ["boss", "desk"]
    assert call.ways.watch == 60.0


CHANGES = {
    "a tool": ("tools: [hang_up]", "tools: [wait]"),
    "a bound value": ("bind: {a: x}", "bind: {a: y}"),
    "a bound template": ("bind: {a: '{{ caller.e164 }}'}", "bind: {a: '{{ caller.name }}'}"),
    "a header": ("headers: {A: '{{ agent }}'}", "headers: {A: '{{ tenant }}'}"),
    "a requirement": ("requires: {attestation: A}", "requires: {attestation: B}"),
    "a timeout": ("timeout: 1s", "timeout: 2s"),
    "the end": ("finish: true", "finish: false"),
    "silence": ("silence: {after: 9s}", "silence: {after: 8s}"),
    "a question": ("silence: {after: 9s, say: A?}", "silence: {after: 9s, say: B?}"),
    "a key": ('keys: {"0": desk}', 'keys: {"1": desk}'),
    "the watch": ("watch: 20s", "watch: 21s"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_a_call_could_notice_is_another_version(what: str, tmp_path: Path) -> None:
    hashes = set()
    for written in CHANGES[what]:
        inside = written.startswith(("bind", "headers", "requires", "timeout", "finish"))
        leaf = f"tools: [{{http: {{name: x, url: 'https://a.example', {written}}}}}]"
        agent = f"  a: {{{leaf if inside else written}}}"
        hashes.add(house(tmp_path, agent).table.config_hash)
    assert len(hashes) == 2


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        ("", True),
        (", requires: {attestation: C}", False),
        (", parameters: {properties: {born: {type: string}}}", False),
    ],
)
def test_what_rests_on_a_number_that_anybody_can_claim(
    more: str, warned: bool, tmp_path: Path
) -> None:
    tool = "{http: {name: x, url: 'https://a.example', bind: {who: '{{ caller.e164 }}'}" + more
    config = house(tmp_path, f"  a: {{tools: [{tool}}}}}]}}")
    found = [str(one) for one in advice_on(config, date(2026, 9, 1)).warnings]
    assert any('the tool "x" trusts the number' in line for line in found) is warned


def _json(value: Any) -> str:
    return json.dumps(value)
