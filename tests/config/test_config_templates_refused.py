"""What templates refuse, with its place, and what they may cost."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from sipagent.config.templates.compiled import (
    MAX_OUTPUT_BYTES,
    MAX_SOURCE_BYTES,
    CompiledTemplate,
    TemplateProblem,
    compile_text,
    sample_facts,
)
from sipagent.config.templates.values import MAX_WORK
from sipagent.errors import TemplateError

VARS = {"brand": "Acme", "empty": ""}


def problem(source: str) -> TemplateProblem:
    made = compile_text(source)
    assert isinstance(made, TemplateProblem), made
    return made


def render(source: str, values: Mapping[str, str] = VARS) -> str:
    made = compile_text(source)
    assert isinstance(made, CompiledTemplate), made
    at = datetime(2026, 11, 20, 14, 5, tzinfo=UTC)
    facts = sample_facts(vars=values, hours={}, timezone=None, language=None, headers=[], at=at)
    return made.render(facts)


@pytest.mark.parametrize(
    ("source", "line", "column", "message", "hint"),
    [
        ("a\n b {{ calller.name }}", 2, 7, 'there is no variable "calller"',
         'did you mean "caller"?'),
        ("{{ brand }}", 1, 4, 'there is no variable "brand"', "your own are written vars.brand"),
        ("{{ caller.nam }}", 1, 11, 'caller has no "nam"', 'did you mean "name"?'),
        ("{{ number.zzz }}", 1, 11, 'number has no "zzz"',
         "known are e164, timezone, hours, language"),
        ("{{ hours.a.opn }}", 1, 12, 'hours.a has no "opn"', 'did you mean "open"?'),
        ("{{ now.weekday }}", 1, 8, '"weekday" is asked for', "write weekday()"),
        ("{{ vars.a|uper }}", 1, 11, 'there is no filter "uper"', 'did you mean "upper"?'),
        ("{{ vars.a is odd }}", 1, 14, 'there is no test "odd"', "is defined"),
        ("{{ range(3) }}", 1, 4, "there is no function range()", "times have weekday()"),
        ("{{ ''.__class__ }}", 1, 7, '"__class__": names that begin with _ are private', None),
        ("{{ vars._x }}", 1, 9, '"_x": names that begin with _ are private', None),
        ("{% include 'x' %}", 1, 4, "{% include %} is not available in templates", "if, for"),
        ("{{ 'x' * 9 }}", 1, 1, "* is not available", "numbers take + -"),
        ("{{ vars['a' ~ 'b'] }}", 1, 4, "must be written out", "vars['name']"),
        ("{{ headers.x-store-id }}", 1, 12, "- takes numbers", "headers['x-store-id']"),
        ("{{ 'a' + vars.b }}", 1, 1, "+ takes numbers", "join texts by ~"),
        ("{{ hours.a }}", 1, 10, "hours.a is no text", "print one of its values"),
        ("{{ ['a'] }}", 1, 1, "this is no text", "|join"),
        ("{% if hours.a %}{% endif %}", 1, 13, "hours.a is always true", "write hours.a.open"),
        ("{{ hours.a.opens.hour }}", 1, 18, "is a time or nothing", "use |when"),
        ("{{ vars.a == 3 }}", 1, 9, "vars.a, a text, cannot be compared so with a number",
         "a text becomes a number by |int"),
        ("{{ caller.name|replace('a', 'b') }}", 1, 16, "cannot be used with a text from the caller",
         "text from the caller takes capitalize, d, default"),
        ("{{ caller.name ~ 'x' }}", 1, 11, "cannot be joined by ~", "braces of its own"),
        ("{% for a in vars %}{% for b in vars %}{% endfor %}{% endfor %}", 1, 4,
         "a loop cannot stand within a loop", None),
        ("{% for a in [1] %}{% endfor %}", 1, 4, "over vars, hours or headers only", "items()"),
        ("{% for a, b in vars %}{% endfor %}", 1, 4, "do not fit", "for name in vars"),
        ("{% set x = 1 %}{% for a in vars %}{% set x = 2 %}{% endfor %}", 1, 8,
         '"x" was set outside of this loop', "forgotten"),
        ("{% if vars %}{% set g = 1 %}{% endif %}\n{{ g }}", 2, 4,
         "not set on every way", "before"),
        ("{% set now = 1 %}", 1, 8, '"now" is taken', "another"),
        ("{% set _a = 1 %}", 1, 8, "begin with a letter", None),
        ("a\n{% if vars.x %}\nb", 2, 4, "{% if %} is never closed", "write {% endif %}"),
        ("{% if vars.x %}{% endfor %}", 1, 19, "{% endfor %} is not known", "{% elif %}"),
        ("{% frobnicate %}", 1, 4, "{% frobnicate %} is not known here", "if, for, set and raw"),
        ("x\n\n {{ vars.x", 3, 2, "unexpected end of template", "{% raw %}"),
        ("{{ vars.x }", 1, 1, "unexpected '}'", "{% raw %}"),
        ("{{ vars.x y }}", 1, 1, "expected token '}}', got 'y'", "{% raw %}"),
        ("see {#12", 1, 5, "{# is never closed", "{% raw %}"),
        ("see {#", 1, 5, "{# is never closed", "{% raw %}"),
        ("{#-", 1, 1, "{# is never closed", "{% raw %}"),
        ("{# a #}\r\n b {# c #} {#", 2, 12, "{# is never closed", "{% raw %}"),
        ("a\n\n  {%- if vars.x -%}\n\n{% endif %} {#\n d", 5, 13, "{# is never closed",
         "{% raw %}"),
        ("a\n {% raw %}", 2, 2, "{% raw %} is never closed", "{% raw %}"),
        ("a {%- raw -%}\n {#", 1, 3, "{% raw %} is never closed", "{% raw %}"),
        ("{{ now.strftime('%999999999d') }}", 1, 8, "no way to write a time", "%H:%M"),
        ("{{ now|date(vars.style) }}", 1, 8, "must be written out", None),
        ("{{ vars.a|default }}", 1, 11, "not given the right values", "|default('...')"),
    ],
)  # fmt: skip
def test_what_is_refused_and_where(
    source: str, line: int, column: int, message: str, hint: str | None
) -> None:
    found = problem(source)
    assert (found.line, found.column) == (line, column)
    assert message in found.message
    assert (hint or "") in (found.hint or "")
    assert hint is not None or found.hint is None


@pytest.mark.parametrize(
    "source",
    [
        "{% import 'x' as y %}", "{% from 'x' import y %}", "{% extends 'x' %}",
        "{% block a %}{% endblock %}", "{% macro a() %}{% endmacro %}",
        "{% call vars() %}{% endcall %}", "{% filter upper %}{% endfilter %}",
        "{% with %}{% endwith %}", "{% set a %}x{% endset %}",
        "{% autoescape true %}{% endautoescape %}", "{{ vars.a[1:] }}", "{{ {'a': 1} }}",
        "{{ 2 ** 9 }}", "{{ '%s' % 1 }}", "{{ 7 // 2 }}", "{{ 7 / 2 }}", "{{ self }}",
        "{{ loop.index }}", "{{ namespace() }}", "{{ lipsum() }}", "{{ cycler('a') }}",
        "{{ dict() }}", "{{ vars.items() }}", "{{ vars }}", "{{ caller }}", "{{ number }}",
        "{{ headers }}", "{{ now.replace(year=1) }}", "{{ now.weekday(1) }}",
        "{{ now.strftime() }}", "{{ now.strftime(format='x') }}", "{{ now.tzinfo }}",
        "{{ now.strftime(vars.a) }}", "{{ hours.a.schedule }}", "{{ hours[vars.a].open }}",
        "{{ vars[0] }}", "{{ caller['name'] }}", "{{ vars.a.upper() }}", "{{ 'a'.format() }}",
        "{{ vars.a|attr('b') }}", "{{ vars.a|safe }}", "{{ vars.a|format(1) }}", "{{ vars|list }}",
        "{{ vars|tojson }}", "{{ vars.a|map('x')|list }}", "{{ vars.a|upper(1) }}",
        "{{ vars.a|replace('a') }}", "{{ vars.a|replace(*vars) }}", "{{ vars.a|replace(**vars) }}",
        "{{ [vars.a, 1]|join }}", "{{ vars.a < vars.b }}", "{{ vars.a is divisibleby 3 }}",
        "{{ vars.a is sameas vars }}", "{{ now == 'x' }}",
        "{% for a in vars recursive %}{% endfor %}", "{% for a, a in vars.items() %}{% endfor %}",
        "{% for a in vars.values() %}{% endfor %}",
        "{% for x, (y, z) in vars.items() %}{% endfor %}", "{% for loop in vars %}{% endfor %}",
        "{% set a, b = 1, 2 %}", "{% set x = caller %}", "{% set ns.a = 1 %}", "{% do vars %}",
        "{% break %}", "{% trans %}a{% endtrans %}", "{{ 9999999999 }}", "{{ 1e999 }}",
        "{{ " + "1" * 5000 + " }}", "{{ '\\ud800' }}", "{{ \ud800 }}", "{{ caller.__init__ }}",
        "{{ ''|attr('__class__') }}", "{% set \u02e3 = 1 %}",
        "{{ ([].__class__.__base__.__subclasses__())[1] }}", "{{ ''['__class__'] }}", "{{ 1, 2 }}",
    ],
)  # fmt: skip
def test_what_jinja_can_and_these_templates_cannot(source: str) -> None:
    found = problem(source)
    assert found.line == 1
    assert found.column >= 1
    assert "\n" not in found.message


def test_a_source_may_not_be_too_large() -> None:
    head = "{{ vars.brand }}"
    assert render(head + "x" * (MAX_SOURCE_BYTES - len(head)))
    assert "larger than 64 KiB" in problem(head + "x" * (MAX_SOURCE_BYTES - len(head) + 1)).message
    assert "larger than 64 KiB" in problem(head + "é" * (MAX_SOURCE_BYTES // 2)).message


@pytest.mark.parametrize(
    "source",
    [
        "{{ " + "(" * 30_000,
        "{{ " + "(" * 45 + "1" + ")" * 45 + " }}" + "{{ " + "not " * 60 + "1 }}",
        "{{ " + " or ".join(["vars.a"] * 100) + " }}",
        "{{ vars.a" + "|upper" * 100 + " }}",
        "{% if vars.a %}" * 60 + "{% endif %}" * 60,
        "{{ " + "-" * 30_000 + "1 }}",
        "{{ " + "[" * 20_000,
        "{{ vars.a }}" * 2_500,
        "{{ ['a', " + "'b', " * 6_000 + "]|join }}",
    ],
)
def test_a_template_may_not_be_too_deep_or_too_long(source: str) -> None:
    assert problem(source).message in {"is nested too deeply", "is too long a template"}


@pytest.mark.parametrize("part", ["{%", "{{", "{#", "{% raw %}", "{{ '}}' }}{%", "%}\n", "{{'}}"])
def test_a_source_of_nothing_but_braces_is_read_at_once(part: str) -> None:
    started = time.perf_counter()
    compile_text(part * (MAX_SOURCE_BYTES // len(part)))
    compile_text("{{ '}}" + part * (MAX_SOURCE_BYTES // len(part) - 9) + "' }}")
    assert time.perf_counter() - started < 2


def test_the_deepest_and_longest_templates_can_be_compiled() -> None:
    assert render("{% if vars %}" * 18 + "x" + "{% endif %}" * 18) == "x"
    assert render("{{ " + " or ".join(["vars.empty"] * 30) + " }}") == ""
    assert render("{{ vars.brand" + "|upper|lower" * 17 + " }}") == "acme"
    assert render("{{ " + "(" * 30 + "not " * 30 + "vars" + ")" * 30 + " }}") == "yes"
    assert render("{% if vars.empty %}" + "{% elif vars.empty %}" * 500 + "{% endif %}") == ""
    assert render("{{ vars.brand }}" * 1_500) == "Acme" * 1_500


def test_an_output_may_not_be_too_long() -> None:
    half = {"half": "x" * (MAX_OUTPUT_BYTES // 2)}
    assert len(render("{{ vars.half }}{{ vars.half }}", half)) == MAX_OUTPUT_BYTES
    with pytest.raises(TemplateError, match="longer than 256 KiB"):
        render("{{ vars.half }}{{ vars.half }}.", half)
    with pytest.raises(TemplateError, match="longer than 256 KiB"):
        render("{{ vars.half }}", {"half": "é" * (MAX_OUTPUT_BYTES // 2 + 1)})


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("{% set a = 'xxxxxxxx' %}" + "{% set a = a ~ a %}" * 60, {}),
        ("{% set a = 'aaaaaaaa' %}" + "{% set a = a|replace('a', 'aaaa') %}" * 60, {}),
        ("{% set a = 'aaaaaaaa' %}" + "{% set a = [a, a]|join(a) %}" * 60, {}),
        ("{% for n in vars %}{% set a = vars.x|upper %}{% endfor %}",
         {"x": "y" * 200_000, "z": ""}),
        ("{% for n in vars %}{% if n == 'q' %}{% endif %}{% endfor %}",
         {f"v{number}": "" for number in range(MAX_WORK // 6)}),
    ],
)  # fmt: skip
def test_a_template_cannot_do_much(source: str, values: Mapping[str, str]) -> None:
    with pytest.raises(TemplateError, match="more than a text should need"):
        render(source, values)


def test_a_number_grown_too_long_is_an_error_of_the_template() -> None:
    source = "{% set a = vars.n|int %}" + "{% set a = a + a %}" * 20 + "{{ a }}"
    with pytest.raises(TemplateError, match="cannot be rendered: ValueError"):
        render(source, {"n": "9" * 4_299})
