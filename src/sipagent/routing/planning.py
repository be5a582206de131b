"""From a chosen agent or destination to the plan of the call: everything rendered."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from sipagent.errors import TemplateError
from sipagent.model import (
    AgentName,
    CallerFacts,
    CallFacts,
    CallPlan,
    Destination,
    DestinationName,
    Edition,
    Fallback,
    Greeting,
    HoursNow,
    IncomingCall,
    NumberFacts,
    rendered,
)
from sipagent.routing.directory import Route
from sipagent.routing.moment import Moment
from sipagent.routing.table import RoutingTable, TenantProfile
from sipagent.routing.targets import target_uri
from sipagent.routing.trunks import Trunk
from sipagent.sip import Attestation, Untrusted, is_e164

_NO_VARS: Final[Mapping[str, str]] = MappingProxyType({})
_NO_DESTINATIONS: Final[Mapping[DestinationName, Destination]] = MappingProxyType({})
_NOBODY: Final = AgentName("")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """A call, the route that takes it and the time. `number` is the dialed one, as far as known;
    `rules` is the route whose rule decided: the call's own, or that of `default`."""

    call: IncomingCall
    table: RoutingTable
    route: Route
    trunk: Trunk | None
    moment: Moment
    number: str | None
    rules: Route | None = None

    def under(self, rules: Route) -> "Circumstances":
        """These, with the rule of another route."""
        return self if rules is self.route else replace(self, rules=rules)

    @property
    def answering_tenant(self) -> TenantProfile:
        """Whose agents and destinations the deciding rule names."""
        return self.table.tenants[(self.rules or self.route).tenant]


def plan_of(around: Circumstances, agent: AgentName, rule_vars: Mapping[str, str]) -> CallPlan:
    """The plan by which this agent answers the call. Raises TemplateError."""
    tenant = around.answering_tenant
    profile = around.table.agents[tenant.name, agent]
    edition = profile.edition(around.route.language)
    session, spare = edition.session, edition.fallback_session
    facts: CallFacts | None = None
    if edition.instructions is not None or _templated(edition):
        merged = {**profile.vars, **around.route.vars, **rule_vars}
        facts = facts_of(around, agent, edition.language, merged)
    if edition.instructions is not None and facts is not None:
        instructions = edition.instructions.render(facts)
        session = {**session, "instructions": instructions}
        spare = None if spare is None else {**spare, "instructions": instructions}
    return CallPlan(
        call_id=around.call.call_id,
        account=around.call.account,
        tenant=tenant.name,
        agent=agent,
        session=session,
        greeting=first_words(edition, facts),
        config_hash=around.table.config_hash,
        language=edition.language,
        trunk=None if around.trunk is None else around.trunk.name,
        ceilings=profile.ceilings,
        prices=edition.prices,
        on_failure=profile.on_failure,
        fallback=fallback_of(around),
        fallback_session=spare,
        fallback_prices=edition.fallback_prices,
        redact=tenant.privacy.redact,
    )


def fallback_of(around: Circumstances) -> Fallback | None:
    """Where the call goes when nothing else is left; None where the tenant has no such place, or
    its target cannot be made for this call."""
    name = around.answering_tenant.fallback
    if name is None:
        return None
    try:
        return Fallback(name, _target(around, around.answering_tenant.destinations[name]))
    except (TemplateError, LookupError):
        return None


def forward_plan(
    around: Circumstances, name: DestinationName, *, ordered: bool = False
) -> CallPlan:
    """The plan by which the call is sent on. Where the operator has `ordered` it, a destination of
    the main file precedes the tenant's. Raises TemplateError, or LookupError for a destination
    that there is not."""
    tenant = around.answering_tenant
    shared = around.table.destinations if ordered else _NO_DESTINATIONS
    destination = shared[name] if name in shared else tenant.destinations[name]
    return CallPlan(
        call_id=around.call.call_id,
        account=around.call.account,
        tenant=tenant.name,
        agent=None,
        session=tenant.silent,
        greeting=None,
        config_hash=around.table.config_hash,
        trunk=None if around.trunk is None else around.trunk.name,
        refer_to=_target(around, destination),
        destination=name,
    )


def _target(around: Circumstances, destination: Destination) -> str:
    """The URI in the REFER. Raises TemplateError."""
    to = destination.to
    if not isinstance(to, str):
        to = to.render(_trusted_facts(around))
        _verify_reach(around, to)
    return target_uri(to, around.trunk)


def _verify_reach(around: Circumstances, to: str) -> None:
    """Raises TemplateError where a template leads to where calls may not go: of the tenant whose
    template it is, and of the one whose number's variables it may have read. A target that is
    written out was judged when it was loaded."""
    for tenant in (around.answering_tenant, around.table.tenants[around.route.tenant]):
        refusal = tenant.reach.refusal(to)
        if refusal is not None:
            raise TemplateError(refusal)


def first_words(edition: Edition, facts: CallFacts | None) -> Greeting | None:
    """The disclosure, if there is one, and the greeting. Raises TemplateError."""
    texts = [text for text in (edition.disclosure, edition.greeting) if text is not None]
    if not texts:
        return None
    said = [text if isinstance(text, str) else rendered(text, _known(facts)) for text in texts]
    words = " ".join(" ".join(said).split())
    if not words:
        return None
    return Greeting(words, edition.interruptible and edition.disclosure is None)


def facts_of(
    around: Circumstances, agent: AgentName, language: str | None, merged: Mapping[str, str]
) -> CallFacts:
    """All that a template may read of this call."""
    invite, route, now = around.call.invite, around.route, around.moment.local
    tenant = around.answering_tenant
    return CallFacts(
        caller=CallerFacts(invite.caller_e164, invite.display_name, _attestation(around)),
        dialed=around.number,
        number=NumberFacts(around.number, around.moment.timezone, route.hours, route.language),
        tenant=tenant.name,
        agent=agent,
        language=language,
        vars=merged,
        now=now,
        hours={name: HoursNow(schedule, now) for name, schedule in tenant.hours.items()},
        headers=_exposed(around),
    )


def _attestation(around: Circumstances) -> Attestation | None:
    """What the call's trunk says of the caller; that of another trunk than the number's is none."""
    expected = around.route.trunk
    if expected is not None and expected != around.call.trunk:
        return None
    return around.call.invite.attestation


def _trusted_facts(around: Circumstances) -> CallFacts:
    """What the template of a destination may read: nothing that a caller has written, so that no
    caller chooses where a call is sent."""
    route = around.route
    facts = facts_of(around, _NOBODY, route.language, dict(route.vars))
    listed = route.key if is_e164(route.key) else None
    number = replace(facts.number, e164=listed)
    return replace(facts, caller=CallerFacts(), dialed=listed, number=number, headers={})


def _exposed(around: Circumstances) -> Mapping[str, Untrusted]:
    """The headers that the trunk exposes, the first of each name."""
    if around.trunk is None:
        return {}
    return {
        name: Untrusted(values[0])
        for name in around.trunk.expose
        if (values := around.call.headers.all(name))
    }


def _templated(edition: Edition) -> bool:
    return not isinstance(edition.greeting, str | None) or not isinstance(
        edition.disclosure, str | None
    )


def _known(facts: CallFacts | None) -> CallFacts:
    assert facts is not None
    return facts
