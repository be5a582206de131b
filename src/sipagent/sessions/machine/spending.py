"""What a call costs: each bill once, at the prices of its plan.

A bill comes with the end of a response and with a transcription. A response that is under way when
the line closes, or when nobody listens, is billed and never told: then the sum is a lower bound.
"""

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import (
    Bill,
    CallPlan,
    Json,
    ModelPrice,
    Prices,
    Reason,
    Usage,
    UsageKind,
)
from sipagent.sessions.machine.commands import RecordUsage
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    CallerTextDone,
    ResponseCreated,
    ResponseDone,
)
from sipagent.sessions.machine.farewells import TIME_IS_UP
from sipagent.sessions.machine.signals import (
    CallDropped,
    CallOver,
    CallResumed,
    EndWanted,
    UsageLost,
)

ENDED_WITH_SOCKET: Final = 5.0
"""Seconds from the loss of the socket in which a call that is found to be over ended with it."""

_BILLED: Final = 64
"""Bills remembered: the provider does not repeat one much later."""

_OPEN: Final = 8
"""Responses that may be under way at once. The provider makes one at a time."""


class Metered(Struct, frozen=True):
    """A model that is billed, and what it costs; None where that is not known."""

    model: str | None = None
    price: ModelPrice | None = None


class Tariff(Struct, frozen=True):
    """By what a call is charged, and the micro-dollars that it may cost. `spare` is the tariff
    where the provider refuses the first session."""

    session: Metered = Metered()
    transcription: Metered = Metered()
    version: str = ""
    ceiling: int | None = None
    spare: "Tariff | None" = None


class Spending(Struct, frozen=True):
    """`cost` is the micro-dollars of all bills. `open` are the responses that have begun and told
    no usage; `billed` the last that have been billed. `lost`: a bill is known to be missing.
    `dropped` is when the socket was lost, if it is. `capped`: the call has cost its ceiling."""

    tariff: Tariff = Tariff()
    cost: int = 0
    open: tuple[str, ...] = ()
    billed: tuple[str, ...] = ()
    lost: bool = False
    dropped: float | None = None
    capped: bool = False

    @property
    def complete(self) -> bool:
        """Whether all that has been billed so far is known."""
        return not self.lost and not self.open

    def without(self, response_id: str) -> tuple[str, ...]:
        """The responses under way, but for this one."""
        if response_id not in self.open:
            return self.open
        return tuple(one for one in self.open if one != response_id)


Heeded = (
    AcceptAnswered
    | ResponseCreated
    | ResponseDone
    | CallerTextDone
    | CallDropped
    | CallResumed
    | UsageLost
    | CallOver
)
Output = RecordUsage | EndWanted
Result = tuple[Spending, tuple[Output, ...]]


def spending(plan: CallPlan) -> Spending:
    """The state of a call that has cost nothing yet."""
    ceiling, spare = plan.ceilings.cost, plan.fallback_session
    other = None if spare is None else _tariff(spare, plan.fallback_prices, ceiling)
    return Spending(_tariff(plan.session, plan.prices, ceiling, other))


def _tariff(
    session: Json, prices: Prices, ceiling: int | None, spare: Tariff | None = None
) -> Tariff:
    transcription = session["audio"]["input"].get("transcription")
    return Tariff(
        session=Metered(_model(session), prices.session),
        transcription=Metered(_model(transcription), prices.transcription),
        version=prices.version,
        ceiling=ceiling,
        spare=spare,
    )


def _model(settings: Json | None) -> str | None:
    model: Any = None if settings is None else settings.get("model")
    return model if isinstance(model, str) else None


def step(state: Spending, event: Heeded, now: float) -> Result:
    match event:
        case ResponseCreated(response_id):
            return _begun(state, response_id), ()
        case ResponseDone(response_id, bill=bill):
            return _ended(state, response_id, bill)
        case CallerTextDone(item_id, bill=Bill() as bill):
            return _charge(state, state.open, item_id, UsageKind.TRANSCRIPTION, bill)
        case CallerTextDone(text=str()):
            return replace(state, lost=True), ()
        case AcceptAnswered(Answer.REFUSED) if state.tariff.spare is not None:
            return replace(state, tariff=state.tariff.spare), ()
        case CallDropped():
            return replace(state, dropped=now), ()
        case CallResumed() | UsageLost():
            return replace(state, lost=True, dropped=None), ()
        case CallOver() if state.dropped is not None and now - state.dropped > ENDED_WITH_SOCKET:
            return replace(state, lost=True), ()
        case _:
            return state, ()


def _begun(state: Spending, response_id: str) -> Spending:
    if response_id in state.open or response_id in state.billed:
        return state
    lost = state.lost or len(state.open) == _OPEN
    begun = (*state.open[1 - _OPEN :], response_id)
    return replace(state, open=begun, lost=lost)


def _ended(state: Spending, response_id: str, bill: Bill | None) -> Result:
    still_open = state.without(response_id)
    if bill is not None:
        return _charge(state, still_open, response_id, UsageKind.RESPONSE, bill)
    lost = state.lost or response_id not in state.billed
    return replace(state, open=still_open, lost=lost), ()


def _charge(
    state: Spending, still_open: tuple[str, ...], source_id: str, kind: UsageKind, bill: Bill
) -> Result:
    if source_id in state.billed:
        return state, ()
    tariff = state.tariff
    metered = tariff.session if kind is UsageKind.RESPONSE else tariff.transcription
    cost = None if metered.price is None else metered.price.cost(bill)
    used = RecordUsage(Usage(source_id, kind, metered.model, bill, cost, tariff.version))
    billed = (*state.billed[1 - _BILLED :], source_id)
    total = state.cost + (cost or 0)
    capped = tariff.ceiling is not None and total >= tariff.ceiling
    ended = (used, EndWanted(Reason.BUDGET, TIME_IS_UP)) if capped and not state.capped else (used,)
    charged = replace(state, cost=total, open=still_open, billed=billed, capped=capped)
    return charged, ended
