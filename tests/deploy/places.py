"""Where the files of deploy/ are, and what is asked of all of them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sipagent.sessions import supervisor
from sipagent.settings import DATABASE_VARIABLE, Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose"
KUSTOMIZE = DEPLOY / "kustomize"
EXAMPLE = KUSTOMIZE / "overlays" / "example"
SCHEMAS = ROOT / "tests" / "data" / "deploy"

GOODBYES = supervisor._LAST_WORDS
"""Seconds that goodbyes may take after the drain's time is over."""


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))


def documents(path: Path) -> list[Any]:
    return list(yaml.safe_load_all(path.read_text("utf-8")))


def yaml_files() -> list[Path]:
    """Every YAML file that deploy/ has, without what an operator has put there."""
    return sorted(
        path
        for path in DEPLOY.rglob("*")
        if path.suffix in (".yaml", ".yml") and "secrets" not in path.parts
    )


def settings() -> frozenset[str]:
    """The variables that the service reads."""
    names = {str(one.validation_alias) for one in Settings.model_fields.values()}
    assert DATABASE_VARIABLE in names
    return frozenset(names | {f"{name}_FILE" for name in names})


def unknown(environment: Mapping[str, Any]) -> set[str]:
    """Variables that nobody would read."""
    return set(environment) - settings()


def literal_secrets(environment: Mapping[str, Any]) -> list[str]:
    """Variables that hold a secret themselves: those whose setting is one, or an address with a
    password."""
    secret = {
        str(one.validation_alias)
        for one in Settings.model_fields.values()
        if "SecretStr" in str(one.annotation)
    } | {"SIPAGENT_ENGINE"}
    return sorted(name for name in environment if name in secret)


def seconds(text: str) -> float:
    """`300`, `360s`, `6m`."""
    found = re.fullmatch(r"([0-9]+)(s|m|h|)", text)
    assert found, text
    return int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]
