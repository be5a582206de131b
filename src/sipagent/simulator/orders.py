"""The bodies of the simulator's own API, and what they become inside."""

import json
import secrets
import uuid
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)

from sipagent.errors import SimulatorError
from sipagent.simulator.call import NO_CLOSE_FRAME, RING_TIMEOUT, CallOrder, Chatter
from sipagent.simulator.faults import Action, Fault, Plans
from sipagent.simulator.invite import Header, invite_headers
from sipagent.simulator.line import Manner
from sipagent.simulator.refers import ReferOutcome, ReferPlan
from sipagent.simulator.refusal import JsonObject
from sipagent.simulator.script import (
    DEFAULT_SCRIPT,
    Answer,
    CallerLine,
    Digits,
    HangUp,
    Missing,
    Pause,
    Script,
    ServerUse,
    Step,
    ToolCall,
)

Seconds = Annotated[float, Field(ge=0)]
CloseCode = Annotated[int, Field(ge=1000, le=4999)]
DtmfDigits = Annotated[str, Field(pattern=r"^[0-9*#A-D]+$", max_length=64)]


class Order(BaseModel):
    """A body, or a part of one."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


AnyOrder = TypeVar("AnyOrder", bound=Order)
_MANNER = Manner()


class CallerOrder(Order):
    caller: Annotated[str, Field(min_length=1)]
    barge_in: bool = False
    after: Seconds | None = None
    transcription_fails: bool = False

    def step(self) -> Step:
        return CallerLine(self.caller, self.barge_in, self.after, self.transcription_fails)


class ToolOrder(Order):
    name: str
    arguments: dict[str, Any] | str = {}

    def call(self) -> ToolCall:
        given = self.arguments
        return ToolCall(self.name, given if isinstance(given, str) else json.dumps(given))


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


class AgentOrder(Order):
    agent: Annotated[str, Field(min_length=1)]

    def step(self) -> Step:
        return Answer(self.agent)


class ServerOrder(ToolOrder):
    """A tool of an MCP server that the provider uses."""

    server: str
    output: str = ""
    error: str | None = None

    def use(self) -> ServerUse:
        return ServerUse(self.server, self.name, self.call().arguments, self.output, self.error)


class ToolsOrder(Order):
    tool: Annotated[list[ToolOrder], BeforeValidator(_as_list)]
    say: str = ""

    def step(self) -> Step:
        return Answer(self.say, tuple(tool.call() for tool in self.tool))


class ServersOrder(Order):
    mcp: Annotated[list[ServerOrder], BeforeValidator(_as_list)]
    say: str = ""

    def step(self) -> Step:
        return Answer(self.say, servers=tuple(each.use() for each in self.mcp))


class QuoteOrder(Order):
    """The model says the sentence of its instructions that has these words. Only a script that is
    played as it is written can."""

    quotes: Annotated[str, Field(min_length=1)]

    def step(self) -> Step:
        return Answer(quotes=self.quotes)


class FailOrder(Order):
    fail: str

    def step(self) -> Step:
        return Answer(failure=self.fail)


class NoAnswerOrder(Order):
    no_answer: Literal["never_begun", "never_finished"]

    def step(self) -> Step:
        return Answer(missing=Missing(self.no_answer))


class PauseOrder(Order):
    pause: Seconds

    def step(self) -> Step:
        return Pause(self.pause)


class HangUpOrder(Order):
    hang_up: Literal[True]
    barge_in: bool = False
    after: Seconds | None = None

    def step(self) -> Step:
        return HangUp(self.barge_in, self.after)


class DigitsOrder(Order):
    dtmf: DtmfDigits
    barge_in: bool = False
    after: Seconds | None = None

    def step(self) -> Step:
        return Digits(self.dtmf, self.barge_in, self.after)


_STEPS = (
    *("caller", "agent", "tool", "mcp", "quotes"),
    *("fail", "no_answer", "pause", "hang_up", "dtmf"),
)


def _step_kind(value: Any) -> str | None:
    return next((key for key in _STEPS if key in value), None) if isinstance(value, dict) else None


StepOrder = Annotated[
    Annotated[CallerOrder, Tag("caller")]
    | Annotated[AgentOrder, Tag("agent")]
    | Annotated[ToolsOrder, Tag("tool")]
    | Annotated[ServersOrder, Tag("mcp")]
    | Annotated[QuoteOrder, Tag("quotes")]
    | Annotated[FailOrder, Tag("fail")]
    | Annotated[NoAnswerOrder, Tag("no_answer")]
    | Annotated[PauseOrder, Tag("pause")]
    | Annotated[HangUpOrder, Tag("hang_up")]
    | Annotated[DigitsOrder, Tag("dtmf")],
    Discriminator(_step_kind),
]


class HeaderOrder(Order):
    name: str
    value: str


class ReferOrder(Order):
    """What comes of a REFER. Of several orders each is for one, the last for all that follow; one
    with `to` is for REFERs to this URI only."""

    outcome: ReferOutcome = "transferred"
    after: Seconds = 0.2
    to: str | None = None

    def plan(self) -> ReferPlan:
        return ReferPlan(self.outcome, self.after, self.to)


class RateLimitOrder(Order):
    name: Literal["requests", "tokens"]
    limit: Annotated[int, Field(ge=0)]
    remaining: Annotated[int, Field(ge=0)]
    reset_seconds: Seconds = 1.0


class ChatterOrder(Order):
    events_per_second: Annotated[float, Field(gt=0, le=1000)]
    after: Seconds = 1.0


FaultOrders = dict[Action, Annotated[list[Fault], BeforeValidator(_as_list)]]


class DeliverOrder(Order):
    """Which webhook is sent: `fresh` takes a new webhook-id, the other fields replace ours."""

    deliver_to: str | None = None
    fresh: bool = False
    webhook_id: str | None = None
    timestamp: int | None = None
    secret: str | None = None
    signature: str | None = None
    headers: dict[str, str] = {}


class WebhookOrder(DeliverOrder):
    """Any event: `event` whole, or `type` with `data`, to which we add id and time."""

    event: JsonObject | None = None
    type: str | None = None
    data: JsonObject = {}


class SayOrder(Order):
    text: Annotated[str, Field(min_length=1)]


class DtmfOrder(Order):
    digits: DtmfDigits


class HangUpCall(Order):
    close: CloseCode | None = None


class CloseOrder(Order):
    code: CloseCode = 1000
    reason: str = ""
    abort: bool = False


class PlaceOrder(Order):
    """`headers` stand for the whole INVITE; `extra_headers` add to it or replace by name."""

    to: Annotated[str, Field(min_length=1)]
    from_: Annotated[str, Field(alias="from", min_length=1)] = "+14067704205"
    headers: list[HeaderOrder] | None = None
    extra_headers: list[HeaderOrder] = []
    call_id: Annotated[str, Field(min_length=1)] | None = None
    created_at: int | None = None
    media_security: str | None = Field(default=None, alias="sip_media_security")
    deliver: bool = True
    deliver_to: str | None = None
    webhook_id: str | None = None
    script: list[StepOrder] | None = None
    pace: Seconds = 0.0
    reaction: Seconds = _MANNER.reaction
    patience: Seconds = _MANNER.patience
    linger: Seconds | None = None
    stay: bool | None = None
    transcripts: Literal["before", "after"] = "before"
    session_created: bool = False
    rate_limits: bool | list[RateLimitOrder] = True
    usage: bool = True
    as_written: bool = False
    max_duration: Seconds = _MANNER.max_duration
    ring_timeout: Seconds = RING_TIMEOUT
    faults: FaultOrders = {}
    refer: Annotated[list[ReferOrder], BeforeValidator(_as_list)] = [ReferOrder()]
    second_decision: Literal[409, 404, 400] | None = None
    second_socket: Literal["both", "refuse", "replace"] = "both"
    close: CloseCode = NO_CLOSE_FRAME
    chatter: ChatterOrder | None = None

    def order(self, now: float, second_decision: Literal[409, 404, 400]) -> CallOrder:
        """The call that this body asks for, placed at the wall time `now`."""
        sip_call_id = str(uuid.uuid4())
        return CallOrder(
            call_id=self.call_id or f"rtc_{uuid.uuid4().hex}",
            to=self.to,
            from_=self.from_,
            headers=self._headers(sip_call_id),
            created_at=int(now) if self.created_at is None else self.created_at,
            placed_at=now,
            webhook_id=self.webhook_id or f"wh_{uuid.uuid4().hex}",
            event_id=f"evt_{uuid.uuid4().hex}",
            seed=secrets.token_hex(6),
            script=self._script(),
            manner=self._manner(),
            faults=plans(self.faults),
            deliver_to=self.deliver_to,
            media_security=self.media_security,
            refers=tuple(each.plan() for each in self.refer),
            second_decision=self.second_decision or second_decision,
            second_socket=self.second_socket,
            caller_close=self.close,
            ring_timeout=self.ring_timeout,
            chatter=Chatter(self.chatter.events_per_second, self.chatter.after)
            if self.chatter
            else None,
        )

    def _headers(self, sip_call_id: str) -> tuple[Header, ...]:
        if self.headers is not None:
            own = tuple((header.name, header.value) for header in self.headers)
        else:
            replaced = {header.name.lower() for header in self.extra_headers}
            generated = invite_headers(self.to, self.from_, sip_call_id)
            own = tuple(header for header in generated if header[0].lower() not in replaced)
        return own + tuple((header.name, header.value) for header in self.extra_headers)

    def _script(self) -> Script:
        if self.script is not None:
            return tuple(step.step() for step in self.script)
        return () if self.chatter else DEFAULT_SCRIPT

    def _manner(self) -> Manner:
        return Manner(
            pace=self.pace,
            reaction=self.reaction,
            patience=self.patience,
            linger=self.linger,
            stay=self.chatter is not None if self.stay is None else self.stay,
            transcripts=self.transcripts,
            session_created=self.session_created,
            max_duration=self.max_duration,
            rate_limits=self.rate_limits
            if isinstance(self.rate_limits, bool)
            else tuple(limit.model_dump() for limit in self.rate_limits),
            usage=self.usage,
            as_written=self.as_written,
        )


def plans(faults: FaultOrders) -> Plans:
    return {action: tuple(each) for action, each in faults.items()}


class FaultsOrder(Order):
    """The body of `POST /simulator/faults`: the same keys as a call's `faults`."""

    faults: FaultOrders


def read_order(kind: type[AnyOrder], body: Any) -> AnyOrder:
    """The body as what it should be.

    Raises:
        SimulatorError: it is something else; the message names the place.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in detail["loc"]) or "body"
        raise SimulatorError(f"{place}: {detail['msg']}") from error
