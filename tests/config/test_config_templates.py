"""Templates: what they print, what is refused and where, and what a render may cost."""

import subprocess
import sys
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from sipagent.config.templates import compiled as templates
from sipagent.config.templates.compiled import (
    CompiledTemplate,
    TemplateProblem,
    compile_text,
    missing,
    sample_facts,
)
from sipagent.errors import TemplateError
from sipagent.model.facts import CallerFacts, CallFacts, NumberFacts, rendered
from sipagent.sip import Attestation, Untrusted

CHICAGO = ZoneInfo("America/Chicago")
NOW = datetime(2026, 11, 20, 14, 5, tzinfo=CHICAGO)  # a Friday
VARS = {
    "brand": "Acme",
    "store": "Main Street",
    "store_phone": "+17134810111",
    "count": "12",
    "items": "nails",
    "empty": "",
}


class Hours:
    """Opening hours that are open or not, and say when that changes."""

    def __init__(self, *, opens: datetime | None = None, closes: datetime | None = None) -> None:
        self.opens = opens
        self.closes = closes

    def is_open(self, at: datetime) -> bool:
        return self.closes is not None

    def next_opening(self, at: datetime) -> datetime | None:
        return at if self.is_open(at) else self.opens

    def next_closing(self, at: datetime) -> datetime | None:
        return self.closes if self.is_open(at) else at


MONDAY_9 = datetime(2026, 11, 23, 9, tzinfo=CHICAGO)
HOURS = {
    "shut": Hours(opens=MONDAY_9),
    "open": Hours(closes=datetime(2026, 11, 20, 17, 30, tzinfo=CHICAGO)),
    "never": Hours(),
}


def facts(**changes: object) -> CallFacts:
    made = sample_facts(
        vars=VARS,
        hours=HOURS,
        timezone="America/Chicago",
        language="en",
        headers=["X-Store-Id"],
        at=NOW,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def template(source: str) -> CompiledTemplate:
    made = compile_text(source)
    assert isinstance(made, CompiledTemplate), made
    return made


def problem(source: str) -> TemplateProblem:
    made = compile_text(source)
    assert isinstance(made, TemplateProblem), made
    return made


def render(source: str, **changes: object) -> str:
    return template(source).render(facts(**changes))


@pytest.mark.parametrize("source", ["", "Hello", "a } b %} #}", "{ x }", "x" * 300_000, "é\n"])
def test_a_text_without_templates_is_as_it_is(source: str) -> None:
    assert compile_text(source) is source
    assert rendered(source, facts()) is source


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ vars.brand }}!", "Acme!"),
        ("{{ vars['brand'] }}", "Acme"),
        ("{{ vars.items }}", "nails"),
        ("{{ vars.empty }}", ""),
        ("{{ tenant }}/{{ agent }}", "default/sample"),
        ("{{ dialed }} {{ number.e164 }}", "+12025550199 +12025550199"),
        ("{{ number.timezone }} {{ number.hours }}", "America/Chicago shut"),
        ("{{ number.language }}, {{ language }}", "en, en"),
        ("{{ caller.e164 }} {{ caller.name }}", '"+12025550123" "Sam Sample"'),
        ("{{ caller.attestation }} {{ caller.anonymous }}", "A no"),
        ("{{ headers['x-store-id'] }}{{ headers['X-STORE-ID'] }}", '"sample""sample"'),
        ("{{ headers['x-none'] }}|{{ headers.none }}", "|"),
        ("{{ now }}", "Friday, November 20, 2026, 2:05 pm"),
        ("{{ now|date }}", "Friday, November 20, 2026"),
        ("{{ now|time }} {{ now|time('%H:%M') }}", "2:05 pm 14:05"),
        ("{{ now|date('%d/%m/%Y') }} {{ now.strftime('%A') }}", "20/11/2026 Friday"),
        ("{{ now.hour }}:{{ now.minute }} {{ now.weekday() }}", "14:5 4"),
        ("{{ now.year }}-{{ now.month }}-{{ now.day }}", "2026-11-20"),
        ("{{ now.isoformat() }} {{ now.isoweekday() }}", "2026-11-20T14:05:00-06:00 5"),
        ("{{ hours.open.open }} {{ hours['shut'].open }}", "yes no"),
        ("{{ hours.shut.opens }}", "Monday, November 23, 2026, 9:00 am"),
        ("{{ hours.open.closes|time }}", "5:30 pm"),
        ("{{ hours.never.opens }}|{{ hours.never.opens|when }}", "|"),
        ("{{ hours.never.opens|when|default('not at all') }}", "not at all"),
        ("{{ hours[number.hours].opens|when }}", "Monday at 9:00 am"),
        ("{{ vars.store_phone|phone }}", "+1 713 481 0111"),
        ("{{ caller.e164|phone }}", '"+1 202 555 0123"'),
        ("{{ vars.brand|phone }}{{ '+999'|phone }}{{ '+0000000'|phone }}", "Acme+999+0000000"),
        ("{{ vars.brand|upper }}{{ vars.brand|lower }}", "ACMEacme"),
        ("{{ vars.store|title }}{{ vars.store|capitalize }}", "Main StreetMain street"),
        ("{{ \"don't\"|title }}{{ ' a '|trim }}", "Don'ta"),
        ("{{ caller.name|upper }}{{ caller.name|title|trim }}", '"SAM SAMPLE""Sam Sample"'),
        ("{{ vars.brand|first }}{{ vars.brand|last }}{{ vars.empty|first }}", "Ae"),
        ("{{ vars.brand|length }}{{ [1, 2]|length }}{{ hours|length }}", "423"),
        ("{{ [vars.brand, vars.store]|join(', ') }}", "Acme, Main Street"),
        ("{{ ['a', 'b']|join }}{{ [3, 4]|last }}", "ab4"),
        ("{{ vars.store|replace('Street', 'St.') }}", "Main St."),
        ("{{ vars.count|int + 1 }} {{ 'x'|int }} {{ 'x'|int(7) }}", "13 0 7"),
        ("{{ 2.6|round }} {{ 2.46|round(1) }} {{ -(1) }}", "3 2.5 -1"),
        ("{{ vars.brand ~ ' ' ~ 3 ~ none }}", "Acme 3"),
        ("{{ 'a' if caller.anonymous else 'b' }}{{ 'c' if caller.anonymous }}", "b"),
        ("{{ vars.empty or 'x' }}{{ vars.brand and 'y' }}{{ not vars.empty }}", "xyyes"),
        ("{{ vars.empty|default('x') }}|{{ vars.empty|d('x', true) }}", "|x"),
        ("{{ vars.empty|default('x', boolean=true) }}", "x"),
        ("{{ vars.nowhere|default('x') }}", "x"),
        ("{{ vars.nowhere is defined }}{{ vars.nowhere is undefined }}", "noyes"),
        ("{{ headers.none is defined }}{{ headers.none is none }}", "noyes"),
        ("{{ vars.brand == 'Acme' }}{{ vars.brand in ['a'] }}{{ 'c' in vars.brand }}", "yesnoyes"),
        ("{{ caller.name == 'Sam Sample' }}{{ caller.name != 'x' }}", "yesyes"),
        ("{{ caller.e164 in ['+12025550123'] }}{{ caller.e164 == vars.brand }}", "yesno"),
        ("{{ caller.name == headers.none }}{{ 8 <= now.hour < 18 }}", "noyes"),
        ("{{ now.weekday() in [5, 6] }}{{ now < now }}", "nono"),
        ("{% if vars.empty %}a{% elif vars.brand %}b{% else %}c{% endif %}", "b"),
        ("{% set x = vars.brand %}{% set x = x ~ '!' %}{{ x }}", "Acme!"),
        ("{% if vars %}{% set x = 1 %}{% else %}{% set x = 'n' %}{% endif %}{{ x }}", "1"),
        ("{% for name, hour in hours.items() %}{{ name }}={{ hour.open }} {% endfor %}",
         "shut=no open=yes never=no "),
        ("{% for name in hours %}{{ loop.index }}{{ name }}{{ ',' if not loop.last }}{% endfor %}",
         "1shut,2open,3never"),
        ("{% for n, v in headers.items() %}{{ n }}: {{ v }}{% endfor %}",
         '"x-store-id": "sample"'),
        ("{% for n, v in vars.items() if v == '12' %}{% set w = v %}{{ n }}{{ w }}{% endfor %}",
         "count12"),
        ("{% raw %}{{ x }}{% endraw %}{{ '{{' }}{# nothing #}", "{{ x }}{{"),
        ("a\n{% if vars %}\n  b\n{% endif %}\nc\n", "a\n  b\nc\n"),
        ("a {% if vars %}b{% endif %}\nc {# d #}\n{# e #}\nf", "a b\nc \nf"),
        ("{% if vars %}b{% endif %}\r\nc", "b\nc"),
        ("{{ vars.brand }}{% if vars %}\nb{% endif %}\n\nc", "Acme\nb\n\nc"),
        ("{% if vars %}{# x #}\nb\n  {% endif %}\nc", "b\nc"),
        ("a {# d\n e #}\nb\n{# d\n e #}\nc", "a \nb\nc"),
        ("{% raw %}a {% b %}\n{% endraw %}\nc", "a {% b %}\nc"),
        ("a {%- if vars -%}\n b {%- endif +%}\nc", "ab\nc"),
        ("{{ 'é' }} ✓\r\n", "é ✓\n"),
    ],
)  # fmt: skip
def test_what_is_printed(source: str, text: str) -> None:
    assert render(source) == text


@pytest.mark.parametrize(
    ("opens", "words"),
    [
        (NOW, "now"),
        (NOW + timedelta(hours=3), "today at 5:05 pm"),
        (NOW - timedelta(hours=3), "today at 11:05 am"),
        (NOW + timedelta(hours=22), "tomorrow at 12:05 pm"),
        (datetime(2026, 11, 21, 0, 0, tzinfo=CHICAGO), "tonight at midnight"),
        (datetime(2026, 11, 21, 0, 30, tzinfo=CHICAGO), "tomorrow at 12:30 am"),
        (datetime(2026, 11, 26, 9, tzinfo=CHICAGO), "Thursday at 9:00 am"),
        (datetime(2026, 11, 27, 9, tzinfo=CHICAGO), "Friday, November 27, at 9:00 am"),
        (datetime(2027, 1, 4, 9, tzinfo=CHICAGO), "Monday, January 4, 2027, at 9:00 am"),
        (datetime(2026, 11, 23, 15, tzinfo=ZoneInfo("UTC")), "Monday at 9:00 am"),
        (datetime(2026, 11, 19, 9, tzinfo=CHICAGO), "Thursday, November 19, at 9:00 am"),
    ],
)
def test_when_in_words(opens: datetime, words: str) -> None:
    made = sample_facts(
        vars={},
        hours={"office": Hours(opens=opens)},
        timezone=None,
        language=None,
        headers=[],
        at=NOW,
    )
    assert template("{{ hours.office.opens|when }}").render(made) == words


def test_a_caller_without_number_name_and_attestation() -> None:
    source = "{{ caller.e164 }}{{ caller.name|upper|default('friend') }}{{ caller.attestation }}"
    assert render(source, caller=CallerFacts()) == "friend"
    assert render("{{ caller.anonymous }}", caller=CallerFacts()) == "yes"
    empty = CallerFacts(name=Untrusted("\u200b"))
    assert render("{% if caller.name %}a{% else %}b{% endif %}", caller=empty) == "b"


def test_an_attestation_that_failed_is_none() -> None:
    failed = CallerFacts(attestation=Attestation("A", "failed", "verstat"))
    assert render("{{ caller.attestation|default('none') }}", caller=failed) == "none"


def test_a_number_of_which_nothing_is_known() -> None:
    source = "{{ number.timezone|default('?') }}{{ hours[number.hours] is defined }}"
    assert render(source, number=NumberFacts()) == "?no"
    with pytest.raises(TemplateError, match=r"'hours\[number.hours\]' is undefined"):
        render("{{ hours[number.hours].open }}", number=NumberFacts())


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("{{ vars.secret_plan }}", "vars.secret_plan"),
        ("{% if vars.gone %}{% endif %}", "vars.gone"),
        ("{{ vars.gone|upper }}", "vars.gone"),
        ("{{ vars.gone ~ 'x' }}", "vars.gone"),
        ("{{ vars.gone == 'x' }}", "vars.gone"),
        ("{{ vars.gone|length }}", "vars.gone"),
        ("{{ hours.gone.open }}", "hours.gone"),
    ],
)
def test_what_is_not_set_is_named_and_no_value_is(source: str, name: str) -> None:
    with pytest.raises(TemplateError, match=f"'{name}' is undefined") as raised:
        render(source)
    assert not any(value and value in str(raised.value) for value in VARS.values())


def test_names_are_known_before_any_call() -> None:
    made = template(
        "{{ vars.a }}{{ vars['b'] }}{% if hours.office.open %}{{ vars.c|default('x') }}{% endif %}"
        "{{ headers['X-Store'] }}{% for n in vars %}{% endfor %}{{ now }}"
    )
    assert made.vars == {"a", "b", "c"}
    assert made.hours == {"office"}
    assert made.headers == {"x-store"}
    assert made.reads == {"vars", "hours", "headers", "now"}
    assert missing(made, {"a", "z"}) == ["b", "c"]
    assert missing(made, VARS) == ["a", "b", "c"]


def test_the_place_of_a_name() -> None:
    made = template("x\n  {{ vars.brand }} {{ vars.bran }}\n{{ headers['X-S'] }}")
    assert made.place_of("vars.bran") == (2, 28)
    assert made.place_of("vars.brand") == (2, 11)
    assert made.place_of("headers.x-s") == (3, 13)


def test_equality_hash_and_repr_are_those_of_the_source() -> None:
    made = template("{{ vars.brand }}")
    templates._compiled.cache_clear()
    again = template("{{ vars.brand }}")
    assert made is not again
    assert made == again
    assert hash(made) == hash(again)
    assert made != template("{{ vars.store }}")
    assert made != "{{ vars.brand }}"
    assert repr(made) == "CompiledTemplate('{{ vars.brand }}')"


def test_a_source_is_compiled_once_by_whichever_thread_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled: list[str] = []
    original = templates._parts
    monkeypatch.setattr(templates, "_parts", lambda s: compiled.append(s) or original(s))
    sources = [f"{{{{ vars.brand }}}} {number}" for number in range(20)]
    found: list[dict[str, object]] = []
    threads = [
        threading.Thread(target=lambda: found.append({s: compile_text(s) for s in sources}))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(compiled) == sorted(sources)
    assert all(one[source] is found[0][source] for one in found for source in sources)


def test_jinja_is_imported_with_the_first_template() -> None:
    program = (
        "import sys; from sipagent.config.templates.compiled import compile_text as c; c('plain');"
        "before = 'jinja2' in sys.modules; c('{{ now }}'); print(before, 'jinja2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"], done.stderr


def test_a_lookup_that_fails_within_is_an_error_of_the_template() -> None:
    class Broken(Hours):
        def is_open(self, at: datetime) -> bool:
            raise ValueError("a value")

    made = sample_facts(
        vars={}, hours={"a": Broken()}, timezone=None, language=None, headers=[], at=NOW
    )
    with pytest.raises(TemplateError, match=r"^cannot be rendered: ValueError$"):
        template("{{ hours.a.open }}").render(made)


def test_what_is_checked_is_what_there_is() -> None:
    from sipagent.config.templates import filters, kinds, values

    made = filters.environment()
    own = {filters.CONCAT, filters.PAIRS, filters.NAMES}
    assert set(made.filters) == set(kinds.FILTERS) | own
    assert set(made.tests) == kinds.TESTS
    assert not made.globals
    assert not made.extensions
    assert set(values.values_of(facts(), kinds.ROOTS)) >= set(kinds.ROOTS)
    assert not any(name.isidentifier() for name in own)
