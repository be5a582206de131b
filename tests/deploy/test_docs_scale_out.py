"""docs/scale-out.md says what deploy/ has."""

import re

from tests.deploy.places import COMPOSE, EXAMPLE, KUSTOMIZE, ROOT, documents
from tests.deploy.test_compose import VARIABLE, project

PAGE = (ROOT / "docs" / "scale-out.md").read_text("utf-8")


def anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert links
    for link in links:
        name, _, place = link.partition("#")
        target = ROOT / "docs" / (name or "scale-out.md")
        assert target.exists(), link
        headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
        assert not place or place in map(anchor, headings), link


def test_every_variable_of_the_project_is_described_with_its_default() -> None:
    text = (COMPOSE / "compose.yaml").read_text("utf-8")
    found = {one["name"]: one["default"] for one in VARIABLE.finditer(text)}
    _, _, table = PAGE.partition("| in the environment or `.env` |")
    table = table.partition("\n\n")[0]
    assert found.keys() <= set(re.findall(r"`([A-Z_]{3,})`", table))
    for name, default in found.items():
        if name.startswith("DEPLOY_"):
            assert f"`{default}`" in table, name


def test_the_secrets_that_the_example_wants_are_named() -> None:
    (written,) = documents(EXAMPLE / "kustomization.yaml")
    (secret,) = written["secretGenerator"]
    for name in secret["files"]:
        assert name.partition("/")[2] in PAGE
    for name in project()["services"]["sipagent"]["secrets"]:
        assert name in {file.partition("/")[2] for file in secret["files"]}


def test_the_users_of_redis_and_the_times_are_those_of_the_files() -> None:
    assert "`~{sip}:* &{sip}:* +@all -@dangerous`" in PAGE
    users = (COMPOSE / "make-secrets").read_text("utf-8")
    assert "resetkeys ~{sip}:* resetchannels &{sip}:* +@all -@dangerous\n" in users
    (deployment,) = documents(KUSTOMIZE / "base" / "deployment.yaml")
    pod = deployment["spec"]["template"]["spec"]
    assert f"after {pod['terminationGracePeriodSeconds']} s from 3 on" in PAGE
    assert f"after {project()['services']['sipagent']['stop_grace_period']}".rstrip("s") in PAGE
    assert f"it is ready for {deployment['spec']['minReadySeconds']} s" in PAGE
    (container,) = pod["containers"]
    seconds = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert f"taking webhooks for {seconds} s (`preStop`)" in PAGE
    for part in ("base", "components/autoscaling", "components/monitoring", "overlays/example"):
        assert f"| `{part}` |" in PAGE
        assert (KUSTOMIZE / part / "kustomization.yaml").exists()
