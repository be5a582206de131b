"""Tools that are an operator's own functions: entry points of the group `sipagent.tools`.

A function's signature is its schema: each parameter after the call is an argument, and what the
model gives is checked and converted before the function runs.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, get_type_hints

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from sipagent.model import Effects, Json, PythonCall, ToolResult, ToolStatus
from sipagent.sessions.ports import ToolRequest
from sipagent.tools.kit import SETTINGS, ToolCall, ToolError, ToolSettings
from sipagent.tools.output import UnfitError, error_of, output_of, text_of
from sipagent.tools.words import in_doubt_if_once, timed_out

log = structlog.get_logger(__name__)

GROUP: Final = "sipagent.tools"


class UnusableError(Exception):
    """An entry point that cannot be a tool. `reason` says why, for the operator."""

    def __init__(self, entry_point: str, reason: str) -> None:
        super().__init__(entry_point, reason)
        self.entry_point = entry_point
        self.reason = reason

    def __str__(self) -> str:
        return f"the Python tool {self.entry_point!r} {self.reason}"


@dataclass(frozen=True, slots=True)
class PythonFunction:
    """A function that is a tool. `parameters` is the JSON Schema of its arguments."""

    entry_point: str
    description: str
    parameters: Json
    effects: Effects
    timeout: float
    call: Callable[..., Any] = field(repr=False)
    arguments: type[BaseModel] = field(repr=False)
    names: tuple[str, ...] = ()


@dataclass(slots=True)
class PythonTools:
    """The operator's functions. Each entry point is loaded once, when it is first asked for."""

    found: Callable[[], Iterable[EntryPoint]] = lambda: entry_points(group=GROUP)
    _loaded: dict[str, PythonFunction] = field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """The entry points that are installed, in order."""
        return tuple(sorted({entry.name for entry in self.found()}))

    def function(self, name: str) -> PythonFunction:
        """The function behind an entry point. Raises UnusableError."""
        known = self._loaded.get(name)
        if known is None:
            known = self._loaded[name] = self._load(name)
        return known

    def _load(self, name: str) -> PythonFunction:
        entries = [entry for entry in self.found() if entry.name == name]
        if not entries:
            raise UnusableError(name, f"is no entry point of the group {GROUP}")
        if len({entry.value for entry in entries}) > 1:
            raise UnusableError(name, "is an entry point of more than one package")
        try:
            function = entries[0].load()
        except Exception as error:  # the operator's module may do anything while it is imported
            raise UnusableError(name, f"cannot be imported: {type(error).__name__}") from error
        return described(name, function)

    async def run(self, request: ToolRequest, does: PythonCall) -> ToolResult:
        """What the function has given, within the tool's time. Raises nothing but for being
        cancelled."""
        try:
            function = self.function(does.entry_point)
        except UnusableError as error:
            log.warning("python tool not usable", tool=request.tool.name, reason=error.reason)
            return _failure("this tool cannot be used at the moment", "not loaded")
        try:
            given = function.arguments.model_validate(dict(request.arguments))
        except ValidationError as invalid:
            return ToolResult(ToolStatus.REFUSED, _complaint(invalid), "arguments")
        arguments = {name: getattr(given, f"a{at}") for at, name in enumerate(function.names)}
        return await _called(function, request, arguments)


def described(name: str, function: Any) -> PythonFunction:
    """A function as a tool. Raises UnusableError for one that cannot be one."""
    if not inspect.iscoroutinefunction(function):
        raise UnusableError(name, "is no async function")
    description = inspect.getdoc(function)
    if not description:
        raise UnusableError(name, "has no docstring, which is what the model knows of it")
    names, model = _arguments(name, function)
    settings = getattr(function, SETTINGS, None) or ToolSettings()
    return PythonFunction(
        entry_point=name,
        description=description,
        parameters=_schema(name, model),
        effects=settings.effects,
        timeout=settings.timeout,
        call=function,
        arguments=model,
        names=names,
    )


def _arguments(name: str, function: Any) -> tuple[tuple[str, ...], type[BaseModel]]:
    """The names of a function's arguments, and the model that checks them. Its fields have names of
    their own, as those of arguments may be any."""
    parameters = list(inspect.signature(function).parameters.values())
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise UnusableError(name, f"has types that cannot be read: {error}") from error
    if not parameters or hints.get(parameters[0].name) is not ToolCall:
        raise UnusableError(name, "does not take a ToolCall as its first parameter")
    fields: dict[str, Any] = {}
    for at, parameter in enumerate(parameters[1:]):
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise UnusableError(name, f"has a parameter that has no name of its own: {parameter}")
        if parameter.name not in hints:
            raise UnusableError(name, f"does not say of which type {parameter.name} is")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[f"a{at}"] = (hints[parameter.name], Field(default, alias=parameter.name))
    try:
        model = create_model(name, __config__=ConfigDict(extra="forbid"), **fields)
    except (PydanticUserError, PydanticSchemaGenerationError) as error:
        raise UnusableError(name, "has a parameter of a type that has no JSON Schema") from error
    return tuple(parameter.name for parameter in parameters[1:]), model


def _schema(name: str, model: type[BaseModel]) -> Json:
    try:
        schema = model.model_json_schema()
    except PydanticUserError as error:
        raise UnusableError(name, "has a parameter of a type that has no JSON Schema") from error
    schema.pop("title", None)
    for property_ in schema.get("properties", {}).values():
        property_.pop("title", None)
    schema.setdefault("properties", {})
    return schema


async def _called(
    function: PythonFunction, request: ToolRequest, arguments: Mapping[str, Any]
) -> ToolResult:
    """What the function gives. Whatever it raises is its own failure, and no other's."""
    plan = request.plan
    call = ToolCall(
        id=request.id,
        call_id=plan.call_id,
        tenant=plan.tenant,
        agent=request.agent,
        caller=plan.caller,
        dialed=plan.dialed,
        attested=plan.attested,
    )
    scope = asyncio.timeout(request.tool.timeout)
    try:
        async with scope:
            given = await function.call(call, **arguments)
    except ToolError as error:
        return _failure(error.words, "ToolError")
    except TimeoutError as error:
        if scope.expired():
            return timed_out(request.tool)
        return _crashed(request, error)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the operator's code may raise anything
        return _crashed(request, error)
    return _result(request, given)


def _result(request: ToolRequest, given: object) -> ToolResult:
    if isinstance(given, str):
        return ToolResult(ToolStatus.DONE, text_of(given))
    try:
        return ToolResult(ToolStatus.DONE, output_of(to_jsonable_python(given)))
    except (UnfitError, PydanticSerializationError, ValueError, RecursionError):
        log.warning("tool gave no JSON", tool=request.tool.name, type=type(given).__name__)
        return _failure("it was done, but its answer cannot be read", "no JSON")


def _crashed(request: ToolRequest, error: BaseException) -> ToolResult:
    """A function's failure. What its exception says may be a caller's words, and is not told."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = None if trace is None else trace.tb_frame.f_code
    log.error(
        "tool failed",
        tool=request.tool.name,
        error=type(error).__name__,
        function=None if code is None else code.co_qualname,
        line=None if trace is None else trace.tb_lineno,
    )
    words = in_doubt_if_once(request.tool, "the tool failed")
    return _failure(words, type(error).__name__)


def _complaint(invalid: ValidationError) -> str:
    """What is wrong with the arguments, without their values."""
    problems = [
        f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}"
        for error in invalid.errors(include_url=False, include_context=False, include_input=False)
    ]
    return error_of("the arguments cannot be used", problems=problems[:8])


def _failure(words: str, detail: str) -> ToolResult:
    return ToolResult(ToolStatus.FAILED, error_of(words), detail)
