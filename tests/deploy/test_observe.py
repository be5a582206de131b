"""The dashboard and the rules: they can be read, ask for what there is, and are all the same."""

import json
import re
from typing import Any

import promql_parser
import pytest
import yaml

from tests.deploy.places import COMPOSE, DEPLOY, KUSTOMIZE, ROOT, documents
from tests.metrics_shown import labels_by_name

DASHBOARD: Any = json.loads((DEPLOY / "grafana" / "sipagent.json").read_text("utf-8"))
(RULES,) = documents(DEPLOY / "prometheus" / "alerts.yaml")
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OTHERS = {"up"}
"""Metrics that Prometheus itself makes."""

OF_PROMETHEUS = {"job", "instance"}
"""Labels that Prometheus adds to what it reads."""

SHOWN = labels_by_name()


def asked(query: str) -> promql_parser.Expr:
    """The query as Prometheus would read it, with Grafana's variables filled in."""
    return promql_parser.parse(query.replace("$__rate_interval", "5m").replace("$job", ".*"))


def selected(query: str) -> list[tuple[str, set[str]]]:
    """Every metric that a query selects, with the labels by which it does."""
    found = []
    text = re.sub(r'"[^"]*"', '""', asked(query).prettify())
    for name, labels in re.findall(r"\b([a-z_]+)(?:\{([^}]*)\})", text + "{}"):
        if name not in ("by", "on", "ignoring", "without"):
            found.append((name, set(re.findall(r"(\w+)\s*[=!~]", labels))))
    bare = re.findall(r"\b((?:sipagent|process)_[a-z_]+|up)\b", text)
    return found + [(name, set()) for name in bare]


def grouped(query: str) -> set[str]:
    """The labels by which a query groups."""
    lists = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query)
    return {name.strip() for one in lists for name in one.split(",")}


def check(query: str) -> None:
    known = set.union(*(SHOWN.get(name, set()) for name, _ in selected(query))) | OF_PROMETHEUS
    assert grouped(query) <= known | {"le"}, query
    for name, labels in selected(query):
        assert name in SHOWN.keys() | OTHERS, f"{name} of {query}"
        assert labels <= SHOWN.get(name, set()) | OF_PROMETHEUS, query


def queries() -> list[tuple[str, str]]:
    return [
        (f"{panel['title']}, {target['refId']}", target["expr"])
        for panel in PANELS
        for target in panel["targets"]
    ] + [("annotation", one["expr"]) for one in DASHBOARD["annotations"]["list"]]


@pytest.mark.parametrize(("name", "query"), queries(), ids=lambda value: str(value)[:40])
def test_every_query_of_the_dashboard_asks_for_what_there_is(name: str, query: str) -> None:
    check(query)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_rule_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    check(rule["expr"])
    assert rule.keys() <= {"alert", "expr", "for", "annotations"}
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        assert label in grouped(rule["expr"]) | OF_PROMETHEUS, rule["alert"]


@pytest.mark.parametrize("query", ["sum(sipagent_calls_active", "rate(up[5m]", "up{", "a + "])
def test_what_prometheus_could_not_read_is_found(query: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        asked(query)


@pytest.mark.parametrize(
    "query", ["sum(sipagent_calls_now)", "sum by (region) (sipagent_calls_total)", 'up{zone="a"}']
)
def test_what_there_is_not_is_found(query: str) -> None:
    with pytest.raises(AssertionError):
        check(query)


def test_legends_name_labels_that_the_query_keeps() -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            kept = grouped(target["expr"]) | OF_PROMETHEUS
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= kept, panel["title"]


def test_panels_stand_beside_and_never_upon_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["description"] for panel in PANELS)


def test_the_dashboard_has_no_data_source_of_ones_own() -> None:
    sources = [panel["datasource"] for panel in PANELS]
    sources += [target["datasource"] for panel in PANELS for target in panel["targets"]]
    assert {source["uid"] for source in sources} == {"${datasource}"}
    assert "id" not in DASHBOARD, "it would be another one's"


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    text = json.dumps(DASHBOARD)
    names = {name for name in SHOWN if not name.endswith("_created")}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
    assert not {one for one in families if one.startswith("sipagent_") and one not in text}


def test_the_rules_are_everywhere_the_same() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    block = page.partition("## Rules for Prometheus\n")[2].split("```")[1]
    assert yaml.safe_load(block) == RULES
    (rule,) = documents(KUSTOMIZE / "components" / "monitoring" / "rules.yaml")
    assert rule["spec"] == RULES


def test_the_dashboard_is_everywhere_the_same() -> None:
    copy = KUSTOMIZE / "components" / "dashboard" / "sipagent.json"
    assert copy.read_bytes() == (DEPLOY / "grafana" / "sipagent.json").read_bytes()


def test_prometheus_of_the_project_reads_the_replicas_and_the_rules() -> None:
    (project,) = documents(COMPOSE / "compose.yaml")
    (found,) = documents(COMPOSE / "observe" / "prometheus.yaml")
    (job,) = found["scrape_configs"]
    (names,) = job["dns_sd_configs"]
    assert (names["names"], str(names["port"])) == (
        ["sipagent"],
        project["services"]["sipagent"]["environment"]["SIPAGENT_ADMIN_PORT"],
    )
    assert f'job="{job["job_name"]}"' in str(ALERTS)
    mounted = {
        one.split(":")[1] for one in project["services"]["prometheus"]["volumes"] if ":" in one
    }
    assert set(found["rule_files"]) <= mounted


def test_grafana_of_the_project_has_the_dashboard_and_its_source() -> None:
    (project,) = documents(COMPOSE / "compose.yaml")
    (sources,) = documents(COMPOSE / "observe" / "datasource.yaml")
    (providers,) = documents(COMPOSE / "observe" / "dashboards.yaml")
    (source,), (provider,) = sources["datasources"], providers["providers"]
    assert source["url"] == "http://prometheus:9090"
    mounted = dict(
        reversed(one.removesuffix(":ro").split(":"))
        for one in project["services"]["grafana"]["volumes"]
    )
    assert mounted[provider["options"]["path"]] == "../grafana"
    assert project["services"]["grafana"]["profiles"] == ["observe"]
