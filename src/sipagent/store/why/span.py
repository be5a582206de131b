"""A span of time, told in sentences: what failed, what failures share, which are one incident."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from sipagent.model import Fault, Reason
from sipagent.store.facts import Closed, Failure, Group, Moment, Survey, Traits, Unrouted
from sipagent.store.why.tools import tell_tools
from sipagent.store.why.unrouted import tell_unrouted
from sipagent.store.why.wording import at, clock, count, plain, seconds, share

TOGETHER: Final = 3.0
"""Seconds between two ends that may have one cause."""

_CLOSED: Final = f"{Reason.LINE_CLOSED.kind}.{Reason.LINE_CLOSED}"
_MOST_TOLD: Final = 5
_FEWEST_SHARING: Final = 2
_LEAST_SHARE: Final = 0.5
_LEAST_LIFT: Final = 1.5

_SHARED: Final[Mapping[str, tuple[str, str]]] = {
    "tenant": ("was of tenant {}", "were of tenant {}"),
    "trunk": ("came by trunk {}", "came by trunk {}"),
    "account": ("was on account {}", "were on account {}"),
    "release": ("was held by release {}", "were held by release {}"),
    "replica": ("was held by replica {}", "were held by replica {}"),
    "agent": ("was answered by agent {}", "were answered by agent {}"),
    "config_hash": ("was decided by configuration {}", "were decided by configuration {}"),
    "model": ("was answered by model {}", "were answered by model {}"),
}


@dataclass(frozen=True, slots=True)
class Incident:
    """Calls of several tenants that failed, were lost or had their lines closed within moments.

    `moment` is the greatest at which lines closed, if any did. `account` and `trunk` are those of
    every call, None where these differ.
    """

    calls: int
    tenants: int
    began_at: float
    ended_at: float
    outcomes: Mapping[str, int]
    at_fault: Mapping[str, int]
    account: str | None = None
    trunk: str | None = None
    moment: Moment | None = None


@dataclass(frozen=True, slots=True)
class Sharing:
    """A trait that calls which went wrong have more often than the others.

    `lift` is how many times more often, each count taken half a call higher, so that few calls
    prove little.
    """

    trait: str
    value: str
    bad: int
    of_bad: int
    good: int
    of_good: int
    lift: float


@dataclass(frozen=True, slots=True)
class SpanTold:
    """The story of a span: each part is a list of sentences."""

    counted: tuple[str, ...]
    incidents: tuple[str, ...]
    shared: tuple[str, ...]
    outcomes: tuple[str, ...]
    tools: tuple[str, ...]
    unrouted: tuple[str, ...]


def tell_span(
    found: Survey, unrouted: Sequence[Unrouted], *, since: float, until: float
) -> SpanTold:
    """How many calls ended, how many went wrong, which ends were one incident, what those that went
    wrong share that the others do not, and which numbers lead nowhere."""
    of_bad = sum(group.bad for group in found.groups)
    together = incidents(found.failures, found.moments)
    shared = shares(found.groups)
    return SpanTold(
        tuple(_counted(found, of_bad, since, until)),
        tuple(_incident(one) for one in together),
        tuple(_shared(one) for one in shared) or tuple(_nothing_shared(of_bad, found.groups)),
        tuple(_outcomes(found.failures)),
        tuple(tell_tools(found.tools, found.messages)),
        tuple(line for one in unrouted for line in tell_unrouted(one)),
    )


def incidents(failures: Sequence[Failure], moments: Sequence[Moment] = ()) -> tuple[Incident, ...]:
    """Ends of at least two tenants' calls with no pause of more than 3 s between them: calls that
    went wrong, and those whose lines closed at a moment."""
    ends: list[Failure | Closed] = [*failures]
    ends += (one for moment in moments for one in moment.closed)
    ends.sort(key=lambda one: one.ended_at)
    chains: list[list[Failure | Closed]] = []
    for one in ends:
        if chains and one.ended_at - chains[-1][-1].ended_at <= TOGETHER:
            chains[-1].append(one)
        else:
            chains.append([one])
    found = (chain for chain in chains if len({one.tenant for one in chain}) > 1)
    return tuple(_one_incident(chain, moments) for chain in found)


def _one_incident(chain: Sequence[Failure | Closed], moments: Sequence[Moment]) -> Incident:
    """What a closed line says of who is at fault is nothing."""
    began_at, ended_at = chain[0].ended_at, chain[-1].ended_at
    accounts, trunks = {one.account for one in chain}, {one.trunk for one in chain}
    failed = [one for one in chain if isinstance(one, Failure)]
    outcomes = Counter(one.outcome for one in failed)
    at_fault = Counter(one.at_fault or Fault.UNKNOWN.value for one in failed)
    if closed := len(chain) - len(failed):
        outcomes[_CLOSED] += closed
        at_fault[Fault.UNKNOWN.value] += closed
    within = (one for one in moments if began_at <= one.closed[0].ended_at <= ended_at)
    return Incident(
        len(chain),
        len({one.tenant for one in chain}),
        began_at,
        ended_at,
        outcomes,
        at_fault,
        accounts.pop() if len(accounts) == 1 else None,
        trunks.pop() if len(trunks) == 1 else None,
        max(within, key=lambda one: one.ended, default=None),
    )


def shares(groups: Sequence[Group]) -> tuple[Sharing, ...]:
    """The traits that at least half of the bad calls have and the good ones have much less often,
    the most telling first."""
    of_bad, of_good = (sum(getattr(one, which) for one in groups) for which in ("bad", "good"))
    found: list[Sharing] = []
    if not of_good:
        return ()
    for each in fields(Traits):
        bad: Counter[str] = Counter()
        good: Counter[str] = Counter()
        for group in groups:
            value = _value(group.traits, each.name)
            if value is not None:
                bad[value] += group.bad
                good[value] += group.good
        for value, many in bad.items():
            if many < _FEWEST_SHARING or many < _LEAST_SHARE * of_bad:
                continue
            lift = ((many + 0.5) / (of_bad + 1)) / ((good[value] + 0.5) / (of_good + 1))
            if lift >= _LEAST_LIFT:
                found.append(Sharing(each.name, value, many, of_bad, good[value], of_good, lift))
    found.sort(key=lambda one: (-one.bad * one.lift, one.trait))
    return tuple(found[:_MOST_TOLD])


def _value(traits: Traits, name: str) -> str | None:
    """The trait's value; an agent's name says nothing without its tenant's."""
    value: str | None = getattr(traits, name)
    if name == "agent" and value is not None and traits.tenant is not None:
        return f"{value} of tenant {traits.tenant}"
    return value


def _counted(found: Survey, of_bad: int, since: float, until: float) -> Iterator[str]:
    span = f"from {at(since)} to {at(until)}"
    if not found.ended:
        yield f"No call ended {span}; {_held(found.held)}."
        return
    yield f"{count(found.ended, 'call')} ended {span}; {_held(found.held)}."
    taken = found.ended - found.rejected
    if found.rejected:
        yield f"{found.rejected:,} of them {_were(found.rejected)} refused."
    if of_bad:
        others = count(taken, "other") if found.rejected else f"{taken:,}"
        part = share(of_bad, taken)
        back = " or fell back" if found.fell_back else ""
        yield f"{of_bad:,} of the {others} failed or {_were(of_bad)} lost{back} ({part})."
        if found.fell_back:
            were = _were(found.fell_back)
            yield f"{found.fell_back:,} of these {were} sent on after the model had failed."
    else:
        yield "None failed or was lost."
    if closed := sum(len(one.closed) for one in found.moments):
        yield f"{count(closed, 'line')} closed at the same moment as others, as hang-ups seldom do."


def _held(many: int) -> str:
    return f"{many:,} {'is' if many == 1 else 'are'} held now"


def _were(many: int) -> str:
    return "was" if many == 1 else "were"


def _incident(one: Incident) -> str:
    length = one.ended_at - one.began_at
    names = ", ".join(f"{many:,} {name}" for name, many in _most(one.outcomes))
    who = ", ".join(name for name, _ in _most(one.at_fault))
    return (
        f"One incident: {count(one.calls, 'call')} of {count(one.tenants, 'tenant')} ended within"
        f" {seconds(length)}, from {at(one.began_at)} to {clock(one.ended_at)}: {names}"
        f"{_at_once(one.moment)}{_way(one)}; at fault: {who}."
    )


def _at_once(moment: Moment | None) -> str:
    if moment is None:
        return ""
    ended = "all" if moment.ended == moment.held else f"{moment.ended:,} of the"
    return f"; {ended} {count(moment.held, 'call')} that were held ended together"


def _way(one: Incident) -> str:
    """The account and the trunk of all calls, where they have one."""
    ways = [f"on account {one.account}"] if one.account else []
    ways += [f"by trunk {one.trunk}"] if one.trunk else []
    return f"; all {', '.join(ways)}" if ways else ""


def _shared(one: Sharing) -> str:
    forms = _SHARED[one.trait]
    value = plain(one.value, numbers=True)
    what = forms[0 if one.bad == 1 else 1].format(value)
    others = (
        "none of the others did"
        if not one.good
        else f"{share(one.good, one.of_good)} of the others did"
    )
    others = others if what.startswith("came") else others.replace(" did", " were")
    return f"{one.bad:,} of {count(one.of_bad, 'failed call')} {what}; {others}."


def _nothing_shared(of_bad: int, groups: Sequence[Group]) -> Iterator[str]:
    if of_bad < _FEWEST_SHARING:
        return
    if any(group.good for group in groups):
        yield "The failed calls share nothing that the others do not."
    else:
        yield "No other call was taken that they could be compared with."


def _outcomes(failures: Sequence[Failure]) -> Iterator[str]:
    """What went wrong, by outcome and its detail, with one call of each to look at."""
    by = Counter((one.outcome, one.detail) for one in failures)
    example = {(one.outcome, one.detail): one.call_id for one in failures}
    for key, many in by.most_common(_MOST_TOLD):
        outcome, detail = key
        words = f" ({plain(detail, numbers=False)})" if detail else ""
        yield f"{count(many, 'call')}: {outcome}{words}, such as {example[key]}."


def _most(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
