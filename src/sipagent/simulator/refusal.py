"""Why a request or a client event is refused, in OpenAI's words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

JsonObject = dict[str, Any]

_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "list_type": "an array",
}
_BOUNDS = {
    "greater_than_equal": ("minimum", "ge", ">=", "below_min_value"),
    "less_than_equal": ("maximum", "le", "<=", "above_max_value"),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the provider would say. `status` matters to REST only."""

    message: str
    code: str | None
    param: str | None = None
    status: int = 400
    type: str = "invalid_request_error"

    def body(self) -> JsonObject:
        """The error object, as REST bodies and `error` events both carry it."""
        return {
            "type": self.type,
            "code": self.code,
            "message": self.message,
            "param": self.param,
        }


CALL_NOT_FOUND = Refusal("No session found for the given call_id.", "call_id_not_found", status=404)
NO_KEY = Refusal(
    "You didn't provide an API key. You need to provide your API key in an Authorization header "
    "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
    None,
    status=401,
)

WRONG_KEY = Refusal("Incorrect API key provided.", "invalid_api_key", status=401)


def check(adapter: TypeAdapter[Any], data: Any, root: str) -> Refusal | None:
    """None if `data` is valid; else the first thing that is wrong with it."""
    try:
        adapter.validate_python(data)
    except ValidationError as error:
        return _refusal(error.errors(include_url=False)[0], data, root)
    return None


def _refusal(detail: ErrorDetails, data: Any, root: str) -> Refusal:
    param = _param(detail, data, root)
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        return Refusal(f"Unknown parameter: '{param}'.", "unknown_parameter", param)
    if kind in {"missing", "union_tag_not_found"} and _lacks_a_key(kind, given):
        param = param if kind == "missing" else f"{param}.type"
        return Refusal(f"Missing required parameter: '{param}'.", _MISSING, param)
    if kind in _EXPECTED or kind == "union_tag_not_found":
        return _wrong_type(param, _EXPECTED.get(kind, "an object"), given)
    if kind in _BOUNDS:
        return _out_of_bounds(detail, param)
    if kind == "string_too_long":
        limit = detail["ctx"]["max_length"]
        message = (
            f"Invalid '{param}': string too long. Expected a string with maximum length {limit}, "
            f"but got a string with length {len(given)} instead."
        )
        return Refusal(message, "string_above_max_length", param)
    return _wrong_value(detail, param)


_MISSING = "missing_required_parameter"


def _lacks_a_key(kind: str, given: Any) -> bool:
    return kind == "missing" or isinstance(given, dict)


def _wrong_type(param: str, expected: str, given: Any) -> Refusal:
    message = f"Invalid type for '{param}': expected {expected}, but got {_kind(given)} instead."
    return Refusal(message, "invalid_type", param)


def _out_of_bounds(detail: ErrorDetails, param: str) -> Refusal:
    edge, key, sign, code = _BOUNDS[detail["type"]]
    given, limit = detail["input"], detail["ctx"][key]
    noun = "integer" if isinstance(given, int) else "decimal"
    side = "above" if edge == "maximum" else "below"
    message = (
        f"Invalid '{param}': {noun} {side} {edge} value. "
        f"Expected a value {sign} {limit}, but got {given} instead."
    )
    return Refusal(message, f"{noun}_{code}", param)


def _wrong_value(detail: ErrorDetails, param: str) -> Refusal:
    context = detail.get("ctx", {})
    expected = context.get("expected") or context.get("expected_tags")
    if isinstance(expected, str):
        given = context.get("tag", detail["input"])
        values = expected.replace(" or ", ", ")
        message = f"Invalid value: '{given}'. Supported values are: {values}."
        return Refusal(message, "invalid_value", param)
    error = context.get("error")
    reason = str(error) if error is not None else f"Invalid '{param}': {detail['msg']}."
    return Refusal(reason, "invalid_value", param)


def _param(detail: ErrorDetails, data: Any, root: str) -> str:
    """The place in the caller's own JSON; pydantic's location also names the unions' branches."""
    path, here = root, data
    location: Sequence[int | str] = detail["loc"]
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(part, int) and isinstance(here, list):
            path, here = f"{path}[{part}]", here[part]
        elif isinstance(here, dict) and (part in here or (last and detail["type"] == "missing")):
            path, here = f"{path}.{part}" if path else str(part), here.get(part)
    return path


def _kind(value: Any) -> str:
    names: list[tuple[type, str]] = [
        (bool, "a boolean"),
        (str, "a string"),
        (int, "an integer"),
        (float, "a decimal"),
        (list, "an array"),
        (dict, "an object"),
    ]
    return next((name for kind, name in names if isinstance(value, kind)), "null")
