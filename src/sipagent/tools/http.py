"""Tools that ask an HTTP API: the arguments fill the request, the answer is what the model gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pydantic_core import from_json

from sipagent.errors import EgressError, EgressTrouble, SecretError
from sipagent.model import (
    Effects,
    HttpRequest,
    Tool,
    ToolResult,
    ToolStatus,
)
from sipagent.model.secret import ReadSecret
from sipagent.model.trace import TraceHeaders, untraced
from sipagent.sessions.ports import Clock, ToolRequest
from sipagent.tools.egress import Answer, Ask, Egress
from sipagent.tools.filling import ArgumentError, DigitsMissingError, Filled, fill, values_of
from sipagent.tools.output import UnfitError, error_of, output_of, pointed
from sipagent.tools.targets import TargetError, parse_target
from sipagent.tools.words import in_doubt, in_doubt_if_once, timed_out

log = structlog.get_logger(__name__)

_SERVERS_FAULT: Final = 500
_MOST_OF_A_REFUSAL: Final = 2_048
"""Bytes of what a server says of a request that it does not take; longer ones are left out."""


@dataclass(frozen=True, slots=True)
class HttpTools:
    """Runs tools that are HTTP requests."""

    egress: Egress
    secrets: ReadSecret
    clock: Clock
    trace: TraceHeaders = untraced

    async def run(self, request: ToolRequest, does: HttpRequest) -> ToolResult:
        """What the API has answered, within the tool's time. Raises nothing but for being
        cancelled."""
        began = self.clock.monotonic()
        tool = request.tool
        try:
            values = values_of(does, request.arguments, request.digits)
            filled = fill(does, values)
        except DigitsMissingError as error:
            words = f"the caller has to press keys first: use {error.tool}, then try again"
            return ToolResult(ToolStatus.REFUSED, error_of(words), "digits missing")
        except ArgumentError as error:
            return ToolResult(ToolStatus.REFUSED, error_of(str(error)), "argument")
        try:
            answer = await self._answer(request, does, filled)
        except SecretError:
            result = ToolResult(
                ToolStatus.FAILED, error_of("this tool cannot be used at the moment"), "secret"
            )
        except EgressError as error:
            result = _failed(error, tool)
        else:
            result = _result(answer, does, tool)
        self._log(request, does, result, began)
        return result

    async def _answer(self, request: ToolRequest, does: HttpRequest, filled: Filled) -> Answer:
        """The answer to the request. Raises SecretError and EgressError."""
        span = ("tool", request.id)
        known = self.trace(request.plan.call_id, span, does.url)
        headers = {"Accept": "application/json", **known}
        if filled.body is not None:
            headers["Content-Type"] = "application/json"
        headers = merged(headers, does.headers)
        if does.secret is not None:
            secret = self.secrets(request.plan.tenant, does.secret)
            headers = merged(headers, {"Authorization": f"Bearer {secret}"})
        return await self.egress.request(
            Ask(
                method=filled.method,
                url=filled.url,
                headers=headers,
                body=filled.body,
                within=request.tool.timeout,
                tenant=request.plan.tenant,
                plain=does.plain,
            )
        )

    def _log(
        self, request: ToolRequest, does: HttpRequest, result: ToolResult, began: float
    ) -> None:
        if result.status is ToolStatus.DONE:
            return  # it has its line in the log of calls
        log.info(
            "tool asked",
            tool=request.tool.name,
            host=host_of(does.url),
            status=result.status.value,
            detail=result.detail,
            milliseconds=round(1000 * (self.clock.monotonic() - began)),
        )


def merged(headers: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    """Headers with others laid over them, by name in any spelling."""
    named = {name.lower() for name in over}
    return {**{name: v for name, v in headers.items() if name.lower() not in named}, **over}


def host_of(url: str) -> str | None:
    """The host that a tool's URL has written out, for people; None if it cannot be used."""
    scheme, _, rest = url.partition("://")
    authority = rest.partition("/")[0].partition("?")[0]
    try:
        return parse_target(f"{scheme}://{authority}").host
    except TargetError:
        return None


def _result(answer: Answer, does: HttpRequest, tool: Tool) -> ToolResult:
    """What an answer means to the model."""
    detail = f"HTTP {answer.status}"
    if not _is_success(answer.status):
        return ToolResult(ToolStatus.FAILED, _refusal(answer, does, tool), detail)
    try:
        output = _output(answer, does)
    except (UnfitError, RecursionError, ValueError):
        words = "it was done, but its answer cannot be read"
        return ToolResult(ToolStatus.FAILED, error_of(words), f"{detail}, unreadable")
    return ToolResult(ToolStatus.DONE, output, detail)


def _is_success(status: int) -> bool:
    return 200 <= status < 300


def _output(answer: Answer, does: HttpRequest) -> str:
    """The answer as the model gets it. Raises ValueError for one that is not as announced."""
    if does.response is not None:
        value = _json_of(answer.body)
        return output_of({name: pointed(value, at) for name, at in does.response.items()})
    if not answer.body.strip():
        return output_of({"status": "done"})
    if _is_json(answer):
        return output_of(_json_of(answer.body))
    return output_of({"text": _text_of(answer)})


def _refusal(answer: Answer, does: HttpRequest, tool: Tool) -> str:
    """What the model gets of an error: the status, and what the server says to it where the fault
    may be the arguments' (4xx). Where the tool says what may be read of an answer, no more is."""
    words = _answered(answer.status, tool)
    told = does.response is None and 400 <= answer.status < 500
    if told and _is_json(answer) and 0 < len(answer.body) <= _MOST_OF_A_REFUSAL:
        try:
            return error_of(words, status=answer.status, answer=_json_of(answer.body))
        except (UnfitError, RecursionError, ValueError):
            pass
    return error_of(words, status=answer.status)


def _answered(status: int, tool: Tool) -> str:
    """What the model gets of an error in any case. One of the server's own (5xx) does not say how
    far it had come: a gateway's may follow what was done."""
    words = f"the service answered with HTTP status {status}"
    return in_doubt_if_once(tool, words) if status >= _SERVERS_FAULT else words


def _is_json(answer: Answer) -> bool:
    kind = answer.headers.get("content-type", "application/json").partition(";")[0]
    kind = kind.strip().lower()
    return kind == "application/json" or kind.endswith("+json") or kind == "text/json"


def _json_of(body: bytes) -> Any:
    return from_json(body, allow_inf_nan=False, cache_strings="none")


def _text_of(answer: Answer) -> str:
    text = answer.body.decode("utf-8", "replace")
    if "\0" in text:
        raise UnfitError("no text")
    return text


def _failed(error: EgressError, tool: Tool) -> ToolResult:
    """What the model gets where no answer came, and whether it may try again."""
    detail = str(error)
    if error.status is not None and not _is_success(error.status):
        told = error_of(_answered(error.status, tool), status=error.status)
        return ToolResult(ToolStatus.FAILED, told, f"HTTP {error.status}, {detail}")
    match error.kind:
        case EgressTrouble.TIMED_OUT:
            return timed_out(tool, detail)
        case EgressTrouble.TOO_LARGE:
            words = "it was done, but its answer is too long to read"
            return ToolResult(ToolStatus.FAILED, error_of(words), detail)
        case EgressTrouble.REFUSED:
            words = "this service cannot be reached from here"
            return ToolResult(ToolStatus.FAILED, error_of(words), detail)
        case EgressTrouble.UNREACHABLE | EgressTrouble.CIRCUIT_OPEN:
            doubt = error.sent and tool.effects is Effects.ONCE
            words = (
                in_doubt("the connection was lost")
                if doubt
                else "the service cannot be reached at the moment"
            )
            return ToolResult(ToolStatus.FAILED, error_of(words), detail)
