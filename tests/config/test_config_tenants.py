"""A tenant's file is untrusted: what it reaches for is refused, at the right place and without an
echo, and nothing of the operator's changes."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from sipagent.config import load
from sipagent.config.reload.apart import read_version
from tests.config.support import findings, loaded, plan, told, write

SECRET = "hunter2-of-the-operator"
FILES = {
    "agents.yaml": """\
version: 1
include: [common/agents.yaml, tenants/*/tenant.yaml]
accounts:
  us-1: {api_keys: "${OPENAI_API_KEY}", webhook_secrets: {file: secrets/us-1.hooks}}
defaults: {model: gpt-realtime-2.1, rules: Never lie.}
tenants:
  acme: {grants: {secrets: {crm: {file: secrets/crm}}, http_hosts: [api.acme.example]}}
  bravo: {}
destinations: {boss: "+1 713 555 0100"}
agents: {operators: {instructions: Be the operator's.}}
numbers:
  "+1 713 481 0101": {agent: store, tenant: acme}
  "+1 713 481 0102": {agent: store, tenant: bravo}
  "+1 713 481 0103": operators
  default: {reject: 404}
""",
    "common/agents.yaml": "namespace: common\nagents: {shop: {voice: marin}}\n",
    "tenants/acme/tenant.yaml": "tenant: acme\nagents: {store: {instructions: Be acme.}}\n",
    "tenants/bravo/tenant.yaml": (
        "tenant: bravo\nagents: {store: {instructions: {file: prompts/store.md}}}\n"
    ),
    "tenants/bravo/prompts/store.md": "Be bravo. Our margin is forty per cent.\n",
    "secrets/crm": SECRET,
}
ENVIRONMENT = {"OPENAI_API_KEY": SECRET}

REACHES = {
    "the environment": (
        "agents: {store: {instructions: 'Key: ${OPENAI_API_KEY}'}}",
        "2:32: agents.store.instructions: ${OPENAI_API_KEY} cannot be read here",
    ),
    "the environment in a path": (
        "agents: {store: {instructions: {file: '${HOME}/x'}}}",
        "2:39: agents.store.instructions.file: ${HOME} cannot be read here",
    ),
    "the environment in a URL": (
        "agents: {store: {tools: [{http: {name: x, url: 'https://api.acme.example/${KEY}'}}]}}",
        "2:48: agents.store.tools[0].http.url: ${KEY} cannot be read here",
    ),
    "an absolute path": (
        "agents: {store: {instructions: {file: /run/secrets/us-1.keys}}}",
        '2:39: agents.store.instructions.file: the file "/run/secrets/us-1.keys" lies outside',
    ),
    "another's prompt": (
        "agents: {store: {instructions: {file: ../bravo/prompts/store.md}}}",
        '2:39: agents.store.instructions.file: the file "../bravo/prompts/store.md" lies outside',
    ),
    "a path back into its folder": (
        "agents: {store: {instructions: {file: ../acme/tenant.yaml}}}",
        '2:39: agents.store.instructions.file: the file "../acme/tenant.yaml" lies outside',
    ),
    "a secret by its file": (
        (
            "agents: {store: {tools: [{http: {name: x, url: 'https://api.acme.example/', "
            "auth: {bearer: {file: /run/secrets/x}}}}]}}"
        ),
        "2:84: agents.store.tools[0].http.auth.bearer.secret: is missing",
    ),
    "another's secret": (
        (
            "agents: {store: {tools: [{http: {name: x, url: 'https://api.acme.example/', "
            "auth: {bearer: {secret: us-1}}}}]}}"
        ),
        "2:101: agents.store.tools[0].http.auth.bearer.secret: the tenant has no secret",
    ),
    "another host": (
        "agents: {store: {tools: [{http: {name: x, url: 'http://169.254.169.254/'}}]}}",
        '2:48: agents.store.tools[0].http.url: the tenant may not ask the host "169.254.169.254"',
    ),
    "a program": (
        "agents: {store: {tools: [{mcp: {server_label: x, command: [sh]}}]}}",
        "2:50: agents.store.tools[0].mcp.command: only the operator's files may start programs",
    ),
    "a function": (
        "agents: {store: {tools: [{python: {name: x}}]}}",
        "2:27: agents.store.tools[0].python: only the operator's files may use Python tools",
    ),
    "another's agent": (
        "agents: {store: {extends: bravo/store}}",
        '2:27: agents.store.extends: there is no namespace "bravo"',
    ),
    "the operator's agent": (
        "agents: {store: {extends: operators}}",
        '2:27: agents.store.extends: there is no agent "operators"',
    ),
    "another's agent for its number": (
        'agents: {store: {}}\nnumbers: {"+1 713 481 0101": bravo/store}',
        '3:30: numbers."+1 713 481 0101": there is no namespace "bravo"',
    ),
    "the operator's destination": (
        'agents: {store: {}}\nnumbers: {"+1 713 481 0101": {forward: boss}}',
        '3:40: numbers."+1 713 481 0101".forward: there is no destination "boss"',
    ),
    "another's number": (
        'agents: {store: {}}\nnumbers: {"+1 713 481 0102": store}',
        '3:11: numbers."+1 713 481 0102": this number is not the tenant\'s',
    ),
    "a number of the operator's": (
        'agents: {store: {}}\nnumbers: {"17134810103": store}',
        "3:11: numbers.17134810103: this number is not the tenant's",
    ),
    "a number that nobody has": (
        'agents: {store: {}}\nnumbers: {"+1 713 481 0199": store}',
        '3:11: numbers."+1 713 481 0199": this number is not the tenant\'s',
    ),
    "every number": (
        "agents: {store: {}}\nnumbers: {default: store}",
        "3:11: numbers.default: this number is not the tenant's",
    ),
    "a prefix": (
        'agents: {store: {}}\nnumbers: {"+1*": store}',
        '3:11: numbers."+1*": this number is not the tenant\'s',
    ),
    "a table": (
        "agents: {store: {}}\nnumbers: {table: ../../numbers/*.csv}",
        "3:11: numbers.table: only the operator's main file may have it",
    ),
    "an owner": (
        'agents: {store: {}}\nnumbers: {"+1 713 481 0101": {agent: store, tenant: bravo}}',
        '3:45: numbers."+1 713 481 0101".tenant: only the operator\'s files may have it',
    ),
    "extra": (
        "agents: {store: {extra: {tools: []}}}",
        "2:18: agents.store.extra: unknown key (only the operator's files may have it)",
    ),
    "a limit": ("agents: {store: {}}\nmax_concurrent_calls: 900", "3:1: max_concurrent_calls"),
    "a namespace": ("agents: {store: {}}\nnamespace: common", "3:1: namespace: unknown key"),
    "the rules": ("agents: {store: {rules: None.}}", "2:18: agents.store.rules: unknown key"),
    "what a template does not have": (
        "agents: {store: {greeting: '{{ tenant.secrets }}'}}",
        "2:28: agents.store.greeting:",
    ),
    "another's variables": (
        "agents: {store: {greeting: '{{ tenants.bravo }}'}}",
        '2:28: agents.store.greeting: there is no variable "tenants"',
    ),
    "a file from a template": (
        "agents: {store: {greeting: \"{% include '/etc/passwd' %}\"}}",
        "2:28: agents.store.greeting: {% include %} is not available",
    ),
    "where callers choose": (
        "agents: {store: {}}\ndestinations: {x: '{{ caller.e164 }}'}",
        "3:19: destinations.x: caller cannot choose where a call goes",
    ),
} | {
    section: (
        f"agents: {{store: {{}}}}\n{section}: {{}}",
        f"3:1: {section}: unknown key (only the operator's files may have it)",
    )
    for section in ("accounts", "trunks", "tenants", "models", "defaults", "include")
}


def with_acme(text: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**FILES, "tenants/acme/tenant.yaml": f"tenant: acme\n{text}\n", **(more or {})}


def test_the_files_of_these_tests_are_usable(tmp_path: Path) -> None:
    config = loaded(tmp_path, FILES, **ENVIRONMENT)
    instructions = [
        plan(config, f"+1713481010{at}", account="us-1").session["instructions"] for at in (1, 2, 3)
    ]
    assert instructions == [
        "Be acme.\n\nNever lie.",
        "Be bravo. Our margin is forty per cent.\n\nNever lie.",
        "Be the operator's.\n\nNever lie.",
    ]


@pytest.mark.parametrize("what", REACHES)
def test_what_is_not_the_tenants_is_refused(what: str, tmp_path: Path) -> None:
    text, expected = REACHES[what]
    path = write(tmp_path, with_acme(text))
    lines = told(path, **ENVIRONMENT)
    assert lines[0].startswith(f"tenants/acme/tenant.yaml:{expected}")
    assert {finding.tenant for finding in findings(path, **ENVIRONMENT)} == {"acme"}
    assert SECRET not in "".join(lines)


@pytest.mark.parametrize("what", REACHES)
def test_the_others_are_served_meanwhile(what: str, tmp_path: Path) -> None:
    path = write(tmp_path, FILES)
    good = read_version(path, None, ENVIRONMENT)
    write(tmp_path, with_acme(REACHES[what][0]) | {"common/agents.yaml": "namespace: common\n"})
    version = read_version(path, good.bundle, ENVIRONMENT)
    assert set(version.loaded.stale) == {"acme"}
    for number in ("+17134810101", "+17134810102", "+17134810103"):
        plan(version.loaded, number, account="us-1")


LINKS = {
    "a prompt outside": ("prompts/store.md", "/etc/passwd"),
    "a prompt of another tenant": ("prompts/store.md", "../../bravo/prompts/store.md"),
    "a prompt of the operator": ("prompts/store.md", "../../../secrets/crm"),
    "a folder": ("prompts", "../bravo/prompts"),
}


@pytest.mark.parametrize("what", LINKS)
def test_links_out_of_the_folder_are_not_followed(what: str, tmp_path: Path) -> None:
    path = write(tmp_path, with_acme("agents: {store: {instructions: {file: prompts/store.md}}}"))
    name, target = LINKS[what]
    link = tmp_path / "tenants" / "acme" / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(target)
    lines = told(path, **ENVIRONMENT)
    assert lines == [
        (
            "tenants/acme/tenant.yaml:2:39: agents.store.instructions.file: the file "
            '"prompts/store.md" lies outside of this file\'s folder (write a path relative to the '
            "folder of this file, and within it)"
        )
    ]


@pytest.mark.parametrize("target", ["/etc/passwd", "../bravo/tenant.yaml", "../../secrets/crm"])
def test_a_tenants_file_that_is_a_link_is_not_read(target: str, tmp_path: Path) -> None:
    path = write(tmp_path, FILES)
    own = tmp_path / "tenants" / "acme" / "tenant.yaml"
    own.unlink()
    own.symlink_to(target)
    lines = told(path, **ENVIRONMENT)
    assert lines[0].startswith("tenants/acme/tenant.yaml:1:1: the file ")
    assert not [word for word in (SECRET, "root:", "bravo:", "margin") if word in "".join(lines)]


def test_links_within_the_folder_are_followed(tmp_path: Path) -> None:
    path = write(tmp_path, FILES)
    own = tmp_path / "tenants" / "acme" / "tenant.yaml"
    own.rename(own.with_name("real.yaml"))
    own.symlink_to("real.yaml")
    assert load(path, environment=ENVIRONMENT).table


def test_a_row_of_the_operator_whose_agent_is_gone_is_the_tenants_fault(tmp_path: Path) -> None:
    path = write(tmp_path, with_acme("agents: {shop: {}}"))
    assert told(path, **ENVIRONMENT) == [
        (
            'agents.yaml:12:30: numbers."+1 713 481 0101".agent: there is no agent "store" '
            "(acme's agents: common/shop, shop)"
        )
    ]
    assert [finding.tenant for finding in findings(path, **ENVIRONMENT)] == ["acme"]


def test_an_agent_that_is_gone_is_served_from_the_last_good_file(tmp_path: Path) -> None:
    path = write(tmp_path, FILES)
    good = read_version(path, None, ENVIRONMENT)
    write(tmp_path, with_acme("agents: {shop: {}}"))
    version = read_version(path, good.bundle, ENVIRONMENT)
    assert set(version.loaded.stale) == {"acme"}
    assert plan(version.loaded, "+17134810101", account="us-1").agent == "store"


@pytest.mark.parametrize("rules", ["Never lie.", "{# a #}Never lie.{# b #}", "{{ agent }}: no."])
@pytest.mark.parametrize(
    "trick", ["{#", "{% raw %}", "{% if false %}", "{{ '", "{% set x %}", "{%"], ids=repr
)
def test_no_text_swallows_the_rules(trick: str, rules: str, tmp_path: Path) -> None:
    text = f'agents: {{store: {{instructions: "Be acme. {trick}"}}}}'
    main = FILES["agents.yaml"].replace("rules: Never lie.", f'rules: "{rules}"')
    lines = told(write(tmp_path, with_acme(text, {"agents.yaml": main})), **ENVIRONMENT)
    assert lines[0].startswith("tenants/acme/tenant.yaml:2:32: agents.store.instructions:")


@pytest.mark.parametrize(
    "content", [b"tenant: acme\n\tx: 1\n", b"\xff\xfe", b"- acme\n", b"", b"tenant: bravo\n"]
)
def test_an_unreadable_file_is_the_tenants_fault_alone(content: bytes, tmp_path: Path) -> None:
    path = write(tmp_path, FILES)
    good = read_version(path, None, ENVIRONMENT)
    write(tmp_path, {"tenants/acme/tenant.yaml": content})
    assert {finding.tenant for finding in findings(path, **ENVIRONMENT)} == {"acme"}
    version = read_version(path, good.bundle, ENVIRONMENT)
    assert plan(version.loaded, "+17134810101", account="us-1").agent == "store"
