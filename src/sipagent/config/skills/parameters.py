"""JSON Schemas of a tool's arguments: judged when they are loaded, and closed."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sipagent.config.findings import Complaint, Steps
from sipagent.config.words import LONGEST_SHOWN, quoted
from sipagent.model import Json

MAX_SCHEMA_BYTES: Final = 16 * 1024

NO_PARAMETERS: Final[Json] = {"type": "object", "properties": {}, "additionalProperties": False}

_TYPES: Final = "string, integer, number, boolean, array, object or null"

_COMBINED: Final = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "$ref", "patternProperties"})
"""Keywords beside which `additionalProperties` would refuse what they allow."""


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
    problem = _uncompilable(dict(closed(schema)), steps)
    if problem is not None:
        yield problem
        return
    yield from _unnamed(schema, steps)


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
