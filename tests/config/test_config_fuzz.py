"""No text raises anything but ConfigError."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.config import load, parse
from sipagent.errors import ConfigError, Finding
from tests.config.support import write

HERE = Path(__file__).parent
VALID = (HERE.parents[1] / "config" / "agents.yaml").read_text("utf-8")
BASE = HERE.parents[1] / "config"

WORDS = st.sampled_from(
    [
        *re.findall(r"[a-z_]+", "version defaults agents numbers agent reject model instructions"),
        *re.findall(r"[a-z_]+", "greeting say voice id speed turn_detection type threshold file"),
        *re.findall(r"[a-z_]+", "transcription keywords tracing metadata prompt variables region"),
        *re.findall(r"[a-z_]+", "truncation token_limits tool_choice include server_vad default a"),
        *re.findall(
            r"[a-z_]+", "extends vars languages disclosure silence tools transfer http url"
        ),
        *re.findall(r"[a-z_]+", "forward rules when hours dates caller header split tenant trunk"),
        *re.findall(r"[a-z_]+", "to on_failure secret expose account grants required en es office"),
        "{{ vars.a }}",
        "{% if",
        "{#",
        "${HOME}",
        "24/7",
        "09:00-17:00",
        "mon",
        "5%",
        "common/a",
        "+1 713 481 0111",
        "<text>",
        "<mapping>",
        "[key]",
        "__class__",
        "+17134810111",
        "+1713*",
        "sk-",
        "",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=8)
TREES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(WORDS, below, max_size=4),
    max_leaves=12,
)
LEAVES = st.dictionaries(WORDS, TREES, max_size=5)
FILES = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "defaults": LEAVES,
        "agents": st.dictionaries(WORDS, LEAVES, max_size=3) | TREES,
        "numbers": st.dictionaries(WORDS, TREES, max_size=3) | TREES,
    },
    optional={
        section: st.dictionaries(WORDS, TREES, max_size=3) | TREES
        for section in ("accounts", "trunks", "models", "tenants", "hours", "destinations", "vars")
    },
)
OWN = st.fixed_dictionaries(
    {"tenant": st.just("acme")},
    optional={
        "agents": st.dictionaries(WORDS, LEAVES, max_size=3) | TREES,
        "numbers": st.dictionaries(WORDS, TREES, max_size=3) | TREES,
        "hours": TREES,
        "destinations": st.dictionaries(WORDS, TREES, max_size=3),
        "vars": TREES,
        "fallback": TREES,
    },
)
SHARED = {
    "agents.yaml": (
        "version: 1\ninclude: tenants/*/tenant.yaml\ntenants: {acme: {}}\n"
        "defaults: {model: m, rules: '{{ agent }} never lies.'}\nagents: {a: {}}\n"
        "numbers: {table: t.csv, '+1 713 481 0111': {tenant: acme, agent: a}, default: a}\n"
    ),
    "t.csv": "number,agent\n",
}


def findings_of(text: str) -> tuple[Finding, ...]:
    try:
        parse(text, file="f", base=BASE)
    except ConfigError as error:
        return error.findings
    return ()


def tell_all(path: Path) -> None:
    try:
        load(path, environment={})
    except ConfigError as error:
        for finding in error.findings:
            assert finding.line >= 1
            assert finding.column >= 1
            assert str(finding).isprintable()


def tell(text: str) -> None:
    for finding in findings_of(text):
        assert finding.line >= 1
        assert finding.column >= 1
        assert str(finding).isprintable()


@given(st.text())
@settings(deadline=None)
def test_any_text(text: str) -> None:
    tell(text)


@given(st.text(alphabet="abn+*&!?:-,.[]{}'\"|>#%@` \t\n019\\\ud800\x00\ufeff", max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_syntax(text: str) -> None:
    tell(text)


@given(st.data())
@settings(deadline=None)
def test_any_piece_of_a_usable_file_replaced(data: Any) -> None:
    start = data.draw(st.integers(0, len(VALID)))
    end = data.draw(st.integers(start, min(len(VALID), start + 40)))
    tell(VALID[:start] + data.draw(st.text(max_size=12)) + VALID[end:])


@given(FILES)
@settings(max_examples=300, deadline=None)
def test_any_tree(tree: Any) -> None:
    tell(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False))


@given(OWN)
@settings(max_examples=300, deadline=None)
def test_any_file_of_a_tenant(tree: Any) -> None:
    with TemporaryDirectory() as name:
        own = yaml.safe_dump(tree, allow_unicode=True, sort_keys=False)
        path = write(Path(name), {**SHARED, "tenants/acme/tenant.yaml": own})
        tell_all(path)


@given(st.text() | st.text(alphabet="abn+*,;\"'\n\r 019\ufeff", max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_table(text: str) -> None:
    with TemporaryDirectory() as name:
        table = text.encode("utf-8", "surrogatepass")
        files = {**SHARED, "tenants/acme/tenant.yaml": "tenant: acme\nagents: {a: {}}\n"}
        path = write(Path(name), {**files, "t.csv": b"number,agent,store\n" + table})
        tell_all(path)
