"""What of a run was not as the scenario expects it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jsonschema_rs
from pydantic_core import from_json

from sipagent.config.findings import Place
from sipagent.model import ToolUse
from sipagent.scenarios.reading import request_of
from sipagent.scenarios.scenario import Expectation, Scenario
from sipagent.scenarios.schema import (
    AnsweredBy,
    Begins,
    Called,
    Ended,
    Instructions,
    MessageTaken,
    NeverSaid,
    NotOffered,
    NotTransferred,
    Rejected,
    Requested,
    Said,
    Spoke,
    TransferFailed,
    TransferredTo,
)
from sipagent.scenarios.stage import Run
from sipagent.scenarios.standin import Asked, same_place

_SPACES: Final = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that was not as expected. `expected` is how the file has it, None where a script
    cannot be played at all; `happened` is a sentence."""

    place: Place
    expected: str | None
    happened: str


def failures_of(scenario: Scenario, run: Run) -> tuple[Failure, ...]:
    """All that was not as expected, in the file's order."""
    failures = [*_impossible(scenario, run), *_unplayed(scenario, run)]
    for expected in scenario.expected:
        happened = _judge(expected.what, run)
        if happened is not None:
            failures.append(Failure(expected.place, expected.text, happened))
    return tuple(sorted(failures, key=lambda failure: failure.place))


def _impossible(scenario: Scenario, run: Run) -> Iterator[Failure]:
    """What the persona does not let the scripted model do, and what the scenario leaves open."""
    for index, note in _notes_by_step(run):
        place = scenario.script[index].place if index is not None else scenario.call_place
        match note["type"]:
            case "not_offered":
                offered = ", ".join(note["offered"]) or "none"
                happened = f"the persona offers no tool {note['name']}; it offers: {offered}"
                yield Failure(place, None, happened)
            case "not_instructed":
                happened = f'the instructions do not have the words "{note["words"]}"'
                yield Failure(place, None, happened)
            case "tool" if (problem := _unfit(note, run)) is not None:
                yield Failure(place, None, f"the tool {note['name']} does not allow it: {problem}")
    for problem in run.problems:
        yield Failure(scenario.call_place, None, problem)
    for asked in run.asked:
        if not asked.known:
            happened = f"{asked.method} {asked.url} was requested; `http` has no answer for it"
            yield Failure(scenario.call_place, None, happened)


def _notes_by_step(run: Run) -> Iterator[tuple[int | None, Mapping[str, Any]]]:
    """Each note with the step of the script that it belongs to: the last that has happened."""
    index: int | None = None
    for note in run.notes:
        if note["type"] == "step":
            index = note["index"]
        yield index, note


def _unplayed(scenario: Scenario, run: Run) -> Iterator[Failure]:
    """The first step that the call did not come to, if the caller was not rejected."""
    played = {note["index"] for note in run.notes if note["type"] == "step"}
    if run.rejected is not None:
        return
    for index, step in enumerate(scenario.script):
        if index not in played:
            yield Failure(step.place, step.text, "the call did not come to this step")
            return


def _unfit(note: Mapping[str, Any], run: Run) -> str | None:
    """Why the arguments of a call are not those of a tool that the session has."""
    if note.get("status") == "incomplete" or run.call.session is None:
        return None
    for tool in run.call.session["tools"]:
        if tool.get("name") == note["name"]:
            try:
                jsonschema_rs.validate(tool.get("parameters") or {}, from_json(note["arguments"]))
            except (ValueError, jsonschema_rs.ValidationError) as error:
                return getattr(error, "message", str(error))
    return None


def _judge(what: Expectation, run: Run) -> str | None:
    """What happened instead, None where it is as expected."""
    match what:
        case Said() | NeverSaid() | Begins() | Instructions() | Spoke() | AnsweredBy():
            return _judge_words(what, run)
        case Called() | NotOffered() | MessageTaken():
            return _judge_tools(what, run)
        case TransferredTo() | TransferFailed() | NotTransferred():
            return _judge_transfer(what, run)
        case Requested():
            return _requested(what, run)
        case Ended() | Rejected():
            return _judge_end(what, run)


def _judge_words(
    what: Said | NeverSaid | Begins | Instructions | Spoke | AnsweredBy, run: Run
) -> str | None:
    match what:
        case Said(said=words):
            heard = any(_has(line, words) for line in _agent_lines(run))
            return None if heard else "the agent did not say it"
        case NeverSaid(never_said=words):
            line = next((line for line in _agent_lines(run) if _has(line, words)), None)
            return None if line is None else f'the agent said "{line}"'
        case Begins(begins=words):
            first = next(_agent_lines(run), None)
            if first is None:
                return "the agent said nothing"
            return None if _has(first, words) else f'the agent began with "{first}"'
        case Instructions(instructions=words):
            given = (run.call.session or {}).get("instructions", "")
            return None if _has(given, words) else "the instructions do not have these words"
        case Spoke(language=language):
            spoken = None if run.plan is None else run.plan.language
            return None if spoken == language else f"it was {spoken or 'none'}"
        case AnsweredBy(answered_by=agent):
            answered = None if run.plan is None else run.plan.agent
            return None if answered == agent else f"it was {answered or 'none'}"


def _agent_lines(run: Run) -> Iterator[str]:
    return (line["text"] for line in run.call.transcript if line["who"] == "agent")


def _judge_tools(what: Called | NotOffered | MessageTaken, run: Run) -> str | None:
    match what:
        case Called():
            return _called(what, run)
        case NotOffered(no_tool=name):
            tools = (run.call.session or {}).get("tools", [])
            return "the session offers it" if any(t.get("name") == name for t in tools) else None
        case MessageTaken(message=fields):
            if any(_has_fields(message.fields, fields) for message in run.messages):
                return None
            kept = [dict(message.fields) for message in run.messages]
            return f"the messages kept: {kept}" if kept else "no message was kept"


def _called(what: Called, run: Run) -> str | None:
    """Whether some call of the tool is all that is expected."""
    calls = [note for note in run.notes if _name_of(note) == what.tool]
    if not calls:
        return "the model did not ask for it"
    results = {use.id: use for use in run.tools}
    outputs = _outputs(run)
    reasons = []
    for call in calls:
        call_id = call.get("call_id", "")
        use = results.get(call_id)
        reason = _call_differs(what, call["arguments"], use, outputs.get(call_id))
        if reason is None:
            return None
        reasons.append(reason)
    return "; ".join(dict.fromkeys(reasons))


def _name_of(note: Mapping[str, Any]) -> str | None:
    """The tool that a note says was asked for."""
    match note:
        case {"type": "tool", "name": str(name)}:
            return name
        case {"type": "served", "server": str(server), "name": str(name)}:
            return f"{server}/{name}"
        case _:
            return None


def _call_differs(
    what: Called, arguments: str, use: ToolUse | None, output: str | None
) -> str | None:
    if not includes(_json(arguments), what.arguments):
        return f"its arguments were {arguments}"
    fields = what.model_fields_set
    if "result" in fields and (use is None or use.result != what.result):
        return f"{_came(use)}: {output}"
    if "output" in fields and not _has(output or "", what.output):
        return f"the model got {output}"
    return None


def _came(use: ToolUse | None) -> str:
    """What a call has come to, and why."""
    if use is None:
        return "it was never done"
    return f"it came to {use.result}{f' ({use.detail})' if use.detail else ''}"


def _outputs(run: Run) -> dict[str, str]:
    """What the model got for each call."""
    items = (
        event.get("item", {})
        for event in run.call.client_events
        if isinstance(event, dict) and event.get("type") == "conversation.item.create"
    )
    return {i["call_id"]: i["output"] for i in items if i.get("type") == "function_call_output"}


def _judge_transfer(what: TransferredTo | TransferFailed | NotTransferred, run: Run) -> str | None:
    sent = ", ".join(run.sent) or "nowhere"
    ended = run.call.ended_by == "refer"
    match what:
        case TransferredTo(transferred_to=name):
            if ended and run.sent and run.sent[-1] == name:
                return None
            taken = "and somebody took it" if ended else "and nobody took it"
            return f"the call was sent {sent}" + (f", {taken}" if run.sent else "")
        case TransferFailed(transfer_failed=name):
            tried = run.sent if not ended else run.sent[:-1]
            return None if name in tried else f"the call was sent {sent}"
        case NotTransferred():
            return f"the call was sent {sent}" if run.sent else None


def _requested(what: Requested, run: Run) -> str | None:
    method, url = request_of(what.http)
    fitting = [
        asked for asked in run.asked if asked.method == method and same_place(url, asked.url)
    ]
    if "times" in what.model_fields_set:
        count = sum(_request_has(asked, what) for asked in fitting)
        return None if count == what.times else f"it was made {count} times"
    if any(_request_has(asked, what) for asked in fitting):
        return None
    if not fitting:
        others = ", ".join(f"{asked.method} {asked.url}" for asked in run.asked)
        return f"the requests made: {others}" if others else "no request was made"
    return "; ".join(_differs(asked, what) for asked in fitting)


def _differs(asked: Asked, what: Requested) -> str:
    """What of a request is not as expected."""
    others = [
        f"{name} was {asked.headers.get(name.lower(), 'not sent')}"
        for name, value in what.headers.items()
        if asked.headers.get(name.lower()) != value
    ]
    if others:
        return f"of its headers {', '.join(others)}"
    return f"it had the body {asked.body}" if asked.body else "it had no body"


def _request_has(asked: Asked, what: Requested) -> bool:
    headers = all(asked.headers.get(name.lower()) == value for name, value in what.headers.items())
    return headers and ("body" not in what.model_fields_set or includes(asked.json(), what.body))


def _judge_end(what: Ended | Rejected, run: Run) -> str | None:
    match what:
        case Ended(outcome=name):
            if run.outcome is not None and run.outcome.name == name and not run.overdue:
                return None
            late = ": the caller gave up, because the call did not end" if run.overdue else ""
            return f"it was {run.outcome.name if run.outcome else 'none'}{late}"
        case Rejected(rejected=code):
            if run.rejected == code:
                return None
            return f"it was {run.rejected}" if run.rejected else "the call was answered"


def includes(whole: Any, part: Any) -> bool:
    """Whether JSON has all that another has: mappings may have more keys."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and includes(whole[key], value) for key, value in part.items()
        )
    if isinstance(part, list):
        return (
            isinstance(whole, list) and len(whole) == len(part) and all(map(includes, whole, part))
        )
    return bool(whole == part)


def _has_fields(kept: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(_has(kept.get(name, ""), words) for name, words in wanted.items())


def _has(text: str, words: str) -> bool:
    """Whether the words stand in the text, whatever their case and spaces."""
    return _plain(words) in _plain(text)


def _plain(text: str) -> str:
    return _SPACES.sub(" ", text).casefold().strip()


def _json(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError:
        return None
