"""Whole configurations: what they compile to, which value holds, and what their hash names."""

from pathlib import Path

import pytest

from sipagent.config import Loaded, load
from sipagent.config.compilation import ENVIRONMENT_ACCOUNT
from sipagent.model import Accept, Forward, HttpRequest, Rate, Reject, Requirement
from sipagent.routing import AnswerWith
from tests.config.support import NOON, decided, loaded, plan, told, write

DATA = Path(__file__).parents[1] / "data"
US = "us-1"
NUMBER = "+17134810111"


@pytest.fixture(scope="module")
def one() -> Loaded:
    return load(DATA / "one_company" / "agents.yaml", environment={})


@pytest.fixture(scope="module")
def many() -> Loaded:
    return load(DATA / "many_tenants" / "agents.yaml", environment={"SIPAGENT_ENV": "prod"})


def test_one_company(one: Loaded) -> None:
    reception = plan(one, NUMBER)
    assert reception.greeting is not None
    assert reception.greeting.say == "Thank you for calling Acme, this is Alex."
    assert not reception.greeting.interruptible
    assert plan(one, "+17134810122").agent in {"reception", "reception_next"}
    night = plan(one, "+17134810122", at=NOON + 12 * 3600)
    assert (night.agent, night.refer_to) == (None, "tel:+17134810199")
    unknown = decided(one, "+17134819999").verdict
    assert isinstance(unknown, Reject)
    assert unknown.code == 404
    asleep = decided(one, "+17134810122", at=NOON + 12 * 3600, caller="+14065550123").verdict
    assert isinstance(asleep, Reject)
    assert asleep.code == 603


def test_many_tenants(many: Loaded) -> None:
    assert [account.name for account in many.accounts] == ["us-1", "eu-1", "az"]
    assert set(many.table.trunks) == {"twilio-us", "wavix-eu"}
    assert many.table.trunks["twilio-us"].expose == ("x-store-id",)  # type: ignore[index]
    assert set(many.trunk_secrets) == {"twilio-us"}
    verdict = decided(many, NUMBER, account=US, trunk="twilio-us", at=NOON + 12 * 3600).verdict
    assert isinstance(verdict, Accept)
    assert verdict.plan.agent == "store"
    instructions = verdict.plan.session["instructions"]
    assert instructions.startswith("You answer for Acme Downtown of Acme Hardware: messages only.")
    assert instructions.endswith("virtual assistant when somebody asks.")
    assert verdict.plan.greeting is not None
    assert verdict.plan.greeting.say.startswith("I'm Acme Hardware's virtual assistant;")
    assert verdict.plan.session["model"] == "gpt-realtime-2.1"
    assert verdict.plan.session["audio"]["output"]["voice"] == "marin"


def test_what_an_agent_of_many_tenants_can_do(many: Loaded) -> None:
    verdict = decided(many, NUMBER, account=US, trunk="twilio-us").verdict
    assert isinstance(verdict, Accept)
    skills, ways = verdict.plan.skills, verdict.plan.ways
    names = [tool.name for tool in skills.tools]
    assert names == ["hang_up", "wait", "transfer", "order_status"]
    assert [tool["name"] for tool in verdict.plan.session["tools"]] == names
    request = skills.tools[3]
    assert request.requires == Requirement("A")
    assert isinstance(request.does, HttpRequest)
    assert request.does.secret == "crm_token"
    assert request.does.bind == {"caller": "+12025550123", "store": "Acme Downtown"}
    assert [way.destination for way in ways.destinations] == ["store_phone", "call_centre"]
    assert ways.destinations[0].on_failure == ("call_centre", "take_message")
    assert ways.destinations[0].open == ((0.0, 3900.0),)
    assert ways.cap is not None
    assert ways.cap.rate == Rate(40, 3600.0)
    assert skills.silence is not None
    assert skills.silence.say == "Are you still there?"
    assert ("acme", "crm_token") in many.granted


def test_a_number_is_answered_in_its_own_language(many: Loaded) -> None:
    verdict = decided(many, "+17134810112", account=US, trunk="twilio-us").verdict
    assert isinstance(verdict, Accept)
    assert verdict.plan.language == "es"
    assert verdict.plan.greeting is not None
    assert verdict.plan.greeting.say.endswith("¿En qué puedo ayudarle?")


def test_a_tenants_rules_take_the_place_of_its_row(many: Loaded) -> None:
    route = many.table.directory(many.accounts[0].name).listed(NUMBER)
    assert route is not None
    first, second = (rule.action for rule in route.rules)
    assert isinstance(first, AnswerWith)
    assert first.split == (("store_next", 0.05),)
    assert isinstance(second, AnswerWith)
    assert second.vars == (("offer", "messages only"),)
    assert (route.tenant, route.trunk, route.hours) == ("acme", "twilio-us", "weekdays")
    assert route.vars["store"] == "Acme Downtown"


def test_a_number_is_listed_for_its_account_only(many: Loaded) -> None:
    assert [len(many.table.directories[spec.name].exact) > 0 for spec in many.accounts] == [
        True,
        False,
        False,
    ]


def test_the_environment_chooses_the_table() -> None:
    path = DATA / "many_tenants" / "agents.yaml"
    staging = load(path, environment={"SIPAGENT_ENV": "staging"})
    assert plan(staging, NUMBER, account=US).tenant == "acme"
    assert told(path)[0].endswith("which is not set (set it to production, for example)")


MAIN = "version: 1\ndefaults: {model: m}\n"


def test_a_tenant_without_a_file_has_the_main_files_agents(tmp_path: Path) -> None:
    text = MAIN + "tenants: {acme: {}}\nagents: {a: {}}\nnumbers: {default: a, '+1 713 481 0111': "
    config = loaded(tmp_path, {"agents.yaml": text + "{agent: a, tenant: acme}}\n"})
    assert (plan(config, NUMBER).tenant, plan(config, "+17134819999").tenant) == ("acme", "default")


def test_the_main_files_hours_are_everybodys(tmp_path: Path) -> None:
    files = {
        "agents.yaml": MAIN
        + "include: tenants/*/tenant.yaml\ntenants: {acme: {}}\n"
        + 'hours: {office: {mon: "09:00-17:00"}, other: "24/7"}\n'
        + "numbers: {'+1 713 481 0111': {agent: a, tenant: acme}}\n",
        "tenants/acme/tenant.yaml": "tenant: acme\nagents: {a: {}, b: {}}\nhours: {other: "
        '{sun: "09:00-10:00"}}\nnumbers: {"+1 713 481 0111": [{when: {hours: not office}, '
        "agent: b}, {when: {hours: other}, reject: 480}, {agent: a}]}\n",
    }
    assert plan(loaded(tmp_path, files), NUMBER).agent == "b"  # it is Tuesday


def test_default_answers_where_no_rule_holds(tmp_path: Path) -> None:
    text = MAIN + "agents: {a: {}}\nnumbers: {'+1 713 481 0111': [{when: {caller: anonymous}, "
    with_default = loaded(tmp_path, {"agents.yaml": text + "agent: a}], default: a}\n"})
    assert isinstance(decided(with_default, NUMBER).verdict, Accept)
    without = loaded(tmp_path, {"agents.yaml": text + "agent: a}]}\n"})
    verdict = decided(without, NUMBER).verdict
    assert isinstance(verdict, Reject)
    assert verdict.code == 404


LEVELS = [
    ("declared default", "vars: {x: {default: ONE}}", "", "", "", ""),
    ("defaults", "vars: {x: {default: no}}", "vars: {x: ONE}", "", "", ""),
    ("main file", "vars: {x: required}", "vars: {x: no}", "ONE", "", ""),
    ("tenant's entry", "vars: {x: required}", "vars: {x: no}", "no", "vars: {x: ONE}", ""),
    ("agent's value", "vars: {x: {value: ONE}}", "vars: {x: no}", "no", "vars: {x: no}", ""),
    ("number", "vars: {x: {value: no}}", "vars: {x: no}", "no", "vars: {x: no}", "vars: {x: ONE}"),
]


@pytest.mark.parametrize(("what", "agent", "defaults", "file", "entry", "number"), LEVELS)
def test_the_nearest_value_holds(
    what: str, agent: str, defaults: str, file: str, entry: str, number: str, tmp_path: Path
) -> None:
    more = f"vars: {{x: {file}}}\n" if file else ""
    text = (
        f"version: 1\ndefaults: {{model: m, {defaults}}}\n{more}tenants: {{acme: {{{entry}}}}}\n"
        f"agents: {{a: {{greeting: '{{{{ vars.x }}}}', {agent}}}}}\n"
        f"numbers: {{'{NUMBER}': {{agent: a, tenant: acme, {number}}}}}\n"
    )
    greeting = plan(loaded(tmp_path, {"agents.yaml": text}), NUMBER).greeting
    assert greeting is not None, what
    assert greeting.say == "ONE"


def test_a_rules_value_holds_before_the_numbers(tmp_path: Path) -> None:
    text = (
        MAIN + "agents: {a: {vars: {x: required}, greeting: '{{ vars.x }}'}}\nnumbers: {default: "
    )
    text += "{vars: {x: no}, rules: [{agent: a, vars: {x: 'ONE'}}]}}\n"
    greeting = plan(loaded(tmp_path, {"agents.yaml": text}), NUMBER).greeting
    assert greeting is not None
    assert greeting.say == "ONE"


def test_a_tenants_values_reach_its_destinations(tmp_path: Path) -> None:
    text = MAIN + "vars: {desk: '+1 713 555 0100'}\ndestinations: {d: '{{ vars.desk }}'}\n"
    text += "agents: {a: {}}\nnumbers: {default: {forward: d}}\n"
    config = loaded(tmp_path, {"agents.yaml": text})
    verdict = decided(config, NUMBER).verdict
    assert isinstance(verdict, Forward)
    assert verdict.plan.refer_to == "tel:+17135550100"


def test_an_agents_leaf_precedes_its_models(tmp_path: Path) -> None:
    text = (
        "version: 1\nmodels: {standard: {model: gpt-x, voice: marin, speed: 1.1}}\n"
        "defaults: {model: standard, voice: ash, max_output_tokens: 100}\n"
        "agents: {a: {speed: 1.2}, b: {model: gpt-y}, c: {extends: a, voice: sage}}\n"
        "numbers: {'101': a, '102': b, '103': c}\n"
    )
    config = loaded(tmp_path, {"agents.yaml": text})
    a, b, c = (plan(config, number).session for number in ("101", "102", "103"))
    assert (a["model"], a["audio"]["output"]) == ("gpt-x", {"voice": "marin", "speed": 1.2})
    assert (b["model"], b["audio"]["output"]) == ("gpt-y", {"voice": "ash"})
    assert (c["model"], c["audio"]["output"]) == ("gpt-x", {"voice": "sage", "speed": 1.2})
    assert a["max_output_tokens"] == 100


TABLES = {
    "commas": "number,agent,store\n+1 713 481 0111,a,Downtown\n",
    "semicolons": "number;agent;store\n+1 713 481 0111;a;Downtown\n",
    "order": "store,agent,number\nDowntown,a,+1 713 481 0111\n",
    "byte order mark": "\ufeffnumber,agent,store\n+1 713 481 0111,a,Downtown\n",
    "quotes": 'number,agent,store\n"+1 713 481 0111","a","Downtown"\n',
    "line ends": "number,agent,store\r\n+1 713 481 0111,a,Downtown\r\n",
    "no last line end": "number,agent,store\n+1 713 481 0111,a,Downtown",
    "spaces": "number , agent , store\n +1 713 481 0111 , a , Downtown \n",
    "empty rows": "\nnumber,agent,store\n,,\n+1 713 481 0111,a,Downtown\n\n",
}
TABLE_MAIN = (
    MAIN + "agents: {a: {vars: {store: required}, greeting: '{{ vars.store }}'}}\nnumbers: "
)


@pytest.mark.parametrize("what", TABLES)
def test_tables_as_programs_write_them(what: str, tmp_path: Path) -> None:
    files = {"agents.yaml": TABLE_MAIN + "{table: t.csv}\n", "t.csv": TABLES[what]}
    greeting = plan(loaded(tmp_path, files), NUMBER).greeting
    assert greeting is not None
    assert greeting.say == "Downtown"


def test_cells_of_several_lines(tmp_path: Path) -> None:
    table = 'number,agent,store\n+1 713 481 0111,a,"Down\n""town"", Main"\n+1 713 481 0112,b,x\n'
    path = write(tmp_path, {"agents.yaml": TABLE_MAIN + "{table: t.csv}\n", "t.csv": table})
    assert told(path) == ['t.csv:4:2: agent: there is no agent "b" (agents: a)']
    config = loaded(tmp_path, {"t.csv": table.replace(",b,", ",a,")})
    route = config.table.directory(ENVIRONMENT_ACCOUNT).listed(NUMBER)
    assert route is not None
    assert route.vars == {"store": 'Down\n"town", Main'}


HASHED = """\
version: 1
accounts:
  us: {api_keys: "${K}", webhook_secrets: "${W}"}
trunks:
  t: {secret: {header: X-Key, file: k}, dialed_header: x-did, expose: [x-a], refer: "tel:{e164}"}
  u: {secret: none, per_caller: 3/10m}
models: {standard: {model: gpt-x, voice: marin}}
defaults: {model: standard, region: US, rules: Never lie., vars: {shared: "1"}}
tenants: {acme: {account: us, timezone: UTC, language: en, grants: {transfers_per_hour: 5}}}
hours: {office: {mon: "09:00-17:00", holidays: US}}
destinations:
  desk: {to: "+1 713 555 0100", on_failure: resume}
  varied: "+1 713 555 010{{ vars.shared }}"
agents:
  a:
    vars: {store: {default: Downtown}}
    languages: [en, es]
    greeting: {en: "Hello {{ vars.store }}", es: Hola}
    disclosure: {en: AI, es: IA}
    instructions: {file: prompt.md}
    speed: 1.1
    extra: {max_output_tokens: 100}
  b: {greeting: {say: Hi, interruptible: false}, tools: [hang_up]}
numbers:
  "+1 713 481 0111":
    - {when: {hours: office, caller: "+1406*"}, agent: a, split: {b: 5%}}
    - {when: {dates: "2026-12-24"}, reject: 480}
    - {when: {header: {name: x-a, equals: b}}, agent: b}
    - {agent: a, vars: {store: Midtown}}
  "+1 713 481 0112": {tenant: acme, agent: a, trunk: t, hours: office, language: es}
  "+1 713 481 0113": {forward: desk}
  default: {reject: 404}
"""
SAME = [
    ("version: 1", "# a comment\nversion: 1"),
    ("{model: gpt-x, voice: marin}", "{voice: marin, model: gpt-x}"),
    ("+1 713 481 0112", "1-713-481-0112"),
    ('"+1 713 481 0113": {forward: desk}', "+17134810113: [{forward: desk}]"),
    (
        "speed: 1.1\n    extra: {max_output_tokens: 100}",
        "extra: {max_output_tokens: 100}\n    speed: 1.1",
    ),
]
OTHER = [
    ('"${K}"', '"${OTHER}"'),
    ("file: k}", "file: other}"),
    ("x-did", "x-number"),
    ("X-Key", "X-Other"),
    ("expose: [x-a]", "expose: [x-b]"),
    ('"tel:{e164}"', '"sip:{e164}@x.example"'),
    ("3/10m", "4/10m"),
    ("3/10m", "3/20m"),
    ("gpt-x", "gpt-y"),
    ("voice: marin", "voice: cedar"),
    ("region: US", "region: CA"),
    ("Never lie.", "Never sing."),
    ("account: us, ", ""),
    ("  us: {", "  us: {region: eu, "),
    ("timezone: UTC", "timezone: Europe/Berlin"),
    ("transfers_per_hour: 5", "transfers_per_hour: 6"),
    ("09:00-17:00", "09:00-18:00"),
    ("mon:", "tue:"),
    ("holidays: US", "holidays: DE"),
    ("+1 713 555 0100", "+1 713 555 0101"),
    ("on_failure: resume", "on_failure: hang_up"),
    ('shared: "1"', 'shared: "2"'),
    ("default: Downtown", "default: Uptown"),
    ("languages: [en, es]", "languages: [es, en]"),
    ("Hello {{", "Goodbye {{"),
    ("es: Hola", "es: Adiós"),
    ("en: AI", "en: A machine"),
    ("speed: 1.1", "speed: 1.2"),
    ("max_output_tokens: 100", "max_output_tokens: 200"),
    ("interruptible: false", "interruptible: true"),
    ("hours: office, caller", "hours: not office, caller"),
    ("+1406*", "+1407*"),
    ("b: 5%", "b: 6%"),
    ("2026-12-24", "2026-12-24..2026-12-26"),
    ("reject: 480", "reject: 486"),
    ("equals: b", "prefix: b"),
    ("equals: b", "equals: c"),
    ("store: Midtown", "store: Uptown"),
    ("tenant: acme, ", ""),
    ("trunk: t, ", "trunk: u, "),
    ("hours: office, language", "language"),
    ("language: es", "language: en"),
    ("forward: desk", "reject: 404"),
    ("481 0113", "481 0114"),
    ("default: {reject: 404}", "default: a"),
]


def hash_of(folder: Path, text: str) -> str:
    files = {"agents.yaml": text, "prompt.md": "Be kind.\n"}
    return loaded(folder, files).table.config_hash


@pytest.mark.parametrize(("old", "new"), SAME)
def test_what_no_call_notices_leaves_the_hash(old: str, new: str, tmp_path: Path) -> None:
    assert HASHED.count(old) >= 1
    assert hash_of(tmp_path, HASHED.replace(old, new, 1)) == hash_of(tmp_path, HASHED)


def test_what_a_call_could_notice_changes_the_hash(tmp_path: Path) -> None:
    hashes = {"": hash_of(tmp_path, HASHED)}
    for old, new in OTHER:
        assert HASHED.count(old) >= 1, old
        hashes[f"{old} -> {new}"] = hash_of(tmp_path, HASHED.replace(old, new, 1))
    assert len(set(hashes.values())) == len(OTHER) + 1, hashes
