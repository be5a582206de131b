"""A span of time, told in sentences: what failed, what failures share, which are one incident."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from sipagent.store.facts import Failure, Group, Survey, Traits, Unrouted
from sipagent.store.why.unrouted import tell_unrouted
from sipagent.store.why.wording import at, clock, count, plain, seconds, share

TOGETHER: Final = 3.0
"""Seconds between two ends that may have one cause."""

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
    """Calls of several tenants that failed or were lost within moments."""

    calls: int
    tenants: int
    began_at: float
    ended_at: float
    outcomes: Mapping[str, int]
    at_fault: Mapping[str, int]


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
    unrouted: tuple[str, ...]


def tell_span(
    found: Survey, unrouted: Sequence[Unrouted], *, since: float, until: float
) -> SpanTold:
    """How many calls ended, how many failed or were lost, which of them were one incident, what
    they share that the others do not, and which numbers lead nowhere."""
    of_bad = sum(group.bad for group in found.groups)
    together = incidents(found.failures)
    shared = shares(found.groups)
    return SpanTold(
        tuple(_counted(found, of_bad, since, until)),
        tuple(_incident(one) for one in together),
        tuple(_shared(one) for one in shared) or tuple(_nothing_shared(of_bad, found.groups)),
        tuple(_outcomes(found.failures)),
        tuple(line for one in unrouted for line in tell_unrouted(one)),
    )


def incidents(failures: Sequence[Failure]) -> tuple[Incident, ...]:
    """Ends of at least two tenants' calls with no pause of more than 3 s between them; `failures`
    are in the order of their ends."""
    chains: list[list[Failure]] = []
    for one in failures:
        if chains and one.ended_at - chains[-1][-1].ended_at <= TOGETHER:
            chains[-1].append(one)
        else:
            chains.append([one])
    found = (chain for chain in chains if len({one.tenant for one in chain}) > 1)
    return tuple(
        Incident(
            len(chain),
            len({one.tenant for one in chain}),
            chain[0].ended_at,
            chain[-1].ended_at,
            Counter(one.outcome for one in chain),
            Counter(one.at_fault or "unknown" for one in chain),
        )
        for chain in found
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
            value = getattr(group.traits, each.name)
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


def _counted(found: Survey, of_bad: int, since: float, until: float) -> Iterator[str]:
    span = f"from {at(since)} to {at(until)}"
    if not found.ended:
        yield f"No call ended {span}; {_held(found.held)}."
        return
    yield f"{count(found.ended, 'call')} ended {span}; {_held(found.held)}."
    taken = found.ended - found.rejected
    if found.rejected:
        yield f"{count(found.rejected, 'call')} of them {_were(found.rejected)} refused."
    if of_bad:
        others = count(taken, "other") if found.rejected else f"{taken:,}"
        part = share(of_bad, taken)
        yield f"{of_bad:,} of the {others} failed or {_were(of_bad)} lost ({part})."
    else:
        yield "None failed or was lost."


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
        f" {seconds(length)}, from {at(one.began_at)} to {clock(one.ended_at)}: {names}; at fault:"
        f" {who}."
    )


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
