"""The Kubernetes objects: what would be applied is valid, and agrees with the service."""

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from sipagent import __version__
from sipagent.api.health import health_router
from sipagent.config import load
from sipagent.metrics import Metrics
from sipagent.settings import Settings
from tests.deploy.kustomize import Object, Tree, build
from tests.deploy.places import (
    COMPOSE,
    GOODBYES,
    KUSTOMIZE,
    documents,
    literal_secrets,
    schema,
    unknown,
    yaml_files,
)
from tests.image.recipe import stages

IMAGE = stages()[-1]
SECRETS = ("engine_url", "database_url", "privacy_key", "openai_api_key", "openai_webhook_secret")
LABELS = {"app.kubernetes.io/name": "sipagent"}
RULES = schema("prometheusrule")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose example has the secrets that an operator puts there."""
    copy = tmp_path_factory.mktemp("kustomize") / "kustomize"
    shutil.copytree(KUSTOMIZE, copy, ignore=shutil.ignore_patterns("secrets"))
    secrets = copy / "overlays" / "example" / "secrets"
    secrets.mkdir()
    for name in SECRETS:
        (secrets / name).write_text(f"{name} of an operator\n", "utf-8")
    return copy


@pytest.fixture(params=["base", "overlays/example"])
def tree(folder: Path, request: pytest.FixtureRequest) -> Tree:
    return Tree(build(folder / request.param))


@pytest.fixture
def example(folder: Path) -> Tree:
    return Tree(build(folder / "overlays" / "example"))


def one(tree: Tree, kind: str, name: str = "sipagent") -> Object:
    return tree.one(kind, name)


def pod(tree: Tree) -> Object:
    found: Object = one(tree, "Deployment")["spec"]["template"]["spec"]
    return found


def container(tree: Tree) -> Object:
    (found,) = pod(tree)["containers"]
    return dict(found)


def environment(tree: Tree) -> dict[str, str]:
    pairs = container(tree)["env"]
    assert all(pair.keys() == {"name", "value"} for pair in pairs)
    assert len({pair["name"] for pair in pairs}) == len(pairs)
    return {pair["name"]: pair["value"] for pair in pairs}


def test_every_file_is_read_by_some_kustomization() -> None:
    named = set()
    for path in KUSTOMIZE.rglob("kustomization.yaml"):
        (written,) = documents(path)
        for name in [*written.get("resources", ()), *written.get("components", ())]:
            named.add((path.parent / name).resolve())
        for patch in written.get("patches", ()):
            named.add((path.parent / patch.get("path", "kustomization.yaml")).resolve())
        for made in written.get("configMapGenerator", ()):
            named |= {(path.parent / name).resolve() for name in made["files"]}
    files = {p for p in yaml_files() if p.is_relative_to(KUSTOMIZE)}
    unread = {p for p in files if p.name != "kustomization.yaml"} - named
    assert not unread
    assert not {path for path in named if not path.exists()}


def test_what_is_applied_is_valid(tree: Tree) -> None:
    kubernetes, monitor = schema("kubernetes-1.30"), schema("servicemonitor")
    for found in tree.objects:
        root = kubernetes["roots"].get(f"{found['apiVersion']} {found['kind']}")
        others = {"ServiceMonitor": monitor, "PrometheusRule": RULES}
        whole = (
            {"$ref": f"#/$defs/{root}", "$defs": kubernetes["$defs"]}
            if root
            else others[found["kind"]]
        )
        jsonschema.Draft202012Validator(whole).validate(found)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "template", "spec", "terminationGraceSeconds"), 5),
        (("spec", "template", "spec", "terminationGracePeriodSeconds"), "5 s"),
        (("spec", "strategy", "rollingUpdate", "maxSurge"), [1]),
    ],
)
def test_a_word_or_a_value_that_kubernetes_does_not_know_is_found(
    example: Tree, path: tuple[str, ...], value: Any
) -> None:
    deployment = place = one(example, "Deployment")
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        test_what_is_applied_is_valid(Tree([deployment]))


def test_the_example_does_not_build_without_secrets_of_ones_own(folder: Path) -> None:
    for name in SECRETS:
        secret = folder / "overlays" / "example" / "secrets" / name
        kept = secret.read_bytes()
        secret.unlink()
        with pytest.raises(FileNotFoundError, match=name):
            build(folder / "overlays" / "example")
        secret.write_bytes(kept)


def test_what_is_mounted_is_what_the_variables_name(example: Tree) -> None:
    data = one(example, "Secret")["data"]
    assert data.keys() == set(SECRETS)
    assert base64.b64decode(data["engine_url"]) == b"engine_url of an operator\n"
    mounts = {mount["name"]: mount for mount in container(example)["volumeMounts"]}
    named = {v for n, v in environment(example).items() if n.endswith("_FILE")}
    assert named == {f"{mounts['secrets']['mountPath']}/{name}" for name in SECRETS}
    config = one(example, "ConfigMap", "sipagent-config")
    assert (
        f"{mounts['config']['mountPath']}/{next(iter(config['data']))}"
        == (environment(example)["SIPAGENT_CONFIG"])
    )
    volumes = {volume["name"]: volume for volume in pod(example)["volumes"]}
    assert volumes.keys() == mounts.keys()
    assert volumes["config"]["configMap"]["name"] == config["metadata"]["name"]
    assert volumes["secrets"]["secret"] == {"secretName": "sipagent", "defaultMode": 0o440}
    assert mounts["data"]["mountPath"] == environment(example)["SIPAGENT_DATA_DIR"]
    assert all(mounts[name]["readOnly"] for name in ("config", "secrets"))
    assert all("emptyDir" in volumes[name] for name in ("data", "tmp"))


def test_the_example_configuration_can_be_used() -> None:
    loaded = load(KUSTOMIZE / "base" / "config" / "agents.yaml", environment={})
    assert [agent for _, agent in loaded.table.agents] == ["reception"]


def test_every_variable_is_a_setting_and_none_is_a_secret(tree: Tree) -> None:
    assert not unknown(environment(tree))
    assert not literal_secrets(environment(tree))


def test_it_is_stopped_no_sooner_than_it_has_drained(tree: Tree) -> None:
    before = container(tree)["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = float(environment(tree)["SIPAGENT_DRAIN_TIMEOUT"])
    assert pod(tree)["terminationGracePeriodSeconds"] >= before + drain + GOODBYES + 5
    period = container(tree)["readinessProbe"]["periodSeconds"]
    assert before >= 2 * period, "it still takes webhooks while others learn that it leaves"


def test_probes_ask_what_is_there(tree: Tree) -> None:
    routes = {getattr(route, "path", "") for route in health_router(tuple, Metrics()).routes}
    probes = {
        name: container(tree)[f"{name}Probe"] for name in ("startup", "liveness", "readiness")
    }
    assert {probe["httpGet"]["path"] for probe in probes.values()} <= routes
    assert {name: probe["httpGet"]["path"] for name, probe in probes.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    port, _ = container(tree)["ports"]
    assert {probe["httpGet"]["port"] for probe in probes.values()} == {port["name"]}


def test_ports_agree_from_the_image_to_the_outside(example: Tree) -> None:
    port, admin = container(example)["ports"]
    assert str(port["containerPort"]) == IMAGE.one("EXPOSE").rest == environment(example)["PORT"]
    assert str(admin["containerPort"]) == environment(example)["SIPAGENT_ADMIN_PORT"]
    offered, inside = one(example, "Service")["spec"]["ports"]
    assert (offered["targetPort"], inside["targetPort"]) == (port["name"], admin["name"])
    (scraped,) = one(example, "ServiceMonitor")["spec"]["endpoints"]
    assert (scraped["port"], scraped["path"]) == (inside["name"], "/metrics")
    (rule,) = one(example, "Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert path["path"] == "/webhooks/"
    assert path["backend"]["service"] == {"name": "sipagent", "port": {"name": offered["name"]}}


def test_it_runs_as_the_image_does_and_with_no_more_rights(tree: Tree) -> None:
    user, group = IMAGE.one("USER").rest.split(":")
    rights = pod(tree)["securityContext"]
    assert rights["runAsNonRoot"] is True
    assert (str(rights["runAsUser"]), str(rights["runAsGroup"])) == (user, group)
    assert str(rights["fsGroup"]) == group, "or it could not read secrets nor write its data"
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(tree)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(tree)["automountServiceAccountToken"] is False
    assert pod(tree)["enableServiceLinks"] is False
    assert "cpu" not in container(tree)["resources"]["limits"]
    assert container(tree)["resources"]["limits"]["memory"]


def test_the_image_is_this_release(tree: Tree) -> None:
    name, tag = container(tree)["image"].rsplit(":", 1)
    assert (name.rsplit("/", 1)[-1], tag) == ("sipagent", __version__)


def selectors(found: Any) -> Iterator[Object]:
    """Every `matchLabels` that stands for the service's own pods."""
    if isinstance(found, dict):
        for key, value in found.items():
            if key == "matchLabels":
                yield value
            else:
                yield from selectors(value)
    elif isinstance(found, list):
        for value in found:
            yield from selectors(value)


def test_selectors_find_the_replicas_and_others_are_left_alone(example: Tree) -> None:
    assert one(example, "Deployment")["spec"]["template"]["metadata"]["labels"] == LABELS
    assert one(example, "Service")["spec"]["selector"] == LABELS
    assert one(example, "Service")["metadata"]["labels"] == LABELS, "the monitor looks for it"
    assert one(example, "NetworkPolicy")["spec"]["podSelector"] == {"matchLabels": LABELS}
    for kind in ("Deployment", "PodDisruptionBudget", "ServiceMonitor"):
        found = list(selectors(one(example, kind)))
        assert found
        assert all(labels == LABELS for labels in found), kind
    others = list(selectors(one(example, "NetworkPolicy")["spec"]["ingress"]))
    assert {"app.kubernetes.io/name": "prometheus"} in others
    assert LABELS not in others
    target = one(example, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert one(example, target["kind"], target["name"])["apiVersion"] == target["apiVersion"]


def reached(tree: Tree) -> dict[tuple[str, int], list[Object]]:
    """Where the policy lets the service go, by protocol and port."""
    return {
        (port["protocol"], port["port"]): rule["to"]
        for rule in one(tree, "NetworkPolicy")["spec"]["egress"]
        for port in rule["ports"]
    }


def used() -> set[int]:
    """The ports of the provider, and of Redis and PostgreSQL as the Compose project has them."""
    urls = re.findall(r"(?:redis|postgresql)://\S+/\w+", (COMPOSE / "make-secrets").read_text())
    ports = [urlsplit(url.replace("$password", "x")).port for url in urls]
    assert len(ports) == 2
    provider = urlsplit(Settings.model_fields["openai_base_url"].default)
    assert provider.scheme == "https"
    return {provider.port or 443, *(port for port in ports if port)}


def test_the_policy_lets_through_what_is_needed_and_no_more(tree: Tree) -> None:
    policy = one(tree, "NetworkPolicy")["spec"]
    assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
    ports = container(tree)["ports"]
    webhooks, metrics = policy["ingress"]
    for rule, port in zip((webhooks, metrics), ports, strict=True):
        assert rule["ports"] == [{"port": port["name"], "protocol": "TCP"}]
        assert all("namespaceSelector" in peer for peer in rule["from"])
    names = {("UDP", 53), ("TCP", 53)}
    assert reached(tree).keys() == names | {("TCP", port) for port in used()}
    assert all(peers for peers in reached(tree).values()), "an empty list is everybody"


def test_the_internet_does_not_include_what_is_inside(tree: Tree) -> None:
    blocks = [peer["ipBlock"] for peer in reached(tree)["TCP", 443]]
    assert {block["cidr"] for block in blocks} == {"0.0.0.0/0", "::/0"}
    excepted = {cidr for block in blocks for cidr in block["except"]}
    assert {"169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"} <= excepted


def test_a_deployment_and_an_emptied_node_take_one_at_a_time(tree: Tree) -> None:
    update = one(tree, "Deployment")["spec"]["strategy"]
    assert update == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    assert one(tree, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_there_are_three_and_with_the_autoscaler_their_number_is_its_own(folder: Path) -> None:
    base, example = Tree(build(folder / "base")), Tree(build(folder / "overlays" / "example"))
    assert one(base, "Deployment")["spec"]["replicas"] == 3
    assert "replicas" not in one(example, "Deployment")["spec"]
    assert one(example, "HorizontalPodAutoscaler")["spec"]["minReplicas"] == 3


def test_the_autoscaler_looks_at_the_gauge_that_the_service_has(example: Tree) -> None:
    scaler = one(example, "HorizontalPodAutoscaler")["spec"]
    (metric,) = scaler["metrics"]
    name = metric["pods"]["metric"]["name"]
    metrics = Metrics()
    metrics.observe_active(lambda: 7)
    assert f"\n{name} 7.0\n" in metrics.exposition().decode()
    held = int(metric["pods"]["target"]["averageValue"])
    assert held < int(environment(example)["SIPAGENT_MAX_CALLS"])
    assert scaler["behavior"]["scaleDown"]["policies"][0]["value"] == 1
