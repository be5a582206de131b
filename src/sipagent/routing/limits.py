"""What must have room for a call, and what follows where there is none."""

from dataclasses import replace

from sipagent.model import (
    Accept,
    CallPlan,
    Cap,
    Decision,
    Forward,
    Otherwise,
    Quota,
    Reason,
    Reject,
    Verdict,
)
from sipagent.routing.planning import Circumstances
from sipagent.routing.table import RoutingTable, TenantProfile
from sipagent.routing.trunks import Trunk


def limited(decision: Decision, around: Circumstances, *, ordered: bool) -> Decision:
    """The decision with the quotas that must have room, and with what follows otherwise.

    Forwarding costs no money, so that a call that is to be sent on is sent on when all is spent.
    The operator's own orders are held to the account's quota alone.
    """
    verdict = decision.verdict
    if isinstance(verdict, Reject):
        return decision
    tenant = around.table.tenants[verdict.plan.tenant]
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
    if isinstance(decision.verdict, Reject):
        return decision
    kept = replace(process, reserves=table.reserves) if table.reserves else process
    return replace(decision, quotas=(*decision.quotas, kept))


def _some(*quotas: Quota | None) -> tuple[Quota, ...]:
    return tuple(quota for quota in quotas if quota is not None)


def _otherwise(chosen: Otherwise, verdict: Accept | Forward, tenant: TenantProfile) -> Verdict:
    """What a caller gets for whom there is no room. One who was to be sent on is sent there."""
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
    )
    return Forward(sent_on, to.destination)


def forwards_of(tenant: TenantProfile) -> Cap:
    """The tenant's calls that are sent on unanswered."""
    return Cap("forwards", f"forwards:{tenant.name}", tenant.forwards)


def caps_of(verdict: Verdict, around: Circumstances, *, ordered: bool) -> tuple[Cap, ...]:
    """What must have room. The operator's own orders are held to no tenant's quota: they are for
    the day on which every call is sent on."""
    if isinstance(verdict, Reject):
        return ()
    caps: tuple[Cap, ...] = ()
    trunk = around.trunk or _strictest(around.table)
    if trunk is not None and trunk.per_caller is not None:
        caller = around.call.invite.caller_e164
        who = "anonymous" if caller is None else caller.value
        caps = (Cap("per_caller", f"{trunk.name}:{who}", trunk.per_caller),)
    if isinstance(verdict, Forward) and not ordered:
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
