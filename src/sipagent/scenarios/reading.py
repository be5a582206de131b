"""From a scenario's file to the scenario, or to all that is wrong with it."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import ValidationError

from sipagent.config.findings import Complaint, Findings, Place, Steps
from sipagent.config.outline import outline_of
from sipagent.config.schema.base import given, seconds
from sipagent.config.sentences import complaint_of
from sipagent.config.textfile import Unreadable, read_text_file
from sipagent.config.yamlfile.document import Document
from sipagent.config.yamlfile.reader import read
from sipagent.config.yamlfile.values import to_data
from sipagent.model import Reason
from sipagent.scenarios.scenario import (
    Call,
    Exchange,
    Expected,
    Reply,
    Scenario,
    Step,
    Stub,
    Takes,
)
from sipagent.scenarios.schema import (
    AgentStep,
    AnswersAfter,
    CallEntry,
    CallerStep,
    CallsStep,
    Ended,
    HangsUpStep,
    HttpEntry,
    McpStep,
    PressesStep,
    QuotesStep,
    Requested,
    ScenarioFile,
    SilenceStep,
    StubEntry,
    TransferEntry,
)

MAX_FILE_BYTES: Final = 256 * 1024
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_ONE_END: Final = "must have either returns or fails"
_KEYS: Final = re.compile(r"[0-9*#]{1,64}")
_OUTCOMES: Final = frozenset(f"{reason.kind}.{reason}" for reason in Reason)


def read_scenario(path: Path) -> Scenario:
    """The scenario that the file holds. Raises ConfigError with all findings."""
    findings = Findings(str(path))
    text = read_text_file(path, MAX_FILE_BYTES)
    if isinstance(text, Unreadable):
        place = Place(text.line, text.column)
        findings.fail(place, (), f"the file {text.reason}", text.hint)
    return parse_scenario(text, file=str(path), findings=findings)


def parse_scenario(text: str, *, file: str, findings: Findings | None = None) -> Scenario:
    """The scenario that the text holds. Raises ConfigError with all findings."""
    findings = findings or Findings(file)
    document = read(text, findings, "call, script and expect", "call:")
    data = to_data(document, findings, outline_of(ScenarioFile), None)
    try:
        entry = ScenarioFile.model_validate(data)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _tell(complaint_of(detail, (), data, ScenarioFile, findings), document, findings)
        raise findings.error() from None
    for complaint in _complaints(entry, findings):
        _tell(complaint, document, findings)
    if findings.ordered():
        raise findings.error()
    return _Understanding(document, file, entry).scenario()


def _tell(complaint: Complaint, document: Document, findings: Findings) -> None:
    where = document.key if complaint.at_key else document.value
    findings.add(where(complaint.steps), complaint.steps, complaint.message, complaint.hint)


def _complaints(entry: ScenarioFile, findings: Findings) -> Iterator[Complaint]:
    """What shapes and words alone do not show."""
    yield from _setting_complaints(entry)
    yield from _script_complaints(entry)
    for index, expected in enumerate(entry.expect):
        if isinstance(expected, Requested):
            yield from _request_complaints(("expect", index, "http"), expected.http)
        if isinstance(expected, Ended) and expected.outcome not in _OUTCOMES:
            hint = findings.did_you_mean(expected.outcome, _OUTCOMES)
            hint = hint or "as in completed.agent_hung_up"
            yield Complaint(("expect", index, "outcome"), "there is no such outcome", hint)


def _setting_complaints(entry: ScenarioFile) -> Iterator[Complaint]:
    if given(entry.call.at) is not None and _moment(entry.call.at) is None:
        hint = 'as in "2026-11-24T10:00-06:00", with the offset of the place'
        yield Complaint(("call", "at"), "this is no moment", hint)
    for index, http in enumerate(entry.http):
        yield from _request_complaints(("http", index, "request"), http.request)
    for name, stub in entry.tools.items():
        if not _has_one_end(stub):
            yield Complaint(("tools", name), _ONE_END)


def _script_complaints(entry: ScenarioFile) -> Iterator[Complaint]:
    for index, step in enumerate(entry.script):
        if isinstance(step, PressesStep) and not _KEYS.fullmatch(step.presses):
            yield Complaint(("script", index, "presses"), "must be keys: 0 to 9, * and #")
        if isinstance(step, McpStep) and not _has_one_end(step):
            yield Complaint(("script", index), _ONE_END)


def _has_one_end(entry: StubEntry | McpStep) -> bool:
    """Whether it says in one way what comes of a tool."""
    return ("returns" in entry.model_fields_set) != ("fails" in entry.model_fields_set)


def _request_complaints(steps: Steps, text: str) -> Iterator[Complaint]:
    method, url = request_of(text)
    parts = urlsplit(url)
    if method not in _METHODS or parts.scheme not in {"http", "https"} or not parts.hostname:
        hint = "as in GET https://api.acme.example/orders"
        yield Complaint(steps, "must be a method and a URL", hint)


def request_of(text: str) -> tuple[str, str]:
    """Method and URL of `POST https://...`."""
    method, _, url = text.partition(" ")
    return method, url.strip()


def _moment(text: str) -> float | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if at.tzinfo is None else at.timestamp()


class _Understanding:
    """A file whose shape is right, and where everything stands in it."""

    def __init__(self, document: Document, file: str, entry: ScenarioFile) -> None:
        self._document = document
        self._file = file
        self._entry = entry

    def scenario(self) -> Scenario:
        entry = self._entry
        return Scenario(
            file=self._file,
            name=Path(self._file).stem,
            about=given(entry.about),
            call=_call(entry.call),
            call_place=self._document.key(("call",)),
            script=tuple(
                Step(self._document.key(("script", index)), _as_written(step), _order(step))
                for index, step in enumerate(entry.script)
            ),
            expected=tuple(
                Expected(self._document.key(("expect", index)), _as_written(what), what)
                for index, what in enumerate(entry.expect)
            ),
            transfers={name: _takes(each) for name, each in entry.transfers.items()},
            http=tuple(_exchange(each) for each in entry.http),
            stubs={name: _stub(each) for name, each in entry.tools.items()},
        )


def _as_written(entry: Any) -> str:
    """One line that says it as the file does."""
    written = entry.written()
    return ", ".join(f"{key}: {_shown(value)}" for key, value in written.items())


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _call(entry: CallEntry) -> Call:
    at = given(entry.at)
    return Call(
        to=entry.to,
        caller=entry.caller,
        limit=seconds(entry.limit),
        at=None if at is None else _moment(at),
        trunk=given(entry.trunk),
        attestation=given(entry.attestation),
        headers=entry.headers,
        account=given(entry.account),
    )


def _order(step: Any) -> dict[str, Any]:
    """The step as the simulator takes it."""
    match step:
        case CallerStep():
            order = {"caller": step.caller, "transcription_fails": step.unheard}
            return {**order, **_barging(step.interrupts or given(step.after) is not None, step)}
        case AgentStep():
            calls = given(step.calls)
            if calls is None:
                return {"agent": step.agent}
            return {"say": step.agent, "tool": _calls(calls)}
        case CallsStep():
            return {"tool": _calls(step.calls)}
        case McpStep():
            return {"mcp": _use(step)}
        case QuotesStep():
            return {"quotes": step.quotes}
        case PressesStep():
            return {"dtmf": step.presses, **_barging(step.interrupts, step)}
        case SilenceStep():
            return {"pause": seconds(step.silence)}
        case HangsUpStep():
            return {"hang_up": True, **_barging(step.interrupts, step)}
        case _:
            raise AssertionError(step)


def _barging(interrupts: bool, step: Any) -> dict[str, Any]:
    after = getattr(step, "after", None)
    return {"barge_in": interrupts, "after": None if after is None else seconds(after)}


def _calls(calls: str | dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(calls, str):
        return [{"name": calls}]
    return [{"name": name, "arguments": arguments} for name, arguments in calls.items()]


def _use(step: McpStep) -> dict[str, Any]:
    server, _, name = step.mcp.partition("/")
    failed = given(step.fails)
    end = {"output": _text(step.returns)} if failed is None else {"error": failed}
    return {"server": server, "name": name, "arguments": step.arguments, **end}


def _takes(entry: TransferEntry) -> Takes:
    if isinstance(entry, AnswersAfter):
        return Takes(seconds(entry.answers_after))
    return Takes(None, refused=entry == "refused")


def _exchange(entry: HttpEntry) -> Exchange:
    method, url = request_of(entry.request)
    reply = entry.reply
    after = given(reply.after)
    return Exchange(
        method, url, Reply(reply.status, reply.body, 0.0 if after is None else seconds(after))
    )


def _stub(entry: StubEntry) -> Stub:
    after = given(entry.after)
    failed = given(entry.fails)
    text = _text(entry.returns if failed is None else failed)
    return Stub(text, failed is not None, 0.0 if after is None else seconds(after))


def _text(output: Any) -> str:
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
