"""Stored webhook bodies decided again: what another configuration would have done with calls."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from sipagent.config.report.explanation import LATEST, Question, explain
from sipagent.errors import PayloadError
from sipagent.model import Accept, Decision, Forward, Reject, TrunkName
from sipagent.providers.openai.webhooks import IncomingCallEvent, parse_event
from sipagent.routing import Controls, RoutingTable

_LARGEST: Final = 64 * 1024 * 1024
_NOBODY: Final = Controls()

Secrets = Mapping[TrunkName, Sequence[bytes]]


class Stored(NamedTuple):
    """An event and the file that it stands in."""

    file: Path
    event: IncomingCallEvent


@dataclass(frozen=True, slots=True)
class Redecided:
    """A call that two configurations treat differently."""

    file: str
    call_id: str
    dialed: str | None = field(repr=False)
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.file}: {self.dialed or 'unknown'}: {self.before} -> {self.after}"


def events_of(path: Path) -> list[Stored]:
    """All incoming calls of a file: one body, a list of them, or one a line.

    Raises ValueError for a file that cannot be read or holds something else.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"{path}: is larger than {_LARGEST // 2**20} MiB")
        text = path.read_text("utf-8")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ValueError(f"{path}: is not UTF-8 text") from None
    found = []
    for body in _bodies(path, text):
        try:
            event = parse_event(json.dumps(body).encode())
        except PayloadError as error:
            raise ValueError(f"{path}: {error}") from None
        if isinstance(event, IncomingCallEvent):
            found.append(Stored(path, event))
    return found


def stored_calls(path: Path) -> list[Stored]:
    """All incoming calls of a file, or of all `*.json` in a folder. Raises ValueError."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    return [stored for file in files for stored in events_of(file)]


def question_of(stored: Stored, question: Question) -> Question:
    """The question, about the stored call at the time of its creation."""
    given = stored.event.sip_headers
    pairs = [
        (entry["name"], entry["value"])
        for entry in (given if isinstance(given, list) else [])
        if isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get("value"), str)
    ]
    created = stored.event.created_at
    replaced = {name.lower() for name, _ in question.headers}
    kept = tuple(pair for pair in pairs if pair[0].lower() not in replaced)
    return replace(
        question,
        headers=(*kept, *question.headers),
        now=question.now if created is None or created >= LATEST else created,
        call_id=stored.event.call_id,
    )


def redecided(
    calls: Sequence[Stored],
    before: RoutingTable,
    after: RoutingTable,
    now: float,
    secrets: tuple[Secrets, Secrets],
) -> list[Redecided]:
    """The calls on which the two decide differently, without the operator's orders. `secrets` are
    those of the trunks of each, empty where they cannot be read here: then the header alone, whose
    value was compared when the call came, says that it came by the trunk."""
    found = []
    for stored in calls:
        question = question_of(stored, Question((), now))
        ours, theirs = (
            explain(question, table, _NOBODY, _believed(question, table, known)).decision
            for table, known in ((before, secrets[0]), (after, secrets[1]))
        )
        was, is_now = outcome_text(ours), outcome_text(theirs)
        if was != is_now:
            dialed = theirs.dialed or ours.dialed
            call = stored.event.call_id
            found.append(Redecided(stored.file.name, call, dialed, was, is_now))
    return found


def outcome_text(decision: Decision) -> str:
    """Who takes the call, without what the agent says."""
    match decision.verdict:
        case Accept(plan):
            language = f" ({plan.language})" if plan.language else ""
            return f"agent {plan.tenant}/{plan.agent}{language}"
        case Forward(plan, destination):
            return f"forward {plan.tenant}/{destination} {plan.refer_to}"
        case Reject(code):
            return f"reject {code}"


def _believed(question: Question, table: RoutingTable, known: Secrets) -> Secrets:
    """The secrets, with what the call itself shows for a trunk whose own cannot be read."""
    shown = {name.lower(): value for name, value in question.headers}
    owners = Counter(trunk.secret_header for trunk in table.trunks.values())
    believed = dict(known)
    for name, trunk in table.trunks.items():
        header = trunk.secret_header
        if header is not None and owners[header] == 1 and header in shown and not known.get(name):
            believed[name] = (shown[header].strip().encode("utf-8", "surrogatepass"),)
    return believed


def _bodies(path: Path, text: str) -> list[Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            raise ValueError(f"{path}: is not JSON") from None
    return content if isinstance(content, list) else [content]
