"""What must have room for a call, and what follows where there is none."""

from dataclasses import replace

from sipagent.model import (
    CallPlan,
    Cap,
    Decision,
    Forward,
    Otherwise,
    Quota,
    Reason,
    Reject,
    TenantName,
    Verdict,
)
from sipagent.routing.admission import caller_caps
from sipagent.routing.circumstances import Circumstances
from sipagent.routing.table import RoutingTable, TenantProfile, forwards_of
from sipagent.routing.trunks import Trunk
from sipagent.routing.verdicts import Judged


def limited(decision: Decision, around: Circumstances, *, ordered: bool) -> Decision:
    """The decision with the quotas that must have room, and with what follows otherwise.

    Forwarding costs no money, so that a call that is to be sent on is sent on when all is spent.
    The operator's own orders are held to the account's quota alone.
    """
    verdict = decision.verdict
    if not decision.held:
        return decision
    tenant = around.table.tenants[_whose(decision)]
    account = around.table.quotas.get(around.call.account)
    if ordered:
        free = isinstance(verdict, Forward)
        return replace(decision, quotas=_some(account), if_spent=verdict, free=free)
    forwarded = isinstance(verdict, Forward)
    full, spent = tenant.when_full, tenant.when_spent
    way_out = full.fallback or spent.fallback or forwarded
    return replace(
        decision,
        quotas=_some(around.route.quota, tenant.quota, account),
        if_full=_otherwise(full, verdict, tenant),
        if_spent=verdict if forwarded else _otherwise(spent, verdict, tenant),
        full_code=full.code,
        spent_code=spent.code,
        overflow=(forwards_of(tenant),) if way_out else (),
    )


def within_process(decision: Decision, process: Quota, table: RoutingTable) -> Decision:
    """The decision with the quota of the whole process, of which each tenant's reserve is kept."""
    if not decision.held:
        return decision
    kept = replace(process, reserves=table.reserves) if table.reserves else process
    return replace(decision, quotas=(*decision.quotas, kept))


def _some(*quotas: Quota | None) -> tuple[Quota, ...]:
    return tuple(quota for quota in quotas if quota is not None)


def _whose(decision: Decision) -> TenantName:
    """Whose quotas the call counts for; where somebody is asked, theirs."""
    return decision.tenant if decision.consult is None else decision.consult.tenant


def _otherwise(chosen: Otherwise, verdict: Verdict, tenant: TenantProfile) -> Verdict:
    """What a caller gets for whom there is no room. One who was to be sent on is sent there."""
    if isinstance(verdict, Reject):
        return Reject(chosen.code, Reason.QUOTA, verdict.tenant)
    plan = verdict.plan
    if chosen.fallback and isinstance(verdict, Forward):
        return verdict
    if not chosen.fallback or plan.fallback is None:
        return Reject(chosen.code, Reason.QUOTA, plan.tenant)
    to = plan.fallback
    sent_on = CallPlan(
        call_id=plan.call_id,
        account=plan.account,
        tenant=plan.tenant,
        agent=None,
        session=tenant.silent,
        greeting=None,
        config_hash=plan.config_hash,
        trunk=plan.trunk,
        refer_to=to.refer_to,
        destination=to.destination,
        caller=plan.caller,
        dialed=plan.dialed,
    )
    return Forward(sent_on, to.destination)


def caps_of(judged: Judged, around: Circumstances) -> tuple[Cap, ...]:
    """What must have room. The operator's own orders are held to no tenant's quota: they are for
    the day on which every call is sent on. A call about which somebody is asked may not be sent on
    after all."""
    verdict, consult = judged.verdict, judged.consult
    if isinstance(verdict, Reject) and consult is None:
        return ()
    caps: tuple[Cap, ...] = ()
    trunk = around.trunk or _strictest(around.table)
    if trunk is not None and trunk.per_caller is not None:
        caller = around.call.invite.caller_e164
        who = "anonymous" if caller is None else caller.value
        caps = (Cap("per_caller", f"{trunk.name}:{who}", trunk.per_caller),)
    if judged.ordered:
        return caps
    caps = (*caps, *caller_caps(around))
    if isinstance(verdict, Forward) and consult is None:
        tenant = around.table.tenants[verdict.plan.tenant]
        caps = (*caps, forwards_of(tenant))
    return caps


def _strictest(table: RoutingTable) -> Trunk | None:
    """Of the trunks that prove nothing, the one that allows the fewest calls: a call of which
    nobody knows by which of them it came must not choose the most generous."""
    pauses = [
        (trunk.per_caller.seconds / trunk.per_caller.count, trunk.name)
        for trunk in table.trunks.values()
        if trunk.secret_header is None and trunk.per_caller is not None
    ]
    return table.trunks[max(pauses)[1]] if pauses else None
