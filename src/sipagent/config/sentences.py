"""pydantic's errors as complaints in plain words."""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import ErrorDetails

from sipagent.config.findings import Complaint, Findings, Steps
from sipagent.config.outline import OUTLINES, Outline, outline_of
from sipagent.config.schema import AgentsFile, Entry, TenantFile
from sipagent.config.schema.base import (
    AMOUNT_PATTERN,
    DAYS_PATTERN,
    DURATION_PATTERN,
    HOST_PATTERN,
    LANGUAGE_PATTERN,
    MONEY_PATTERN,
    NAME_PATTERN,
    NOT_BLANK_PATTERN,
    RATE_PATTERN,
    REFERENCE_PATTERN,
    REFERRED_PATTERN,
    REGION_PATTERN,
    SHAPE_ERROR,
    SHARE_PATTERN,
    SPOKEN_PATTERN,
    VARIABLE_PATTERN,
)
from sipagent.config.schema.numbers import ACTIONS
from sipagent.config.schema.persona import KEY_PATTERN
from sipagent.config.schema.tools import (
    ARGUMENT_PATTERN,
    KINDS,
    POINTER_PATTERN,
    TOOL_PATTERN,
)
from sipagent.config.words import kind_of, quoted

_KEY: Final = "[key]"
_MANY: Final = 14

_NAMES: Final = "a name is 1 to 63 of a-z, 0-9, _ and -, and begins with a letter"

PATTERNS: Final = {
    NAME_PATTERN: ("this cannot be a name", _NAMES),
    NOT_BLANK_PATTERN: ("must not be blank", None),
    REGION_PATTERN: ("must be two capital letters", "as in US, GB or DE"),
    REFERENCE_PATTERN: ("this cannot be a name", "write NAME, or common/NAME"),
    LANGUAGE_PATTERN: ("this is no language", "as in en, es or pt-BR"),
    SPOKEN_PATTERN: ("this is no code of a language", "as in en, de or pt-BR"),
    DURATION_PATTERN: ("this is no duration", "as in 500ms, 20s, 30m or 1h"),
    RATE_PATTERN: ("this is no rate", "as in 3/10m: three in ten minutes"),
    SHARE_PATTERN: ("this is no share", "as in 5%"),
    DAYS_PATTERN: ("this is no number of days", "as in 30d"),
    MONEY_PATTERN: ("this is no sum of money", "as in 4000 USD"),
    AMOUNT_PATTERN: ("this is no price in USD", "as in 0.40"),
    HOST_PATTERN: ("this is no host", "as in api.acme.example, in small letters"),
    TOOL_PATTERN: ("this cannot be a tool's name", "1 to 64 letters, digits, _ and -"),
    ARGUMENT_PATTERN: (
        "this cannot be an argument",
        "1 to 64 letters, digits and _, not beginning with a digit",
    ),
    POINTER_PATTERN: ("this is no JSON pointer", "as in /order/status (RFC 6901)"),
    KEY_PATTERN: ("this is no key of a telephone", '"0" to "9", "*" or "#"'),
    VARIABLE_PATTERN: (
        "this cannot be a variable",
        "1 to 63 of a-z, 0-9 and _, beginning with a letter",
    ),
    REFERRED_PATTERN: (
        "a secret itself must not stand in the file",
        "write ${NAME}, or {file: path}",
    ),
    r"^voice_": ("must begin with voice_", "a built-in voice is written by its name alone"),
}

_TYPES: Final = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}

_ELSEWHERE: Final = {
    "format": "the codec is agreed by SIP, so it is never set",
    "audio": "the leaves of `audio` are written flat: voice, speed, turn_detection, ...",
    "temperature": "the Realtime API no longer has it",
    "modalities": "write output_modalities",
    "region": "it stands under `defaults`, for the whole file",
}
"""Keys that people know from elsewhere."""

_YAML_1_1: Final = frozenset({"yes", "no", "on", "off", "y", "n"})


def complaint_of(
    error: ErrorDetails, prefix: Steps, data: Any, model: type[Entry], findings: Findings
) -> Complaint:
    """What pydantic found wrong below the prefix, at the steps where it stands in the data."""
    error = {**error, "loc": (*prefix, *error["loc"])}
    steps, at_key = _steps_of(error, data)
    outline = outline_of(model).at(steps)
    context: Mapping[str, Any] = error.get("ctx", {})
    if outline is not None and outline.hidden and _may_be_secret(error):
        return _written_secret(error, steps, outline)
    match error["type"]:
        case "missing":
            return Complaint(steps, "is missing", _meaning(outline), at_key=True)
        case "extra_forbidden":
            return _unknown_key(steps, model, findings, _branch_of(error))
        case "literal_error":
            meaning = _meaning(outline)
            return _unknown_word(steps, error["input"], context["expected"], findings, meaning)
        case "string_pattern_mismatch":
            unknown = ("is not usable", _meaning(outline))
            message, hint = PATTERNS.get(context["pattern"], unknown)
            return Complaint(steps, message, hint, at_key)
        case type_ if type_ in _TYPES:
            message = f"must be {_TYPES[type_]}, not {_kind(error['input'], outline)}"
            return Complaint(steps, message, _repair(_TYPES[type_], error["input"], outline))
        case type_ if type_ == SHAPE_ERROR:
            message = f"must be {error['msg']}"
            if len(_kinds_in(error["input"])) < 2:  # a mapping it is, and more than one
                message += f", not {_kind(error['input'], outline)}"
            return Complaint(steps, message, _shape_hint(error, outline, findings))
        case "greater_than_equal" | "less_than_equal" if steps == ("version",):
            return Complaint(steps, "must be 1", "newer versions need a newer sipagent")
        case type_:
            return Complaint(steps, _limit(type_, context), _meaning(outline))


def _may_be_secret(error: ErrorDetails) -> bool:
    """Whether a text, a number or a list of them stands where something else belongs."""
    value, type_ = error["input"], error["type"]
    wrong = type_ in _TYPES or type_ in (SHAPE_ERROR, "literal_error")
    return wrong and isinstance(value, str | int | float | list) and not isinstance(value, bool)


def _written_secret(error: ErrorDetails, steps: Steps, outline: Outline) -> Complaint:
    message, hint = PATTERNS[REFERRED_PATTERN]
    value = error["input"]
    if isinstance(value, str) and value.startswith("${"):
        return Complaint(steps, "this cannot be read here from the environment", _meaning(outline))
    return Complaint(steps, message, hint if "${NAME}" in error["msg"] else _meaning(outline))


def _kind(value: Any, outline: Outline | None) -> str:
    """What a value is, without a word of it where a secret may stand."""
    if outline is not None and outline.holds_secrets and not isinstance(value, bool):
        match value:
            case str():
                return "text"
            case int() | float():
                return "a number"
    return kind_of(value)


def _steps_of(error: ErrorDetails, data: Any) -> tuple[Steps, bool]:
    """The error's location without the names of union branches, and whether it is a key's."""
    location = error["loc"]
    at_key = location[-1] == _KEY and error["type"] == "string_pattern_mismatch"
    steps: list[str | int] = []
    here = data
    for step in location[:-1] if at_key else location:
        if _holds(here, step):
            here = here[step]
        elif isinstance(step, str) and step.startswith("<"):
            continue
        steps.append(step)
    return tuple(steps), at_key


def _holds(value: Any, step: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(step, int)
    return isinstance(value, dict) and step in value


def _branch_of(error: ErrorDetails) -> str | None:
    """The word that tells the shape in which the key stood from the others, such as `reject`."""
    tag = error["loc"][-2] if len(error["loc"]) > 1 else None
    return tag[1:-1] if isinstance(tag, str) and tag.startswith("<") else None


def _unknown_key(
    steps: Steps, model: type[Entry], findings: Findings, branch: str | None
) -> Complaint:
    *above, key = steps
    outline = outline_of(model).at(tuple(above)) or Outline()
    known = frozenset(outline.keys)
    if key in known and branch is not None:
        return Complaint(steps, f"does not go with {branch}", at_key=True)
    main = OUTLINES[AgentsFile]
    hint = _ELSEWHERE.get(str(key))
    if hint is None and model is not AgentsFile and main.at(steps) is not None:
        whose = "the operator's files" if model is TenantFile else "the main file"
        hint = f"only {whose} may have it"
    hint = hint or findings.did_you_mean(str(key), known)
    if hint is None and not above and str(key) in main.keys["defaults"].keys:
        hint = "it stands under an agent, or under `defaults`"
    if hint is None and len(known) <= _MANY:
        hint = "known here: " + ", ".join(outline.keys)
    if outline.hidden:  # the key itself may be the secret
        return Complaint(tuple(above), "unknown key", hint)
    return Complaint(steps, "unknown key", hint, at_key=True)


def _unknown_word(
    steps: Steps, value: Any, expected: str, findings: Findings, meaning: str | None
) -> Complaint:
    words = re.findall(r"'([^']*)'", expected)
    if not isinstance(value, str):
        return Complaint(steps, f"must be {_choice(words)}, not {kind_of(value)}")
    hint = f"{value} has settings: {{{value}: ...}}" if value in KINDS else None
    hint = hint or findings.did_you_mean(value, frozenset(words))
    hint = hint or (meaning if len(words) == 1 else None)
    return Complaint(steps, f"must be {_choice(words)}, not {quoted(value)}", hint)


def _choice(words: list[str]) -> str:
    *some, last = words
    return f"{', '.join(some)} or {last}" if some else last


def _limit(type_: str, context: Mapping[str, Any]) -> str:
    """A value of the right type that is out of range."""
    match type_:
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}"
        case "string_too_long":
            return f"must have at most {context['max_length']:,} characters"
        case "too_short" | "too_long":
            limit = context.get("min_length", context.get("max_length"))
            word = "at least" if type_ == "too_short" else "at most"
            return f"must have {word} {limit} {'item' if limit == 1 else 'items'}"
        case _:
            return "is not usable"


def _repair(expected: str, value: Any, outline: Outline | None) -> str | None:
    """How to write a value of the wrong type, else what the key means."""
    if expected == "a mapping" and value is None:
        return "write {} for a mapping without keys"
    if expected == "true or false" and isinstance(value, str) and value.lower() in _YAML_1_1:
        return "yes, no, on and off are text in YAML 1.2"
    if isinstance(value, bool | int | float) and "text" in expected:
        return "put it in quotes"
    if isinstance(value, str) and "number" in expected and value.replace(".", "", 1).isdigit():
        return "write it without quotes"
    return _meaning(outline)


def _shape_hint(error: ErrorDetails, outline: Outline | None, findings: Findings) -> str | None:
    value = error["input"]
    if not isinstance(value, dict) or outline is None:
        return _repair(error["msg"], value, None)
    kinds = _kinds_in(value)
    if len(kinds) > 1:
        return f"write only one of {' and '.join(kinds)}"
    unknown = [key for key in value if key not in outline.keys]
    hints = (findings.did_you_mean(key, frozenset(outline.keys)) for key in unknown)
    needed = [key for key in ACTIONS if key in outline.keys]
    if value and not unknown and needed:
        return f"add {_choice(needed)}"
    return next((hint for hint in hints if hint), None)


def _kinds_in(value: Any) -> list[str]:
    """The keys that say what a rule or a tool is; there must be one."""
    return [key for key in value if key in (*ACTIONS, *KINDS)] if isinstance(value, dict) else []


def _meaning(outline: Outline | None) -> str | None:
    """What a key means, as a hint: the description without capital letter and full stop."""
    if outline is None or outline.description is None:
        return None
    text = outline.description.removesuffix(".")
    return text[0].lower() + text[1:]
