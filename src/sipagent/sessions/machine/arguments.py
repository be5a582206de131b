"""What a model gives a tool, against what the tool takes. Pure.

A model writes what its caller says: the text may be cut, huge, of other types, or aimed at whatever
reads it. Nothing runs before it fulfils the tool's JSON Schema. Patterns are matched in linear
time, so that no text of a caller's makes one take for ever.
"""

from functools import lru_cache
from itertools import islice
from typing import Any, Final

import msgspec
from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

from sipagent.model import Json

LONGEST: Final = 16 * 1024
"""Characters of a call's arguments. A model's longest output is a few times that, of all calls."""

_DEEPEST: Final = 32
_TOLD: Final = 3
_SHORT: Final = 256
"""Characters of arguments of which more than the first mistake is told."""

_LONGEST_COMPLAINT: Final = 200


class Unfit(msgspec.Struct, frozen=True):
    """Arguments that a tool does not take. `why` is for the model, which may quote its caller."""

    why: str

    def __repr__(self) -> str:
        return "Unfit()"


def fitting(parameters: Json, arguments: str) -> Json | Unfit:
    """The arguments, or why the tool cannot take them. An empty text is no arguments."""
    if len(arguments) > LONGEST:
        return Unfit(f"the arguments are longer than {LONGEST} characters")
    try:
        given: Any = msgspec.json.decode(arguments) if arguments.strip() else {}
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return Unfit("the arguments are not JSON")
    if not isinstance(given, dict):
        return Unfit("the arguments are not a JSON object")
    if _depth(given) > _DEEPEST:
        return Unfit("the arguments are nested too deeply")
    validator = _validator(msgspec.json.encode(parameters))
    if validator.is_valid(given):
        return given
    # All errors are found before the first of them can be read, each with what it is about: of long
    # arguments that would take seconds.
    short = len(arguments) <= _SHORT
    errors = islice(validator.iter_errors(given), _TOLD) if short else [_first(validator, given)]
    return Unfit("; ".join(map(_told, errors)))


@lru_cache(maxsize=1024)
def _validator(parameters: bytes) -> Draft202012Validator:
    return Draft202012Validator(
        msgspec.json.decode(parameters), pattern_options=RegexOptions(), retriever=_unknown
    )


def _unknown(uri: str) -> Any:
    """A schema stands for itself: none is fetched."""
    raise ValueError(f"{uri} is not part of the schema")


def _first(validator: Draft202012Validator, given: Json) -> ValidationError:
    """The first mistake of arguments that do not fit."""
    try:
        validator.validate(given)
    except ValidationError as error:
        return error
    raise AssertionError("arguments fit that did not before")


def _told(error: ValidationError) -> str:
    where = ".".join(map(str, error.instance_path))
    message = error.message[:_LONGEST_COMPLAINT]
    return f"{where}: {message}" if where else message


def _depth(value: Any) -> int:
    """How deep lists and objects are nested. Not recursive: the depth is what is in doubt."""
    deepest, open_ = 0, [(value, 1)]
    while open_:
        one, depth = open_.pop()
        deepest = max(deepest, depth)
        if depth > _DEEPEST:
            return depth
        below = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        open_ += [(each, depth + 1) for each in below if isinstance(each, dict | list)]
    return deepest
