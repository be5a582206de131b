"""What happens to an incoming call, and the steps that led there."""

from dataclasses import dataclass, field

from sipagent.model.ids import TenantName
from sipagent.model.outcome import Reason
from sipagent.model.plan import CallPlan


@dataclass(frozen=True, slots=True)
class Accept:
    """Answer the call as the plan says."""

    plan: CallPlan


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse the call with a SIP status code (RFC 3261 section 21), 300 to 699."""

    code: int
    reason: Reason
    tenant: TenantName


Verdict = Accept | Reject


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One thing that was considered. `source` is a header; `held` says whether it decided."""

    source: str
    considered: str = field(repr=False)
    held: bool
    because: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on a call and the trace of how it came about.

    `dialed` is the number that the verdict rests on, None where no header carried one.
    `listed` says whether the number directory has it: what is not listed is only a claim.
    """

    verdict: Verdict
    trace: tuple[TraceStep, ...]
    dialed: str | None = field(default=None, repr=False)
    dialed_source: str | None = None
    listed: bool = False
