"""The decision on a call of somebody at a browser, to an agent of their choice. Pure.

No rule and no order of the operator's is asked, and no list of callers: whoever talks has shown a
token, and wants to hear just this agent, perhaps before a number leads to it. What its calls may
take counts as for any other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from sipagent.errors import TalkError, TemplateError
from sipagent.model import (
    Accept,
    AccountName,
    AgentName,
    AgentProfile,
    CallId,
    CallPlan,
    Ceilings,
    Decision,
    IncomingCall,
    MediaSecurity,
    Otherwise,
    Quota,
    Reason,
    Reject,
    TenantName,
    TraceStep,
    WebhookId,
)
from sipagent.routing.circumstances import Circumstances
from sipagent.routing.decide import timezone_of
from sipagent.routing.directory import Route
from sipagent.routing.moment import Moment
from sipagent.routing.planning import plan_of
from sipagent.routing.rules import AnswerWith, ConsultWith, Rule
from sipagent.routing.table import RoutingTable, TenantProfile
from sipagent.sip import Invite, Untrusted, to_e164

TALK: Final = "talk"
"""Where the number of such a call is said to be dialed, in decisions and records."""

LONGEST_TALK: Final = 20 * 60.0
"""Seconds. Nobody tells that a page has been closed, where the page itself could not."""

_NOT_YET: Final = CallId("")
_NO_VARS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Talk:
    """Whom somebody wants to talk to. `number`, one of the tenant's, lends the call its variables,
    zone and language; `language` is one of the agent's. `by` is the name of who talks."""

    tenant: TenantName
    agent: AgentName
    by: str
    number: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    account: AccountName
    route: Route
    values: Mapping[str, str]
    number: str | None = None


def decide_talk(
    talk: Talk, table: RoutingTable, now: float
) -> tuple[IncomingCall, Decision, CallPlan]:
    """The call, which has no id before the provider has made it, the decision that it is answered,
    and by which plan. Raises TalkError where it cannot be."""
    tenant = table.tenants.get(talk.tenant)
    profile = table.agents.get((talk.tenant, talk.agent))
    if tenant is None or profile is None:
        raise TalkError("no-agent", "There is no such agent.")
    _verify_language(profile, talk.language)
    place = _place(table, tenant, talk)
    route = place.route
    if talk.language is not None:
        route = replace(route, language=talk.language)
    call = IncomingCall(
        call_id=_NOT_YET,
        webhook_id=WebhookId(""),
        account=place.account,
        invite=Invite(display_name=Untrusted(talk.by)),
        created_at=now,
        media_security=MediaSecurity.SRTP,
        talk=True,
    )
    moment = Moment(now, timezone_of(route, table))
    around = Circumstances(call, table, route, None, moment, place.number)
    plan = _planned(around, talk, place.values)
    told = TraceStep(TALK, talk.agent, held=True, because="somebody at a browser asks for it")
    quotas = (route.quota, tenant.quota, table.quotas.get(place.account))
    full, spent = tenant.when_full, tenant.when_spent
    decision = Decision(
        Accept(plan),
        (told,),
        place.number,
        TALK,
        place.number is not None,
        quotas=tuple(quota for quota in quotas if isinstance(quota, Quota)),
        if_full=_no_room(full, tenant),
        if_spent=_no_room(spent, tenant),
        full_code=full.code,
        spent_code=spent.code,
    )
    return call, decision, plan


def named(decision: Decision, call: IncomingCall, plan: CallPlan) -> tuple[IncomingCall, Decision]:
    """Both of the call that there is now, by this plan."""
    webhook = WebhookId(f"{TALK}_{plan.call_id}"[:128])
    call = replace(call, call_id=plan.call_id, webhook_id=webhook)
    return call, replace(decision, verdict=Accept(plan))


def _no_room(otherwise: Otherwise, tenant: TenantProfile) -> Reject:
    """A browser cannot be sent on."""
    return Reject(otherwise.code, Reason.QUOTA, tenant.name)


def _planned(around: Circumstances, talk: Talk, values: Mapping[str, str]) -> CallPlan:
    try:
        plan = plan_of(around, talk.agent, values)
    except TemplateError as error:
        hint = "" if talk.number is not None else " Choose a number whose values it is to have."
        detail = f"The agent's texts cannot be made for this call: {error}.{hint}"
        raise TalkError("not-renderable", detail) from error
    longest = plan.ceilings.duration
    longest = LONGEST_TALK if longest is None else min(longest, LONGEST_TALK)
    ceilings = Ceilings(longest, plan.ceilings.cost)
    return replace(plan, ceilings=ceilings, fallback=None, talk=True)


def _verify_language(profile: AgentProfile, language: str | None) -> None:
    spoken = [edition.language for edition in profile.editions if edition.language is not None]
    if language is not None and language not in spoken:
        known = f"; it speaks {', '.join(spoken)}" if spoken else ""
        raise TalkError("no-language", f"The agent does not speak this language{known}.")


def _place(table: RoutingTable, tenant: TenantProfile, talk: Talk) -> _Place:
    """On which account the call is, and as if it were to which number."""
    accounts = [*table.directories] if tenant.account is None else [tenant.account]
    if talk.number is not None:
        return _at_number(table, accounts, talk, talk.number)
    leading = (
        account
        for account in accounts
        if any(_values(route, talk.agent) is not None for route in _routes(table, account, tenant))
    )
    account = next(leading, accounts[0] if accounts else None)
    if account is None:
        raise TalkError("no-account", "There is no account on which to talk.")
    return _Place(account, Route(TALK, tenant.name, ()), _NO_VARS)


def _routes(table: RoutingTable, account: AccountName, tenant: TenantProfile) -> Iterator[Route]:
    directory = table.directory(account)
    every = [*directory.exact.values(), *directory.prefixes]
    if directory.default is not None:
        every.append(directory.default)
    return (route for route in every if route.tenant == tenant.name)


def _at_number(
    table: RoutingTable, accounts: list[AccountName], talk: Talk, written: str
) -> _Place:
    number = to_e164(written, table.region) or written
    for account in accounts:
        directory = table.directory(account)
        route = directory.listed(written) or directory.listed(number) or directory.covering(number)
        if route is not None and route.tenant == talk.tenant:
            key = number if route.key.endswith("*") else route.key
            return _Place(account, route, _values(route, talk.agent) or _NO_VARS, key)
    raise TalkError("no-number", "There is no such number.")


def _values(route: Route, agent: AgentName) -> Mapping[str, str] | None:
    """What the first rule that may lead to the agent gives it; None where none may."""
    for rule in route.rules:
        action = _answering(rule)
        if action is not None and agent in action.answering:
            return dict(action.vars)
    return None


def _answering(rule: Rule) -> AnswerWith | None:
    action = rule.action
    if isinstance(action, ConsultWith):
        action = action.otherwise
    return action if isinstance(action, AnswerWith) else None
