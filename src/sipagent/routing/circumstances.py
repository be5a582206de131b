"""A call at its moment: who calls whom, and what templates may read of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from sipagent.errors import TemplateError
from sipagent.model import (
    AgentName,
    AgentProfile,
    AttestationLevel,
    CallerFacts,
    CallFacts,
    Destination,
    HoursNow,
    IncomingCall,
    NumberFacts,
    Returned,
    TenantName,
)
from sipagent.routing.directory import Route
from sipagent.routing.moment import Moment
from sipagent.routing.table import RoutingTable, TenantProfile
from sipagent.routing.targets import target_uri, toll
from sipagent.routing.trunks import Trunk
from sipagent.sip import Attestation, Untrusted, is_e164

_NOBODY: Final = AgentName("")
_NOBODY_BACK: Final[Mapping[TenantName, Returned]] = MappingProxyType({})
_NO_ADVICE: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Circumstances:
    """A call, the route that takes it and the time. `number` is the dialed one, as far as known;
    `rules` is the route whose rule decided: the call's own, or that of `default`. `returned` has
    the tenants that the caller has called just before, `advised` the values of variables that a
    consulted endpoint gives: no destination, no header and no credential is made of them."""

    call: IncomingCall
    table: RoutingTable
    route: Route
    trunk: Trunk | None
    moment: Moment
    number: str | None
    rules: Route | None = None
    returned: Mapping[TenantName, Returned] = field(default_factory=lambda: _NOBODY_BACK)
    advised: Mapping[str, str] = field(default_factory=lambda: _NO_ADVICE, repr=False)

    def under(self, rules: Route) -> "Circumstances":
        """These, with the rule of another route."""
        return self if rules is self.route else replace(self, rules=rules)

    @property
    def answering_tenant(self) -> TenantProfile:
        """Whose agents and destinations the deciding rule names."""
        return self.table.tenants[(self.rules or self.route).tenant]

    def profile(self, agent: AgentName) -> AgentProfile:
        """The agent of this name among those of the answering tenant."""
        return self.table.agents[self.answering_tenant.name, agent]


def target_of(
    around: Circumstances, destination: Destination, facts: CallFacts | None = None
) -> str:
    """The URI in the REFER. `facts` are the place facts, if they are known already.

    Raises TemplateError.
    """
    to = destination.to
    if not isinstance(to, str):
        to = to.render(facts or place_facts(around))
        uri = target_uri(to, around.trunk)
        _verify_reach(around, to, destination)
        return uri
    return target_uri(to, around.trunk)


def _verify_reach(around: Circumstances, to: str, destination: Destination) -> None:
    """Raises TemplateError where a template leads to where calls may not go: of the tenant whose
    template it is, and of the one whose number's variables it may have read. A target that is
    written out was judged when it was loaded."""
    for tenant in (around.answering_tenant, around.table.tenants[around.route.tenant]):
        refusal = tenant.reach.refusal(to)
        if refusal is not None:
            raise TemplateError(refusal)
    if not destination.any_number and (refusal := toll(to)) is not None:
        raise TemplateError(refusal)


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


def attested(around: Circumstances) -> AttestationLevel | None:
    """The level (SHAKEN, RFC 8588 section 4) with which a trunk that has proven itself vouches for
    the caller's number, if it does. A verdict without a level is worth the lowest one."""
    attestation = _attestation(around)
    if attestation is None or not around.call.verified or attestation.verdict == "failed":
        return None
    return attestation.level or ("C" if attestation.verdict == "passed" else None)


def trusted(around: Circumstances, facts: CallFacts) -> CallFacts:
    """The facts without what a caller has written."""
    route = around.route
    listed = route.key if is_e164(route.key) else None
    number = replace(facts.number, e164=listed)
    return replace(facts, caller=CallerFacts(), dialed=listed, number=number, headers={})


def place_facts(around: Circumstances) -> CallFacts:
    """What the template of a destination may read: nothing that a caller has written, so that no
    caller chooses where a call is sent."""
    route = around.route
    return trusted(around, facts_of(around, _NOBODY, route.language, dict(route.vars)))


def _exposed(around: Circumstances) -> Mapping[str, Untrusted]:
    """The headers that the trunk exposes, the first of each name."""
    if around.trunk is None:
        return {}
    return {
        name: Untrusted(values[0])
        for name in around.trunk.expose
        if (values := around.call.headers.all(name))
    }
