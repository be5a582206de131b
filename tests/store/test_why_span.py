"""The calls of a time, told in plain sentences."""

import pytest

from sipagent.store.facts import Closed, Failure, Group, Moment, Survey, Traits, Unrouted
from sipagent.store.why import incidents, shares, tell_span, tell_unrouted
from tests.store.kept import BEGAN, HOSTILE


def group(bad: int, good: int, **traits: str) -> Group:
    return Group(Traits(**traits), bad, good)


def failure(
    at: float, tenant: str = "acme", outcome: str = "lost.connection_lost", **more: str
) -> Failure:
    detail, account, trunk = (more.get(name) for name in ("detail", "account", "trunk"))
    return Failure(f"rtc_{at}", tenant, outcome, "unknown", detail, BEGAN + at, account, trunk)


def moment(ended: int, held: int, *closed: tuple[float, str], trunk: str = "wavix-eu") -> Moment:
    ends = tuple(Closed(tenant, "us-1", trunk, BEGAN + at) for at, tenant in closed)
    return Moment(ended, held, ends)


def told(found: Survey, *unrouted: Unrouted) -> list[str]:
    span = tell_span(found, unrouted, since=BEGAN, until=BEGAN + 3600)
    parts = (span.counted, span.incidents, span.shared, span.outcomes, span.unrouted)
    return [line for part in parts for line in part]


def test_what_failed_calls_share_and_others_do_not() -> None:
    found = Survey(
        ended=116,
        rejected=6,
        held=1,
        groups=(
            group(9, 12, trunk="wavix-eu", release="0.4.0"),
            group(1, 88, trunk="twilio-us", release="0.4.0"),
        ),
    )
    assert told(found) == [
        ("116 calls ended from 2026-09-22 13:53:20 UTC to 2026-09-22 14:53:20 UTC; 1 is held now."),
        "6 of them were refused.",
        "10 of the 110 others failed or were lost (9 %).",
        "9 of 10 failed calls came by trunk wavix-eu; 12 % of the others did.",
    ]


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        ([group(9, 12, trunk="w"), group(1, 88, trunk="t")], [("trunk", "w", 9, 12)]),
        ([group(9, 90, trunk="w"), group(1, 10, trunk="t")], []),
        ([group(1, 0, trunk="w"), group(0, 99, trunk="t")], []),
        ([group(2, 0, replica="b"), group(0, 99, replica="a")], [("replica", "b", 2, 0)]),
        ([group(4, 0, agent="x"), group(6, 99, agent="y")], []),
        ([group(5, 0)], []),
        ([group(5, 0, trunk="w")], []),
        ([], []),
    ],
    ids=["lift", "as common", "one call", "all", "fewer than half", "none", "no others", "empty"],
)
def test_a_share_is_told_where_it_tells_something(
    groups: list[Group], found: list[tuple[str, str, int, int]]
) -> None:
    assert [(one.trait, one.value, one.bad, one.good) for one in shares(groups)] == found


def test_the_most_telling_share_comes_first() -> None:
    groups = [
        group(8, 1, config_hash="new", replica="a"),
        group(2, 1, config_hash="new", replica="b"),
        group(0, 98, config_hash="old", replica="b"),
    ]
    assert [one.trait for one in shares(groups)] == ["replica", "config_hash"]
    lines = told(Survey(110, 0, 0, tuple(groups)))
    assert "10 of 10 failed calls were decided by configuration new; 2 % of the others were." in (
        lines
    )


def test_failures_that_share_nothing_say_so() -> None:
    groups = (group(3, 30, trunk="w"), group(3, 30, trunk="t"))
    assert "The failed calls share nothing that the others do not." in told(
        Survey(66, 0, 0, groups)
    )


@pytest.mark.parametrize(
    ("failures", "sizes"),
    [
        ([failure(0), failure(1, "beta"), failure(3.9, "cafe")], [(3, 3)]),
        ([failure(0), failure(1), failure(2)], []),
        ([failure(0), failure(3.1, "beta")], []),
        ([failure(0), failure(3, "beta"), failure(60), failure(61, "beta")], [(2, 2), (2, 2)]),
        ([], []),
    ],
    ids=["several tenants", "one tenant", "apart", "two", "none"],
)
def test_failures_within_moments_are_one_incident(
    failures: list[Failure], sizes: list[tuple[int, int]]
) -> None:
    assert [(one.calls, one.tenants) for one in incidents(failures)] == sizes


def test_an_incident_is_one_sentence() -> None:
    failures = (failure(0), failure(1, "beta"), failure(2, "cafe", "failed.provider_error"))
    lines = told(Survey(3, 0, 0, (group(3, 0, tenant="acme"),), failures))
    assert (
        "One incident: 3 calls of 3 tenants ended within 2.0 s, from 2026-09-22 13:53:20 UTC to"
        " 13:53:22: 2 lost.connection_lost, 1 failed.provider_error; at fault: unknown."
    ) in lines
    assert "2 calls: lost.connection_lost, such as rtc_1." in lines


THREE = ((0.0, "acme"), (0.1, "beta"), (0.4, "cafe"))


@pytest.mark.parametrize(
    ("failures", "moments", "sizes"),
    [
        ([], [moment(3, 4, *THREE)], [(3, 3, 3)]),
        ([failure(0.2, "dent"), failure(3)], [moment(4, 4, *THREE)], [(5, 4, 4)]),
        ([failure(9), failure(10, "beta")], [moment(3, 4, *THREE)], [(3, 3, 3), (2, 2, None)]),
        (
            [],
            [moment(3, 4, *THREE), moment(5, 6, (3.0, "acme"), (3.2, "acme"))],
            [(5, 3, 5)],
        ),
    ],
    ids=["lines only", "failures among them", "apart", "two moments"],
)
def test_lines_that_closed_together_are_one_incident_with_failures_of_that_moment(
    failures: list[Failure], moments: list[Moment], sizes: list[tuple[int, int, int | None]]
) -> None:
    found = incidents(failures, moments)
    assert [(one.calls, one.tenants, one.moment and one.moment.ended) for one in found] == sizes


@pytest.mark.parametrize(
    ("failures", "ended", "sentence"),
    [
        (
            (),
            moment(3, 3, *THREE),
            (
                "One incident: 3 calls of 3 tenants ended within 0.4 s, from 2026-09-22 13:53:20"
                " UTC to 13:53:20: 3 completed.line_closed; all 3 calls that were held ended"
                " together; all on account us-1, by trunk wavix-eu; at fault: unknown."
            ),
        ),
        (
            (failure(0.5, "dent", account="us-1", trunk="twilio-us"),),
            moment(4, 6, *THREE),
            (
                "One incident: 4 calls of 4 tenants ended within 0.5 s, from 2026-09-22 13:53:20"
                " UTC to 13:53:20: 3 completed.line_closed, 1 lost.connection_lost; 4 of the 6"
                " calls that were held ended together; all on account us-1; at fault: unknown."
            ),
        ),
    ],
    ids=["all", "some"],
)
def test_lines_that_closed_together_are_told(
    failures: tuple[Failure, ...], ended: Moment, sentence: str
) -> None:
    bad = len(failures)
    lines = told(Survey(9, 0, 0, (group(bad, 9 - bad),), failures, moments=(ended,)))
    assert "3 lines closed at the same moment as others, as hang-ups seldom do." in lines
    assert sentence in lines


def test_calls_that_their_fallback_saved_are_counted_apart() -> None:
    lines = told(Survey(12, 1, 0, (group(3, 8),), (), fell_back=2))
    assert lines[1:4] == [
        "1 of them was refused.",
        "3 of the 11 others failed or were lost or fell back (27 %).",
        "2 of these were sent on after the model had failed.",
    ]


def test_agents_of_one_name_are_told_apart_by_their_tenants() -> None:
    groups = [group(2, 0, tenant=f"t{number}", agent="reception") for number in range(5)]
    assert shares([*groups, group(0, 50, tenant="acme", agent="sales")]) == ()
    groups = [group(6, 4, tenant="acme", agent="reception"), group(0, 9, tenant="acme", agent="x")]
    groups.append(group(0, 60, tenant="beta", agent="reception"))
    assert (
        "6 of 6 failed calls were answered by agent reception of tenant acme; 5 % of the others"
        " were."
    ) in told(Survey(79, 0, 0, tuple(groups)))


def test_a_quiet_time() -> None:
    assert told(Survey())[0].startswith("No call ended from ")
    assert "None failed or was lost." in told(Survey(5, 0, 0, (group(0, 5),)))


def unrouted(dialed: str | None, header: str | None = "x-number") -> Unrouted:
    return Unrouted(dialed, header, "us-1", "wavix-eu", 14, BEGAN, BEGAN + 60)


def test_a_number_that_leads_nowhere_is_told_with_its_header_and_its_line() -> None:
    assert tell_unrouted(unrouted("+17134810199"), "reception") == (
        (
            "+17134810199 leads nowhere (header x-number): 14 calls by trunk wavix-eu on account"
            " us-1, last at 2026-09-22 13:54:20 UTC."
        ),
        '  "+17134810199": reception',
    )
    assert tell_unrouted(unrouted(None, None)) == (
        (
            "No header carried a number: 14 calls by trunk wavix-eu on account us-1, last at"
            " 2026-09-22 13:54:20 UTC."
        ),
    )
    assert len(tell_unrouted(unrouted("h:abc"))) == 1


def test_a_line_to_paste_is_one_line_of_yaml_whatever_was_dialed() -> None:
    import yaml

    _, line = tell_unrouted(unrouted(f'a": b\n{HOSTILE}'), "reception")
    assert line.isprintable()
    ((key, value),) = yaml.safe_load(line).items()
    assert (key[:3], value) == ('a":', "reception")


def test_nothing_hostile_reaches_the_terminal() -> None:
    failures = (failure(0, detail=HOSTILE), failure(1, "beta", detail=HOSTILE))
    groups = (group(2, 0, model=HOSTILE), group(0, 50, model="x"))
    lines = told(Survey(52, 0, 0, groups, failures), unrouted(HOSTILE, HOSTILE))
    assert [line for line in lines if not line.isprintable() or "\u202e" in line] == []
