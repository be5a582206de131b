"""The capacity on paper: its inputs are what was measured, and its table is what follows."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest

from tests.deploy.kustomize import build
from tests.deploy.places import COMPOSE, KUSTOMIZE, ROOT, documents

PAGE = (ROOT / "docs" / "scale-out.md").read_text("utf-8")
MEASURED = (ROOT / "docs" / "performance.md").read_text("utf-8")
CALLS = (1_000, 10_000, 100_000)


def rows(text: str) -> dict[str, list[str]]:
    """The tables' rows by their first cell, without those whose name is not theirs alone."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    often = Counter(first.strip() for first, *_ in lines)
    return {
        first.strip(): [cell.strip() for cell in rest]
        for first, *rest in lines
        if often[first.strip()] == 1
    }


def number(text: str) -> float:
    found = re.match(r"[0-9][0-9,.]*", text)
    assert found, text
    return float(found[0].replace(",", ""))


INPUTS = {
    found[1]: cells[0]
    for first, cells in rows(PAGE.partition("## Capacity on paper")[2]).items()
    if (found := re.match(r"`(\w+)`", first))
}
TABLE = rows(PAGE.partition("| calls held at once |")[2])


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("c_call", "CPU per call, ms"),
        ("c_event", "2,000 held: CPU per event, us"),
        ("m_call", "2,000 held: KiB per call"),
    ],
)
def test_what_is_called_measured_is_what_was_measured(name: str, row: str) -> None:
    _, sipagent, *_ = rows(MEASURED)[row]
    assert number(INPUTS[name]) == float(sipagent)


def model(calls: int) -> Mapping[str, Sequence[float]]:
    arrivals = calls / number(INPUTS["T"])
    ends = arrivals * number(INPUTS["c_call"]) * 1e-3
    events = calls * number(INPUTS["e"]) * number(INPUTS["c_event"]) * 1e-6
    needed = max(2, (ends + events) / number(INPUTS["u"]), calls / number(INPUTS["n_max"]))
    replicas = 1 + math.ceil(needed)
    renewals = calls / number(INPUTS["h"])
    return {
        "new calls/s": [arrivals],
        "service: beginnings and ends, cores": [ends],
        "service: events, cores": [events],
        "replicas": [replicas],
        "held by one while one is away": [calls / (replicas - 1)],
        "calls' memory, MiB": [calls * number(INPUTS["m_call"]) / 1024],
        "Redis: renewals/s": [renewals],
        "Redis: claims' and leases' share of its core": [
            (
                renewals * number(INPUTS["c_renewal"]) * 1e-6
                + renewals * 4 * number(INPUTS["c_look"]) * 1e-6
                + arrivals * number(INPUTS["c_claim"]) * 1e-3
            )
            * 100
        ],
        "Redis: memory, MiB": [calls * number(INPUTS["k_call"]) / 1024],
        "PostgreSQL: rows/s": [calls * number(INPUTS["r_call"])],
        "PostgreSQL: connections at most": [10 * (replicas + 1)],
    }


@pytest.mark.parametrize("at", range(len(CALLS)))
def test_the_table_is_what_the_model_says(at: int) -> None:
    computed = model(CALLS[at])
    assert computed.keys() <= TABLE.keys()
    for name, values in computed.items():
        written = re.findall(r"[0-9][0-9,]*(?:\.[0-9]+)?", TABLE[name][at])
        assert len(written) == len(values), name
        for text, value in zip(written, values, strict=True):
            digit = 10.0 ** -len(text.partition(".")[2])
            assert abs(float(text.replace(",", "")) - value) <= digit * 0.501, (name, text, value)


def test_every_row_of_the_table_is_computed() -> None:
    rest = PAGE.partition("| calls held at once |")[2].partition("\n\n")[0]
    assert rows(rest).keys() == model(1_000).keys()


def test_a_replica_is_not_asked_to_hold_more_than_was_measured() -> None:
    """Neither by the autoscaler's target nor by the example's limit."""
    (scaler,) = documents(KUSTOMIZE / "components" / "autoscaling" / "autoscaler.yaml")
    (metric,) = scaler["spec"]["metrics"]
    target = int(metric["pods"]["target"]["averageValue"])
    (patch,) = documents(KUSTOMIZE / "overlays" / "example" / "replica.yaml")
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    environment = {pair["name"]: pair["value"] for pair in container["env"]}
    least = scaler["spec"]["minReplicas"]
    most = number(INPUTS["n_max"])
    assert int(environment["SIPAGENT_MAX_CALLS"]) <= most
    assert target * least / (least - 1) <= most, "while one is away"


def test_a_replica_has_the_memory_that_the_model_wants() -> None:
    (deployment,) = (one for one in build(KUSTOMIZE / "base") if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "1Gi"
    held = number(INPUTS["n_max"]) * number(INPUTS["m_call"]) / 1024
    assert held < 1024 / 4, "the rest is the process, the configuration and what waits"


def test_redis_has_the_memory_for_what_the_example_lets_in() -> None:
    (found,) = re.findall(
        r"^maxmemory (\d+)mb$", (COMPOSE / "redis.conf").read_text("utf-8"), re.MULTILINE
    )
    replicas, held = 3, number(INPUTS["n_max"])
    assert int(found) > replicas * held * number(INPUTS["k_call"]) / 1024
