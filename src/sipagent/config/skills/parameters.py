"""JSON Schemas of a tool's arguments: judged when they are loaded, and closed.

A model's arguments are judged between the events of all calls. So a schema must not be one that
takes long: written out, with what each `$ref` leads to in its place, it has few parts, and its
patterns are small.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

from sipagent.config.findings import Complaint, Steps
from sipagent.config.words import LONGEST_SHOWN, quoted
from sipagent.model import Json

MAX_SCHEMA_BYTES: Final = 16 * 1024

NO_PARAMETERS: Final[Json] = {"type": "object", "properties": {}, "additionalProperties": False}

MOST_PARTS: Final = 256
"""Schemas that a schema has within itself, written out."""

LARGEST_PATTERNS: Final = 64 * 1024
"""Bytes of all patterns of a schema, compiled, each as often as it stands there: matching takes as
long as they are large."""

_SMALLEST: Final = 1024

_TYPES: Final = "string, integer, number, boolean, array, object or null"

_COMBINED: Final = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "$ref", "patternProperties"})
"""Keywords beside which `additionalProperties` would refuse what they allow."""

_ONE: Final = (
    *("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
_LISTED: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_NAMED: Final = ("properties", "patternProperties", "dependentSchemas", "dependencies")
"""Keywords with schemas: one, a list of them, and some by name."""

_ELSEWHERE: Final = frozenset({"$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef"})
"""Keywords by which a `$ref` may mean something else than a place in the schema."""

_KEYWORDS: Final = (
    *(*_ONE, *_LISTED, *_NAMED, "$ref", "$defs", "type", "enum", "const", "pattern", "format"),
    *("minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("multipleOf", "minItems", "maxItems", "uniqueItems", "minContains", "maxContains"),
    *("minProperties", "maxProperties", "required", "dependentRequired", "default", "description"),
)
_MEANT: Final = {word.lower(): word for word in _KEYWORDS}
_JOINTS: Final = str.maketrans("", "", "_- ")


def closed(schema: Mapping[str, Any]) -> Json:
    """The schema, in which no object has members that it does not name, unless it says so."""
    return {**_closed(dict(schema)), "type": "object"}


def _closed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    found = dict(value)
    if isinstance(found.get("properties"), dict):
        found["properties"] = {name: _closed(each) for name, each in found["properties"].items()}
    if isinstance(found.get("items"), dict):
        found["items"] = _closed(found["items"])
    is_object = found.get("type") == "object" or "properties" in found
    if is_object and _COMBINED.isdisjoint(found):
        found.setdefault("properties", {})
        found.setdefault("additionalProperties", False)
    return found


def problems_of(schema: Mapping[str, Any], steps: Steps) -> Iterator[Complaint]:
    """Why arguments cannot be judged by this schema."""
    if schema.get("type", "object") != "object":
        yield Complaint((*steps, "type"), "must be object", "arguments have names")
        return
    try:
        size = len(json.dumps(schema, allow_nan=False))
    except (TypeError, ValueError):
        yield Complaint(steps, "this is no JSON")
        return
    if size > MAX_SCHEMA_BYTES:
        yield Complaint(steps, f"the schema is longer than {MAX_SCHEMA_BYTES // 1024} KiB")
        return
    problem = _uncompilable(dict(closed(schema)), steps) or _costly(schema, steps)
    if problem is not None:
        yield problem
        return
    yield from _unnamed(schema, steps)


def misspelled(schema: Mapping[str, Any], steps: Steps) -> Iterator[Complaint]:
    """Keywords that JSON Schema does not have, so that they count for nothing, and that are almost
    ones that it has. Of a schema without problems."""
    for part, where in _parts(schema, steps):
        for key in part:
            meant = _MEANT.get(str(key).translate(_JOINTS).lower())
            if meant not in (None, key):
                message, hint = "JSON Schema has no such keyword", f"did you mean {quoted(meant)}?"
                yield Complaint((*where, key), message, hint, at_key=True)


def _costly(schema: Mapping[str, Any], steps: Steps) -> Complaint | None:
    """Why arguments would take long to be judged by this schema, which can be compiled."""
    patterns: list[str] = []
    for count, (part, where) in enumerate(_parts(schema, steps), 1):
        if foreign := sorted(_ELSEWHERE & part.keys()):
            hint = "a $ref is written as in #/$defs/NAME"
            return Complaint((*where, foreign[0]), "cannot be used here", hint, at_key=True)
        if "$ref" in part and not f"{part['$ref']}/".startswith("#/"):
            return Complaint((*where, "$ref"), "a $ref leads to what the schema does not have")
        if count > MOST_PARTS:
            message = f"written out, the schema has more than {MOST_PARTS} schemas within itself"
            return Complaint(steps, message, "no $ref may lead back to where it stands")
        patterns += [part["pattern"]] if "pattern" in part else ()
        patterns += part.get("patternProperties", ())
    if sum(map(_size, patterns)) > LARGEST_PATTERNS:
        hint = "write maxLength in place of large repetitions such as {1,500}"
        return Complaint(steps, "the patterns are too large together", hint)
    return None


def _parts(schema: Mapping[str, Any], steps: Steps) -> Iterator[tuple[Mapping[str, Any], Steps]]:
    """The schema and all within it, each as often as it is come to: without end where a `$ref`
    leads back."""
    waiting: list[tuple[Any, Steps]] = [(schema, steps)]
    while waiting:
        part, where = waiting.pop()
        if not isinstance(part, dict):
            continue
        yield part, where
        waiting += [(part[key], (*where, key)) for key in _ONE if key in part]
        for key in _LISTED:
            waiting += [(each, (*where, key, at)) for at, each in enumerate(part.get(key, ()))]
        for key in _NAMED:
            waiting += [(each, (*where, key, name)) for name, each in part.get(key, {}).items()]
        if isinstance(part.get("$ref"), str):
            waiting.append((_led_to(schema, part["$ref"]), where))


def _led_to(schema: Mapping[str, Any], ref: str) -> Any:
    """The place that a `$ref` (RFC 6901, as a fragment) leads to; None where there is none."""
    found: Any = schema
    for step in ref.removeprefix("#").split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list):
            found = found[int(name)] if name.isdecimal() and int(name) < len(found) else None
        else:
            found = found.get(name) if isinstance(found, dict) else None
    return found


@lru_cache(maxsize=1024)
def _size(pattern: str) -> int:
    """The bytes of the pattern, compiled, rounded up to a power of two."""
    from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

    size = _SMALLEST
    while size <= LARGEST_PATTERNS:
        try:
            options = RegexOptions(size_limit=size)
            Draft202012Validator({"pattern": pattern}, pattern_options=options)
        except ValidationError:
            size *= 2
        else:
            break
    return size


def _uncompilable(schema: dict[str, Any], steps: Steps) -> Complaint | None:
    # Importing it takes a while; a file without such tools never needs it.
    from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

    try:
        Draft202012Validator(schema, pattern_options=RegexOptions(), retriever=_unknown)
    except ValidationError as error:
        where = (*steps, *error.instance_path)
        if error.instance_path[-1:] == ["type"]:
            return Complaint(where, "there is no such type", _TYPES)
        if error.instance_path[-1:] == ["pattern"]:
            hint = "patterns are matched in linear time: no look-around, no back-references"
            return Complaint(where, "this pattern cannot be used", hint)
        if "$ref" in error.message or not error.instance_path:
            return Complaint(where, "a $ref leads to what the schema does not have")
        message = error.message if len(error.message) <= LONGEST_SHOWN * 2 else "is not usable"
        return Complaint(where, f"this is no JSON Schema: {message}")
    except ValueError:
        return Complaint(steps, "this is no JSON Schema")
    return None


def _unnamed(schema: Mapping[str, Any], steps: Steps) -> Iterator[Complaint]:
    """Names that must be given and that nothing describes."""
    known = schema.get("properties") or {}
    if not _COMBINED.isdisjoint(schema) or schema.get("additionalProperties", False):
        return
    for at, name in enumerate(schema.get("required") or ()):
        if name not in known:
            message = f"there is no property {quoted(str(name))}"
            yield Complaint((*steps, "required", at), message)


def _unknown(uri: str) -> Any:
    """A schema stands for itself: none is fetched."""
    raise ValueError(f"{uri} is not part of the schema")
