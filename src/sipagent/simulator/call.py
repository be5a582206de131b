"""One simulated call from INVITE to end: its state, its decisions, and what was received."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_core import from_json, to_json

from sipagent.simulator.agenda import Agenda
from sipagent.simulator.client_schema import REFER, REJECT, SESSION, Reject
from sipagent.simulator.conversation import Conversation
from sipagent.simulator.faults import Faults, Plans
from sipagent.simulator.invite import Header
from sipagent.simulator.line import Ids, Line, Manner
from sipagent.simulator.received import ENDPOINTS, Requests, read
from sipagent.simulator.refers import ReferPlan, Refers
from sipagent.simulator.refusal import CALL_NOT_FOUND, JsonObject, Refusal, check
from sipagent.simulator.script import Script
from sipagent.simulator.session import begin_session, has_format

State = Literal["ringing", "accepted", "active", "rejected", "ended"]
MAX_CLIENT_EVENTS = 1_000
MAX_NOTES = 5_000
_TEARDOWN = 0.02
_CLOSES = {"hangup": 1000, "refer": 1000, "expired": 1001}
NO_CLOSE_FRAME = 1006
RING_TIMEOUT = 120.0


@dataclass(frozen=True, slots=True)
class Chatter:
    """Caller and agent talk all the time, for load tests."""

    events_per_second: float
    after: float = 1.0


@dataclass(frozen=True, slots=True)
class CallOrder:
    """What was asked for when the call was placed; one of a `browser` comes by WebRTC."""

    call_id: str
    to: str
    from_: str
    headers: tuple[Header, ...]
    created_at: int
    placed_at: float
    webhook_id: str
    event_id: str
    seed: str
    script: Script = ()
    manner: Manner = field(default_factory=Manner)
    faults: Plans = field(default_factory=dict)
    deliver_to: str | None = None
    media_security: str | None = None
    refers: tuple[ReferPlan, ...] = (ReferPlan(),)
    second_decision: Literal[409, 404, 400] = 409
    second_socket: Literal["both", "refuse", "replace"] = "both"
    caller_close: int = NO_CLOSE_FRAME
    ring_timeout: float = RING_TIMEOUT
    chatter: Chatter | None = None
    browser: bool = False


class SimulatedCall:
    """Pure: times are seconds since the call was placed, and come from outside."""

    def __init__(self, order: CallOrder) -> None:
        self.order = order
        self.state: State = "ringing"
        self.answered = False
        self.sip_status: int | None = None
        self.ended_by: str | None = None
        self.close_code = NO_CLOSE_FRAME
        self.attachments = 0
        self.static_noise = False
        self.deliveries: list[JsonObject] = []
        self.notes: list[JsonObject] = []
        self.faults = Faults(order.faults)
        self.agenda = Agenda()
        self.conversation: Conversation | None = None
        self.details_dropped = False
        self.senders: list[tuple[float, int]] = []
        self._refers = Refers(order.refers)
        self._usage: JsonObject | None = None
        self._session: bytes | None = None
        self._requests = {name: Requests() for name in ENDPOINTS}
        self._client_events: list[str | bytes] = []
        self._client_events_dropped = 0
        self._note("state", state="ringing", call_id=order.call_id)
        self.agenda.after(order.ring_timeout, lambda: self.end("no_answer"))

    @property
    def call_id(self) -> str:
        return self.order.call_id

    @property
    def ended(self) -> bool:
        return self.state in {"ended", "rejected"}

    @property
    def accepts(self) -> list[Any]:
        return self._requests["accept"].read

    @property
    def creates(self) -> list[Any]:
        """The sessions with which a browser's call was begun: one, or none of a telephone's."""
        return self._requests["create"].read

    @property
    def rejects(self) -> list[Any]:
        return self._requests["reject"].read

    @property
    def refers(self) -> list[Any]:
        return self._requests["refer"].read

    @property
    def hangups(self) -> list[Any]:
        return self._requests["hangup"].read

    @property
    def answers(self) -> dict[str, list[int]]:
        """For each endpoint the statuses of its answers in order; 0 where none was sent."""
        return {name: list(seen.answers) for name, seen in self._requests.items()}

    @property
    def client_events(self) -> list[Any]:
        return [read(raw) for raw in self._client_events]

    @property
    def session(self) -> JsonObject | None:
        """The effective session, also after the end."""
        if self.conversation is not None:
            return self.conversation.line.session
        return from_json(self._session) if self._session is not None else None

    @property
    def usage(self) -> JsonObject | None:
        """The sum of what all responses were billed."""
        line = self.conversation.line if self.conversation is not None else None
        return line.ledger.totals() if line is not None else self._usage

    @property
    def transcript(self) -> list[JsonObject]:
        """Who was heard to say what; of an interrupted line only what was heard."""
        said: list[JsonObject] = []
        for note in self.notes:
            if note["type"] in {"speech", "text"}:
                said.append({"who": note["who"], "text": note["text"], "interrupted": False})
            elif note["type"] == "interrupted":
                last = next((line for line in reversed(said) if line["who"] == "agent"), {})
                last.update(text=note["text"], interrupted=True)
        return said

    def record(self, action: str, raw: bytes) -> None:
        self._requests[action].bodies.append(raw)

    def record_answer(self, action: str, status: int) -> None:
        self._requests[action].answers.append(status)
        self._note(action, status=status)

    def record_delivery(self, delivery: JsonObject) -> None:
        self.deliveries.append(delivery)
        self._note("delivery", **delivery)

    def record_client_event(self, raw: str | bytes, socket: int = 1, now: float = 0.0) -> None:
        if len(self._client_events) < MAX_CLIENT_EVENTS:
            self._client_events.append(raw)
            self.senders.append((now, socket))
        else:
            self._client_events_dropped += 1

    def accept(self, raw: bytes, now: float) -> Refusal | None:
        """The call is answered, with this session, unless it is refused."""
        self.advance(now)
        if (refusal := self._refuse_decision()) is not None:
            return refusal
        body = read(raw)
        if not isinstance(body, dict):
            return _NOT_JSON
        if (refusal := check(SESSION, body, "session")) is not None:
            return refusal
        self.answered = True
        self.sip_status = 200
        self.static_noise = has_format(body) and not self.order.browser
        self.agenda.clear()
        self.agenda.after(self.order.ring_timeout, self._give_up_unattended)
        self.conversation = self._converse(body, now)
        self._become("accepted")
        return None

    def create(self, session: bytes) -> Refusal | None:
        """The call of a browser begins: it is answered with this session, unless it is refused."""
        self.record("create", session)
        return self.accept(session, 0.0)

    def reject(self, raw: bytes) -> Refusal | None:
        if (refusal := self._refuse_decision()) is not None:
            return refusal
        body = read(raw) if raw.strip() else {}
        if not isinstance(body, dict):
            return _NOT_JSON
        if (refusal := check(REJECT, body, "")) is not None:
            return refusal
        self.sip_status = body.get("status_code", Reject().status_code)
        self.end("reject")
        return None

    def refer(self, raw: bytes) -> Refusal | None:
        if self.conversation is None or self.ended:
            return CALL_NOT_FOUND
        if self.order.browser:
            return _NO_TELEPHONE
        body = read(raw)
        if not isinstance(body, dict):
            return _NOT_JSON
        if (refusal := check(REFER, body, "")) is not None:
            return refusal
        plan = self._refers.take(body["target_uri"])
        if plan.outcome == "refused":
            return Refusal("The REFER was refused.", None, status=403)
        if plan.outcome == "error500":
            return Refusal("Internal server error", None, status=500, type="server_error")
        if plan.outcome == "transferred":
            line = self.conversation.line
            self.agenda.after(plan.after, lambda: line.hang_up("refer"))
        return None

    def plan_refers(self, plans: Iterable[ReferPlan]) -> None:
        """What comes of REFERs from now on."""
        self._refers = Refers(plans)

    def hang_up(self) -> Refusal | None:
        """The provider tears the call down, as `hangup` asked."""
        if self.conversation is None or self.ended:
            return CALL_NOT_FOUND
        line = self.conversation.line
        self.agenda.after(_TEARDOWN, lambda: line.hang_up("hangup"))
        return None

    def attach(self, now: float) -> Refusal | None:
        """Another socket is open on the call."""
        self.advance(now)
        if self.conversation is None or self.ended:
            return CALL_NOT_FOUND
        self.attachments += 1
        self._note("attached", attachments=self.attachments)
        if self.state == "accepted":
            self._become("active")
        self.conversation.attach(now)
        self._settle()
        return None

    def detach(self, code: int | None, now: float) -> None:
        self.advance(now)
        self._note("detached", code=code)

    def receive(self, raw: str | bytes, now: float, socket: int = 1) -> None:
        """`senders` has when each of `client_events` came, and by which of the call's sockets."""
        self.record_client_event(raw, socket, now)
        if self.conversation is not None and not self.ended:
            self.conversation.receive(raw, now)
            self._settle()

    def say(self, text: str, now: float) -> bool:
        """The caller speaks; False if nobody has answered."""
        if self.conversation is None or self.ended:
            return False
        self.conversation.say(text, now)
        self._settle()
        return True

    def press(self, digits: str, now: float) -> bool:
        if self.conversation is None or self.ended:
            return False
        self.conversation.press(digits, now)
        return True

    def advance(self, now: float) -> None:
        self.agenda.run(now)
        self._settle()

    def take_frames(self) -> list[JsonObject]:
        """The server events that have come up since this was asked last."""
        if self.conversation is None:
            return []
        line = self.conversation.line
        frames, line.frames = line.frames, []
        return frames

    def end(self, by: str, close_code: int | None = None) -> None:
        """The call is over; a no-op if it was."""
        if self.ended:
            return
        self.ended_by = by
        default = _CLOSES.get(by, self.order.caller_close)
        self.close_code = close_code if close_code is not None else default
        self.agenda.clear()
        self._become("rejected" if by == "reject" else "ended", by=by)

    def compact(self) -> None:
        """Keeps of an ended call what can still be asked for, in little room."""
        if self.conversation is not None:
            self._usage = self.usage
            self._session = to_json(self.session)
            self.conversation = None
        del self.notes[MAX_NOTES:]

    def drop_details(self) -> None:
        """Keeps the counts of an old call only."""
        self.details_dropped = True
        self._client_events_dropped += len(self._client_events)
        self._client_events.clear()
        self.senders.clear()
        self._session = None
        self.notes.clear()
        for seen in self._requests.values():
            seen.drop()

    def describe(self) -> JsonObject:
        """The call as `GET /simulator/calls/{id}` shows it."""
        return {
            "call_id": self.call_id,
            "state": self.state,
            "answered": self.answered,
            "sip_status": self.sip_status,
            "ended_by": self.ended_by,
            "to": self.order.to,
            "from": self.order.from_,
            "headers": [{"name": name, "value": value} for name, value in self.order.headers],
            "created_at": self.order.created_at,
            "accepts": self.accepts,
            "creates": self.creates,
            "rejects": self.rejects,
            "refers": self.refers,
            "hangups": self.hangups,
            "answers": self.answers,
            "attachments": self.attachments,
            "static_noise": self.static_noise,
            "deliveries": self.deliveries,
            "session": self.session,
            "usage": self.usage,
            "transcript": self.transcript,
            "client_events": self.client_events,
            "client_events_dropped": self._client_events_dropped,
            "details_dropped": self.details_dropped,
        }

    def _refuse_decision(self) -> Refusal | None:
        if self.state == "ringing":
            return None
        if self.state == "ended" or self.order.second_decision == 404:
            return CALL_NOT_FOUND
        message = "A decision has already been made for this call."
        return Refusal(message, "decision_already_made", status=self.order.second_decision)

    def _converse(self, body: JsonObject, now: float) -> Conversation:
        order = self.order
        expires_at = int(order.placed_at + now + order.manner.max_duration)
        line = Line(
            Ids(order.seed),
            self.agenda,
            order.manner,
            begin_session(body, self.call_id, expires_at, browser=order.browser),
            wall=order.placed_at,
            conversation_id=f"conv_{order.seed}",
        )
        line.notes = self.notes
        return Conversation(line, order.script)

    def _give_up_unattended(self) -> None:
        if self.attachments == 0:
            self.end("caller")

    def _settle(self) -> None:
        line = self.conversation.line if self.conversation is not None else None
        if line is None:
            return
        noise = line.static_noise and not self.order.browser
        self.static_noise = self.static_noise or noise
        if line.hung_up is not None:
            self.end(line.hung_up)

    def _become(self, state: State, **fields: Any) -> None:
        self.state = state
        self._note("state", state=state, **fields)

    def _note(self, kind: str, **fields: Any) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append({"type": kind, "at": round(self.agenda.now, 3), **fields})


_NOT_JSON = Refusal(
    "We could not parse the JSON body of your request. The request body must be a JSON object.",
    None,
)


_NO_TELEPHONE = Refusal("Only SIP calls can be referred.", "unsupported_call")
