"""The texts of agents.yaml that each call renders anew: a small, closed part of Jinja.

A text is checked and compiled when it is loaded; what a call can still do wrong is little. What a
caller or a header says is printed as a JSON string and is never part of another text or read as a
template. Jinja is imported with the first template and not before: it takes 40 ms.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sipagent.config.templates.kinds import SAMPLE_CALLER
from sipagent.errors import TemplateError
from sipagent.model import DEFAULT_TENANT, AgentName
from sipagent.model.facts import CallerFacts, CallFacts, HoursNow, NumberFacts, Schedule
from sipagent.sip import Attestation, Untrusted

if TYPE_CHECKING:
    from jinja2 import Environment, TemplateSyntaxError
    from jinja2.sandbox import ImmutableSandboxedEnvironment


MAX_SOURCE_BYTES: Final = 64 * 1024
MAX_OUTPUT_BYTES: Final = 256 * 1024
_MOST_KEPT: Final = 4096

_MARKS: Final = ("{{", "{%", "{#")
_NEWLINE: Final = re.compile(r"\r\n|\r|\n")
_TAG: Final = re.compile(r"\{%[-+]?\s*(end)?(if|for|raw)\b")
_UNKNOWN_TAG: Final = re.compile(r"Encountered unknown tag '(\w+)'")

_FAULTS: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError)
"""What evaluating an expression may raise, besides ValueError and Jinja's own errors."""


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """Why a source is no template, and where. Lines and columns count from 1."""

    line: int
    column: int
    message: str
    hint: str | None = None


class _Parts(NamedTuple):
    """A template that Jinja has compiled, and what it reads: names, each with its first line."""

    template: Any
    roots: frozenset[str]
    vars: Mapping[str, int]
    hours: Mapping[str, int]
    headers: Mapping[str, int]


class CompiledTemplate:
    """A text with variables. Two of the same source are equal.

    `vars`, `hours` and `headers` are the names that it reads of each, headers in lower case.
    `reads` are the variables themselves (`caller`, `vars`, `now`).
    """

    __slots__ = ("__weakref__", "_parts", "headers", "hours", "reads", "source", "vars")

    def __init__(self, source: str, parts: _Parts) -> None:
        self.source: Final = source
        self.reads: Final = parts.roots
        self.vars: Final = frozenset(parts.vars)
        self.hours: Final = frozenset(parts.hours)
        self.headers: Final = frozenset(parts.headers)
        self._parts: Final = parts

    def render(self, facts: CallFacts) -> str:
        """The text for this call. Raises TemplateError, which names no value."""
        from jinja2 import TemplateError as JinjaError

        try:
            return self._rendered(facts)
        except JinjaError as error:
            raise TemplateError(error.message or "cannot be rendered") from None
        except (*_FAULTS, ValueError) as error:
            # The message of such an error may quote what it stumbled over.
            raise TemplateError(f"cannot be rendered: {type(error).__name__}") from None

    def _rendered(self, facts: CallFacts) -> str:
        from sipagent.config.templates.values import values_of

        template = self._parts.template
        context = template.new_context(values_of(facts, self._parts.roots), shared=True)
        texts: list[str] = []
        size = 0
        for text in template.root_render_func(context):
            size += len(text) if text.isascii() else len(text.encode())
            if size > MAX_OUTPUT_BYTES:
                raise TemplateError(f"the text is longer than {MAX_OUTPUT_BYTES // 1024} KiB")
            texts.append(text)
        return "".join(texts)

    def place_of(self, name: str) -> tuple[int, int]:
        """The line and column where `vars.x`, `hours.x` or `headers.x` is first read."""
        group, _, member = name.partition(".")
        names: Mapping[str, int] = getattr(self._parts, group)
        return _place(self.source, names[member], member)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CompiledTemplate):
            return NotImplemented
        return self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"CompiledTemplate({self.source!r})"


def compile_text(source: str) -> str | CompiledTemplate | TemplateProblem:
    """A text without `{{`, `{%` and `{#` as it is; else the template that it is, or why not."""
    if not any(mark in source for mark in _MARKS):
        return source
    with _lock:
        return _compiled(source)


def missing(template: CompiledTemplate, declared: Collection[str]) -> list[str]:
    """The `vars` that the template reads and that nobody declares, sorted."""
    return sorted(template.vars.difference(declared))


def sample_facts(
    *,
    vars: Mapping[str, str],  # noqa: A002 - it is what templates call it
    hours: Mapping[str, Schedule],
    timezone: str | None,
    language: str | None,
    headers: Collection[str],
    at: datetime,
) -> CallFacts:
    """A call as it could come, to render each text once before a caller hears it.

    `at` is aware, in the zone of the number.
    """
    return CallFacts(
        caller=CallerFacts(
            e164=Untrusted(SAMPLE_CALLER),
            name=Untrusted("Sam Sample"),
            attestation=Attestation("A", "passed", "sample"),
        ),
        dialed="+12025550199",
        number=NumberFacts("+12025550199", timezone, next(iter(hours), None), language),
        tenant=DEFAULT_TENANT,
        agent=AgentName("sample"),
        language=language,
        vars=vars,
        now=at,
        hours={name: HoursNow(schedule, at) for name, schedule in hours.items()},
        headers={name: Untrusted("sample") for name in headers},
    )


# Two threads that load the same file at once would otherwise both compile its texts.
_lock: Final = Lock()


@lru_cache(maxsize=_MOST_KEPT)
def _compiled(source: str) -> CompiledTemplate | TemplateProblem:
    from jinja2 import TemplateSyntaxError

    from sipagent.config.templates.expressions import Refused

    try:
        if len(source.encode()) > MAX_SOURCE_BYTES:
            limit = f"is larger than {MAX_SOURCE_BYTES // 1024} KiB"
            return TemplateProblem(1, 1, limit, "only texts without {{ and {% may be")
        return CompiledTemplate(source, _parts(source))
    except TemplateSyntaxError as error:
        return _misspelled(source, error)
    except Refused as refused:
        line, column = _place(source, refused.line, refused.word)
        return TemplateProblem(line, refused.column or column, refused.message, refused.hint)
    except UnicodeEncodeError:
        return TemplateProblem(1, 1, "holds characters that are no text")
    except (MemoryError, RecursionError, SyntaxError):
        return TemplateProblem(1, 1, "is nested too deeply")
    except ValueError:
        return TemplateProblem(1, 1, "holds a number that is too large")


@lru_cache(maxsize=1)
def _environments() -> "tuple[ImmutableSandboxedEnvironment, Environment]":
    """What templates are compiled by, and the same that takes no line's end from a tag."""
    from sipagent.config.templates.filters import environment

    made = environment()
    return made, made.overlay(trim_blocks=False, lstrip_blocks=False)


def _parts(source: str) -> _Parts:
    from sipagent.config.templates.checks import check, rewrite, with_line_ends
    from sipagent.config.templates.kinds import Kind

    environment, lexer = _environments()
    tree = environment.parse(with_line_ends(source, lexer))
    reads = check(tree)
    code = environment.compile(rewrite(tree, environment))
    template = environment.template_class.from_code(environment, code, {})
    members = (reads.members[kind] for kind in (Kind.VARS, Kind.HOURS, Kind.HEADERS))
    return _Parts(template, frozenset(reads.roots), *members)


def _place(source: str, line: int | None, word: str) -> tuple[int, int]:
    """Line and column of the word, of the first brace before it, or of the line's beginning.

    Jinja knows only lines, and of some nodes not even those.
    """
    lines = _NEWLINE.split(source)
    line = max(1, min(line or 1, len(lines)))
    text = lines[line - 1]
    opening = re.search(r"\{[{%]", text)
    start = opening.start() if opening else 0
    if word:
        found = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE).search(text, start)
        start = found.start() if found else start
    return line, start + 1


def _misspelled(source: str, error: "TemplateSyntaxError") -> TemplateProblem:
    from sipagent.config.templates.checks import AS_IT_IS

    said = error.message or ""
    unknown = _UNKNOWN_TAG.match(said)
    if unknown:
        name = unknown[1]
        line, column = _place(source, error.lineno, name)
        expected = re.search(r"looking for .*?'(\w+)'", said)
        hint = f"expected {{% {expected[1]} %}}" if expected else "there are if, for, set and raw"
        return TemplateProblem(line, column, f"{{% {name} %}} is not known here", hint)
    if "Unexpected end of template" in said:
        return _unclosed(source, error.lineno)
    line, column = _place(source, error.lineno, "")
    said = (
        re.sub(r" at \d+$", "", said)
        .replace("end of print statement", "}}")
        .replace("end of statement block", "%}")
    )
    return TemplateProblem(line, column, f"cannot be read: {said.rstrip('.')}", AS_IT_IS)


def _unclosed(source: str, last: int) -> TemplateProblem:
    """What is open at the end; found by the tags alone, so a tag within a text may mislead it."""
    opened: list[tuple[int, str]] = []
    for number, text in enumerate(_NEWLINE.split(source), 1):
        for tag in _TAG.finditer(text):
            if not tag[1]:
                opened.append((number, tag[2]))
            elif opened:
                opened.pop()
    line, name = opened[-1] if opened else (last, "if")
    where = _place(source, line, name)
    return TemplateProblem(*where, f"{{% {name} %}} is never closed", f"write {{% end{name} %}}")
