"""The filters and tests of templates, and the Jinja that knows these and nothing else.

This module imports jinja2; only compiling the first template imports this module.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import phonenumbers
from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.filters import do_title
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sipagent.config.templates.kinds import SAMPLE_CALLER
from sipagent.config.templates.values import (
    DAYS,
    NOW,
    Named,
    Outside,
    clock,
    date,
    printed,
    spend,
)
from sipagent.errors import TemplateError

CONCAT: Final = "~"
PAIRS: Final = "for pairs"
NAMES: Final = "for names"
"""Filters that a checked template is rewritten with; no source can spell them."""

_OUTSIDE_WORK: Final = 128
_WEEK: Final = 7
_INTERNATIONAL: Final = re.compile(r"\+[0-9 ().-]{6,30}", re.ASCII)


def _plain(value: Any) -> str:
    if isinstance(value, str | int | float | Undefined):
        return str(value)
    if value is None:
        return ""
    raise TemplateError("a text from outside, a list or a time cannot be built into a text")


def _shaped(change: Callable[[str], str]) -> Callable[[Context, Any], Any]:
    """A filter that changes how a text looks; text from outside stays what it is."""

    @pass_context
    def shape(context: Context, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, Outside):
            spend(context, _OUTSIDE_WORK)
            return value.changed(change)
        text = _plain(value)
        spend(context, len(text))
        return change(text)

    return shape


def _phone(text: str) -> str:
    """An international number in groups, any other text as it is."""
    if not _INTERNATIONAL.fullmatch(text):
        return text
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return text
    style = phonenumbers.PhoneNumberFormat.INTERNATIONAL
    return phonenumbers.format_number(number, style).replace("-", " ")


@lru_cache(maxsize=2048)
def _known_phone(text: str) -> str:
    return _phone(text)


_spell_anew: Final = _shaped(_phone)
_spell: Final = _shaped(_known_phone)


@pass_context
def _spelled(context: Context, value: Any) -> Any:
    # The numbers of callers are not remembered; the sample's is spelled thousands of times.
    is_callers = isinstance(value, Outside) and value != SAMPLE_CALLER
    return (_spell_anew if is_callers else _spell)(context, value)


@pass_context
def _concat(context: Context, values: list[Any]) -> str:
    return _join(context, values)


@pass_context
def _join(context: Context, values: list[Any], between: str = "") -> str:
    parts = [_plain(value) for value in values]
    spend(context, sum(map(len, parts)) + len(_plain(between)) * len(parts))
    return between.join(parts)


@pass_context
def _replace(context: Context, value: Any, old: str, new: str) -> str | None:
    if value is None:
        return None
    text, old, new = _plain(value), _plain(old), _plain(new)
    spend(context, len(text) + text.count(old) * len(new))
    return text.replace(old, new)


def _default(value: Any, instead: Any = "", boolean: bool = False) -> Any:
    absent = value is None or isinstance(value, Undefined)
    return instead if absent or (boolean and not value) else value


def _first(values: Any) -> Any:
    return _sequence(values)[0] if len(values) else ""


def _last(values: Any) -> Any:
    return _sequence(values)[-1] if len(values) else ""


def _sequence(values: Any) -> Any:
    if isinstance(values, str | list | tuple):
        return values
    raise TemplateError("only a text or a list has a first and a last")


def _int(value: Any, instead: int = 0) -> int:
    if isinstance(value, Outside):
        raise TemplateError("a text from outside cannot be read as a number")
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return instead


def _round(value: float, precision: int = 0) -> int | float:
    return round(value, precision) if precision > 0 else round(value)


def _when(now: datetime, time: datetime) -> str:
    days = (time.date() - now.date()).days
    if abs(time - now) < timedelta(minutes=1):
        return "now"
    if days == 1 and time.hour == time.minute == 0:
        return "tonight at midnight"
    if days in {0, 1}:
        return f"{('today', 'tomorrow')[days]} at {clock(time)}"
    if 0 < days < _WEEK:
        return f"{DAYS[time.weekday()]} at {clock(time)}"
    day = date(time)
    if time.year == now.year:
        day = day.removesuffix(f", {time.year}")
    return f"{day}, at {clock(time)}"


@pass_context
def _relative(context: Context, value: datetime | None) -> str | None:
    return None if value is None else _when(context.parent[NOW], value)


def _formatted(otherwise: Callable[[datetime], str]) -> Callable[..., str | None]:
    def shape(value: datetime | None, style: str | None = None) -> str | None:
        if value is None:
            return None
        return otherwise(value) if style is None else value.strftime(style)

    return shape


@pass_context
def _pairs(context: Context, values: Named, parts: int) -> list[tuple[Any, Any]]:
    spend(context, len(values) * parts)
    return [(_shown_name(values, name), value) for name, value in values]


@pass_context
def _names(context: Context, values: Named, parts: int) -> list[Any]:
    return [name for name, _ in _pairs(context, values, parts)]


def _shown_name(values: Named, name: str | Outside) -> str | Outside:
    # Which headers are exposed may be a pattern, and then their names are the caller's too.
    return Outside(name) if values.name == "headers" and isinstance(name, str) else name


def _is_defined(value: Any) -> bool:
    return not (value is None or isinstance(value, Undefined))


def environment() -> ImmutableSandboxedEnvironment:
    """Jinja with the filters and tests of this module, without loader, globals or extensions."""
    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined,
        finalize=printed,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        cache_size=0,
        optimized=False,  # it would be half as long again at work for what a text hardly holds
    )
    made.globals.clear()
    made.filters = {
        "default": _default,
        "d": _default,
        "replace": _replace,
        "join": _join,
        "upper": _shaped(str.upper),
        "lower": _shaped(str.lower),
        "title": _shaped(do_title),
        "capitalize": _shaped(str.capitalize),
        "trim": _shaped(str.strip),
        "length": len,
        "first": _first,
        "last": _last,
        "int": _int,
        "round": _round,
        "when": _relative,
        "time": _formatted(clock),
        "date": _formatted(date),
        "phone": _spelled,
        CONCAT: _concat,
        PAIRS: _pairs,
        NAMES: _names,
    }
    made.tests = {
        "defined": _is_defined,
        "undefined": lambda value: not _is_defined(value),
        "none": lambda value: value is None,
    }
    return made
