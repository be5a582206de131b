"""From a chosen agent or destination to the plan of the call: everything rendered."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from sipagent.errors import TemplateError
from sipagent.model import (
    AgentName,
    AgentProfile,
    CallPlan,
    Colleague,
    Destination,
    DestinationName,
    Fallback,
    Greeting,
    Json,
    Text,
    Ways,
    rendered,
)
from sipagent.routing.circumstances import Circumstances, attested, target_of
from sipagent.routing.returning import noted
from sipagent.routing.skills import Part, closure, colleague_of, offered
from sipagent.routing.table import Gear, forwards_of
from sipagent.routing.ways import Places, chain_of

_NO_DESTINATIONS: Final[Mapping[DestinationName, Destination]] = MappingProxyType({})
_NO_WAYS: Final = Ways()


def plan_of(around: Circumstances, agent: AgentName, rule_vars: Mapping[str, str]) -> CallPlan:
    """The plan by which this agent answers the call. Raises TemplateError."""
    tenant = around.answering_tenant
    part = Part.of(around, agent, rule_vars)
    profile, edition = part.profile, part.edition
    gear = _gear(part)
    session, spare = _sessions(part, gear)
    caller = around.call.invite.caller_e164
    plan = CallPlan(
        call_id=around.call.call_id,
        account=around.call.account,
        tenant=tenant.name,
        agent=agent,
        session=session,
        greeting=first_words(part),
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
        skills=gear.skills,
        colleagues=gear.colleagues,
        ways=gear.ways,
        attested=attested(around),
        caller=None if caller is None else caller.value,
        dialed=around.number,
        disclosure=_said(part, edition.disclosure),
        after_call=profile.after_call,
    )
    returned = around.returned.get(tenant.name)
    return plan if returned is None else noted(plan, returned)


def _colleagues(part: Part) -> dict[AgentName, Part]:
    """Who may take the call over; without those whose instructions cannot be made for it, and who
    take no caller of whom the carrier says so little."""
    found = {}
    for name in closure(part.around, part.profile):
        other = Part.of(part.around, name, part.given)
        rule = other.profile.attestation
        if rule is not None and not rule.lets_through(attested(part.around)):
            continue
        try:
            other.instructed(other.edition.session)
        except TemplateError:
            continue
        found[name] = other
    return found


def _gear(part: Part) -> Gear:
    """What the agent can do in this call. Where no call makes a difference it is made once."""
    around = part.around
    trunk = None if around.trunk is None else around.trunk.name
    key = (around.answering_tenant.name, part.profile.name, part.edition.language, trunk)
    kept = around.table.gear.get(key)
    if kept is not None:
        return kept
    gear = _made(part)
    if part.steady and _leads_to_fixed_places(part):
        around.table.gear[key] = gear
    return gear


def _leads_to_fixed_places(part: Part) -> bool:
    """Whether the agent's destinations are the same in all calls, at any time."""
    known = part.around.answering_tenant.destinations
    return all(
        isinstance(known[name].to, str) and known[name].hours is None
        for name in chain_of(known, part.profile.transfers)
    )


def _made(part: Part) -> Gear:
    others = _colleagues(part)
    ways = _ways(part.around, [part.profile, *(other.profile for other in others.values())])
    places = {way.destination for way in ways.destinations}
    tools, as_offered = part.tools(places, others.keys())
    colleagues = tuple(_as_colleague(other, places, others.keys()) for other in others.values())
    return Gear(part.skills(tools, places), as_offered, ways, colleagues)


def _sessions(part: Part, gear: Gear) -> tuple[Json, Json | None]:
    """The session and its spare as this call has them. Raises TemplateError where the instructions
    cannot be made for it."""
    edition = part.edition
    session, spare = part.instructed(edition.session), edition.fallback_session
    if spare is not None:
        spare = part.instructed(spare)
    if not gear.as_offered:
        session = offered(session, gear.skills.tools)
        spare = None if spare is None else offered(spare, gear.skills.tools)
    return session, spare


def _as_colleague(
    part: Part, places: Collection[DestinationName], colleagues: Collection[AgentName]
) -> Colleague:
    """Raises TemplateError as above."""
    tools, as_offered = part.tools(places, colleagues)
    gear = Gear(part.skills(tools, places), as_offered, _NO_WAYS)
    session, _ = _sessions(part, gear)
    return colleague_of(part, session, gear.skills)


def _ways(around: Circumstances, profiles: Sequence[AgentProfile]) -> Ways:
    """Where these agents may send the call."""
    first = [name for profile in profiles for name in profile.transfers]
    if not first:
        return _NO_WAYS
    tenant = around.answering_tenant
    return Ways(Places(around).reached(first), forwards_of(tenant), profiles[0].watch)


def fallback_of(around: Circumstances) -> Fallback | None:
    """Where the call goes when nothing else is left; None where the tenant has no such place, or
    its target cannot be made for this call."""
    name = around.answering_tenant.fallback
    if name is None:
        return None
    try:
        return Fallback(name, target_of(around, around.answering_tenant.destinations[name]))
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
    caller = around.call.invite.caller_e164
    return CallPlan(
        call_id=around.call.call_id,
        account=around.call.account,
        tenant=tenant.name,
        agent=None,
        session=tenant.silent,
        greeting=None,
        config_hash=around.table.config_hash,
        trunk=None if around.trunk is None else around.trunk.name,
        refer_to=target_of(around, destination),
        destination=name,
        caller=None if caller is None else caller.value,
        dialed=around.number,
    )


def first_words(part: Part) -> Greeting | None:
    """The disclosure, if there is one, and the greeting. Raises TemplateError."""
    edition = part.edition
    texts = [_said(part, text) for text in (edition.disclosure, edition.greeting)]
    words = " ".join(text for text in texts if text)
    if not words:
        return None
    return Greeting(words, edition.interruptible and edition.disclosure is None)


def _said(part: Part, text: Text | None) -> str | None:
    """The text as it is to be said, in one line. Raises TemplateError."""
    if text is None:
        return None
    words = text if isinstance(text, str) else rendered(text, part.facts)
    return " ".join(words.split()) or None
