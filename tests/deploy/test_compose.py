"""The Compose project: valid, and in agreement with the image, the service and its own files."""

import hashlib
import os
import re
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest

from sipagent import __version__
from sipagent.api.health import health_router
from sipagent.metrics import Metrics
from tests.deploy.places import (
    COMPOSE,
    GOODBYES,
    documents,
    literal_secrets,
    schema,
    seconds,
    settings,
    unknown,
)
from tests.image.recipe import ROOT, stages

IMAGE = stages()[-1]
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+):-(?P<default>[^}]*)\}")
BALANCER = (COMPOSE / "haproxy.cfg").read_text("utf-8")


def filled(found: Any, given: Mapping[str, str]) -> Any:
    """With the variables filled in, as Compose does before it looks at the rest."""
    if isinstance(found, dict):
        return {key: filled(value, given) for key, value in found.items()}
    if isinstance(found, list):
        return [filled(value, given) for value in found]
    if isinstance(found, str):
        text = VARIABLE.sub(lambda one: given.get(one["name"]) or one["default"], found)
        assert "$" not in text, f"a variable without a default: {found}"
        return text
    return found


def project(**given: str) -> Any:
    (found,) = documents(COMPOSE / "compose.yaml")
    return filled(found, given)


def service(name: str, **given: str) -> Any:
    return project(**given)["services"][name]


def test_it_is_valid_with_its_defaults_and_with_ones_own() -> None:
    check = jsonschema.Draft202012Validator(schema("compose"))
    check.validate(project())
    check.validate(project(DEPLOY_REPLICAS="5", DEPLOY_STOP_GRACE="61m", DEPLOY_MEMORY="2g"))


def test_a_word_that_compose_does_not_know_is_found() -> None:
    wrong = project()
    wrong["services"]["redis"]["stop_grace"] = "5s"
    with pytest.raises(jsonschema.ValidationError, match="stop_grace"):
        jsonschema.Draft202012Validator(schema("compose")).validate(wrong)


def test_there_are_three_replicas_behind_a_balancer_with_two_databases() -> None:
    always = {name for name, one in project()["services"].items() if not one.get("profiles")}
    assert always == {"balancer", "sipagent", "redis", "postgres"}
    assert service("sipagent")["deploy"]["replicas"] == "3"
    assert "ports" not in service("sipagent"), "one port cannot be published three times"
    assert "container_name" not in service("sipagent")


def test_every_variable_is_a_setting_or_of_this_file() -> None:
    text = (COMPOSE / "compose.yaml").read_text("utf-8")
    named = {one["name"] for one in VARIABLE.finditer(text)}
    assert {name for name in named if not name.startswith("DEPLOY_")} <= settings()
    assert not unknown(service("sipagent")["environment"])
    for name, value in service("sipagent", **dict.fromkeys(named, "mine"))["environment"].items():
        assert name not in named or value == "mine", f"{name} is not handed on"


def test_secrets_are_files_and_every_file_is_mounted() -> None:
    environment = service("sipagent")["environment"]
    assert not literal_secrets(environment)
    paths = {value for name, value in environment.items() if name.endswith("_FILE")}
    assert paths == {f"/run/secrets/{name}" for name in service("sipagent")["secrets"]}
    used = [name for one in project()["services"].values() for name in one.get("secrets", ())]
    assert sorted(used) == sorted(project()["secrets"]), "each has exactly one reader"
    for name, secret in project(DEPLOY_SECRETS_DIR="/mine")["secrets"].items():
        assert secret == {"file": f"/mine/{name}"}
    for one in project()["services"].values():
        words = " ".join(str(value) for value in one.get("environment", {}).values())
        assert not re.search(r"://[^/\s]*@", words)


def test_it_is_stopped_no_sooner_than_it_has_drained() -> None:
    found = service("sipagent")
    drain = float(found["environment"]["SIPAGENT_DRAIN_TIMEOUT"])
    assert seconds(found["stop_grace_period"]) >= drain + GOODBYES + 5
    assert found["environment"]["SIPAGENT_DRAIN"] == "handover"


def test_it_runs_as_the_image_does_and_with_no_more_rights() -> None:
    found = service("sipagent")
    assert found["user"] == IMAGE.one("USER").rest
    assert found["image"] == f"sipagent:{__version__}"
    assert (COMPOSE / found["build"] / "Dockerfile").exists()
    for name in ("balancer", "sipagent", "redis", "prometheus", "grafana"):
        assert service(name)["read_only"] is True
        assert service(name)["cap_drop"] == ["ALL"]
    for one in project()["services"].values():
        assert one["security_opt"] == ["no-new-privileges:true"]
    places = [volume.split(":") for volume in found["volumes"]]
    assert ["../../config", "/config", "ro"] in places
    assert (COMPOSE / "../../config/agents.yaml").exists()
    assert IMAGE.one("VOLUME").exec_form in places, "its own, not one that replicas share"


def test_the_databases_cannot_be_reached_from_outside() -> None:
    networks = project()["networks"]
    assert networks["inside"] == {"internal": True}
    for name in ("redis", "postgres"):
        assert service(name)["networks"] == ["inside"]
        assert "ports" not in service(name)
    assert sorted(service("sipagent")["networks"]) == ["inside", "outside"]
    assert service("balancer")["networks"] == ["outside"]
    assert networks["observing"] == {"internal": True}
    assert service("prometheus")["networks"] == ["inside", "observing"]
    assert service("grafana")["networks"] == ["outside", "observing"]
    for name in ("redis", "postgres"):
        assert service("sipagent")["depends_on"][name] == {"condition": "service_healthy"}
        assert service(name)["healthcheck"]["test"]


def test_what_is_mounted_is_there_and_what_is_kept_has_a_volume() -> None:
    for name, one in project()["services"].items():
        for volume in one["volumes"]:
            source, _, rest = volume.partition(":")
            if source.startswith("."):
                assert (COMPOSE / source).exists(), volume
            elif rest:
                assert source in project()["volumes"], (name, volume)
    assert {"redis:/data", "postgres:/var/lib/postgresql"} <= {
        volume for one in project()["services"].values() for volume in one["volumes"]
    }
    assert service("redis")["command"][2:] == ["--dir", "/data"]


def test_the_balancer_sends_webhooks_to_what_is_ready() -> None:
    routes = {getattr(route, "path", "") for route in health_router(tuple, Metrics()).routes}
    (asked,) = set(re.findall(r"^\s+http-check send meth GET uri (\S+)$", BALANCER, re.MULTILINE))
    assert asked == "/readyz"
    assert asked in routes
    assert re.search(r"^\s+http-check expect status 200$", BALANCER, re.MULTILINE)
    servers = r"^\s+server-template (\w+) (\d+) (\w+):(\d+)$"
    (_, slots, host, port), operators = re.findall(servers, BALANCER, re.MULTILINE)
    assert operators[1:3] == (slots, host)
    assert operators[3] == service("sipagent")["environment"]["SIPAGENT_ADMIN_PORT"]
    assert host in project()["services"]
    assert port == IMAGE.one("EXPOSE").rest == service("sipagent")["environment"]["PORT"]
    assert int(slots) >= 2 * int(service("sipagent")["deploy"]["replicas"]), "both while it rolls"
    assert re.search(r"default-server check .*\bfall 1\b", BALANCER)
    assert "http-request return status 404 unless webhook" in BALANCER
    assert "acl webhook path_beg /webhooks/" in BALANCER


def test_the_balancer_sends_nothing_twice_and_sticks_to_nobody() -> None:
    assert re.findall(r"^\s+retry-on (.*)$", BALANCER, re.MULTILINE) == ["conn-failure"]
    assert "option redispatch 1" in BALANCER
    assert not re.search(r"^\s+(cookie|stick|balance source|hash-type)", BALANCER, re.MULTILINE)


def test_the_balancer_is_published_and_asked_where_it_listens() -> None:
    bound, operators = re.findall(r"^\s+bind :(\d+)$", BALANCER, re.MULTILINE)
    (alive,) = re.findall(r"^\s+monitor-uri (\S+)$", BALANCER, re.MULTILINE)
    assert service("balancer")["ports"] == [
        f"127.0.0.1:8080:{bound}",
        f"127.0.0.1:9090:{operators}",
    ]
    assert service("balancer")["healthcheck"]["test"][-1] == f"http://127.0.0.1:{bound}{alive}"


def make_secrets(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMPOSE / "make-secrets"],
        env={"PATH": os.environ["PATH"], "DEPLOY_SECRETS_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_passwords_are_made_once_and_agree_with_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    told = make_secrets(folder)
    assert told.returncode == 1
    assert re.findall(r": (\w+)$", told.stderr, re.MULTILINE) == [
        "openai_api_key",
        "openai_webhook_secret",
    ]
    for name in ("openai_api_key", "openai_webhook_secret"):
        (folder / name).write_text("mine\n", "utf-8")
    made = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    assert made.keys() == project()["secrets"].keys()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444 for path in folder.iterdir())
    engine, records = urlsplit(made["engine_url"].strip()), urlsplit(made["database_url"].strip())
    assert (engine.scheme, engine.username, engine.hostname, engine.port) == (
        "redis",
        "sipagent",
        "redis",
        6379,
    )
    assert engine.password
    assert hashlib.sha256(engine.password.encode()).hexdigest() in made["redis_users"]
    assert engine.password not in made["redis_users"]
    assert records.password == made["postgres_password"].strip() != engine.password
    inside = service("postgres")["environment"]
    assert (records.username, records.path) == (
        inside["POSTGRES_USER"],
        f"/{inside['POSTGRES_DB']}",
    )
    assert (records.hostname, records.port) == ("postgres", 5432)
    assert len(made["privacy_key"]) >= 16
    assert make_secrets(folder).returncode == 0
    assert {path.name: path.read_text("utf-8") for path in folder.iterdir()} == made


def test_no_secret_of_ones_own_is_committed_or_put_into_the_image() -> None:
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert {"/deploy/compose/secrets/", "/deploy/kustomize/overlays/*/secrets/", ".env"} <= set(
        ignored
    )
    assert (ROOT / ".dockerignore").read_text("utf-8").splitlines()[1] == "*"
