"""What happens to an incoming call, and the steps that led there."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sipagent.model.ids import AgentName, DestinationName, SecretName, TenantName
from sipagent.model.json import Json
from sipagent.model.limit import BUSY, UNAVAILABLE, Cap, Quota
from sipagent.model.outcome import Reason
from sipagent.model.plan import CallPlan


@dataclass(frozen=True, slots=True)
class Accept:
    """Answer the call as the plan says."""

    plan: CallPlan


@dataclass(frozen=True, slots=True)
class Forward:
    """Answer the call without a word and refer it to the destination at once."""

    plan: CallPlan
    destination: DestinationName


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse the call with a SIP status code (RFC 3261 section 21), 300 to 699."""

    code: int
    reason: Reason
    tenant: TenantName


Verdict = Accept | Forward | Reject


@dataclass(frozen=True, slots=True)
class Consult:
    """The tenant's own endpoint is asked what becomes of the call, in a request that is signed with
    the tenant's granted `secret`, and has `timeout` seconds to say it. `known` is what it is told
    of the call."""

    tenant: TenantName
    url: str = field(repr=False)
    secret: SecretName
    timeout: float
    known: Json = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True, slots=True)
class Advice:
    """What a consulted endpoint wants to become of a call: a SIP status that rejects it, or an
    agent, values of variables, or both. It says nothing more."""

    agent: AgentName | None = None
    vars: Mapping[str, str] = field(default_factory=dict, repr=False)
    reject: int | None = None


@dataclass(frozen=True, slots=True)
class Consulted:
    """What came of asking; None of a usable answer, and then `because` says why, in words of
    ours."""

    advice: Advice | None
    because: str = ""


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One thing that was considered. `source` is a header, a section of agents.yaml or an order
    of the operator's; `held` says whether it decided."""

    source: str
    considered: str = field(repr=False)
    held: bool
    because: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on a call and the trace of how it came about.

    `dialed` is the number that the verdict rests on, None where no header carried one.
    `listed` says whether the number directory has it: what is not listed is only a claim.
    `caps` and `quotas` must all have room when the call is claimed; `if_full` is the verdict where
    the number or the tenant has none, and `if_spent` where it is money that is missing. Where one
    of them sends the call on, `overflow` must have room for it, else the call is rejected with
    `full_code` or `spent_code`. What is `free` costs nothing, so that no budget holds it up.
    """

    verdict: Verdict
    trace: tuple[TraceStep, ...]
    dialed: str | None = field(default=None, repr=False)
    dialed_source: str | None = None
    listed: bool = False
    caps: tuple[Cap, ...] = ()
    quotas: tuple[Quota, ...] = ()
    if_full: Verdict | None = None
    if_spent: Verdict | None = None
    full_code: int = BUSY
    spent_code: int = UNAVAILABLE
    overflow: tuple[Cap, ...] = ()
    free: bool = False
    consult: Consult | None = None

    @property
    def held(self) -> bool:
        """Whether the call takes room: it is answered, or may be yet."""
        return self.consult is not None or not isinstance(self.verdict, Reject)

    @property
    def tenant(self) -> TenantName:
        """Whose call it is."""
        verdict = self.verdict
        return verdict.tenant if isinstance(verdict, Reject) else verdict.plan.tenant
