"""What `kubectl kustomize` makes of a folder, as far as deploy/kustomize uses it.

A word that this does not know is an error, not nothing: what is tested is what would be applied.
"""

import base64
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

_WORDS = {
    "apiVersion",
    "kind",
    "resources",
    "components",
    "namespace",
    "images",
    "configMapGenerator",
    "secretGenerator",
    "patches",
}
_KEYS = {
    "containers": "name",
    "env": "name",
    "ports": "containerPort",
    "volumes": "name",
    "volumeMounts": "mountPath",
}
"""By what the items of a list are told apart in a strategic merge; other lists are replaced."""


def build(folder: Path) -> list[Object]:
    """The objects that a folder stands for. Raises OSError where a file that it names is not there,
    as Kustomize does."""
    tree = Tree()
    tree.read(folder)
    return tree.objects


@dataclass
class Tree:
    objects: list[Object] = field(default_factory=list)

    def read(self, folder: Path) -> None:
        written = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
        assert written.keys() <= _WORDS, written.keys() - _WORDS
        for name in written.get("resources", ()):
            self._resource(folder / name)
        self._generate(folder, written.get("configMapGenerator", ()), "ConfigMap")
        self._generate(folder, written.get("secretGenerator", ()), "Secret")
        for name in written.get("components", ()):
            self.read(folder / name)
        for patch in written.get("patches", ()):
            self._patch(folder, patch)
        for image in written.get("images", ()):
            self._image(image)
        if namespace := written.get("namespace"):
            for one in self.objects:
                one["metadata"]["namespace"] = namespace

    def _resource(self, path: Path) -> None:
        if not path.is_dir():
            self.objects += [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one]
            return
        inner = Tree()
        inner.read(path)
        self.objects += inner.objects

    def _generate(self, folder: Path, generators: Any, kind: str) -> None:
        for generator in generators:
            assert generator.keys() == {"name", "files", "options"}
            options = generator["options"]
            assert options.keys() <= {"disableNameSuffixHash", "labels"}
            assert options["disableNameSuffixHash"] is True
            contents = {
                Path(name).name: (folder / name).read_bytes() for name in generator["files"]
            }
            made: Object = {
                "apiVersion": "v1",
                "kind": kind,
                "metadata": {"name": generator["name"]},
            }
            if labels := options.get("labels"):
                made["metadata"]["labels"] = labels
            if kind == "Secret":
                made["type"] = "Opaque"
                made["data"] = {n: base64.b64encode(c).decode() for n, c in contents.items()}
            else:
                made["data"] = {name: content.decode() for name, content in contents.items()}
            self.objects.append(made)

    def _patch(self, folder: Path, patch: Object) -> None:
        assert patch.keys() <= {"path", "patch", "target"}
        text = patch.get("patch") or (folder / patch["path"]).read_text("utf-8")
        change = yaml.safe_load(text)
        if isinstance(change, list):
            target = self.one(patch["target"]["kind"], patch["target"]["name"])
            for step in change:
                _step(target, **step)
        else:
            _merge(self.one(change["kind"], change["metadata"]["name"]), change)

    def _image(self, image: Object) -> None:
        assert image.keys() == {"name", "newName", "newTag"}
        for one in self.objects:
            for container in _containers(one):
                if container["image"].partition(":")[0] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"

    def one(self, kind: str, name: str) -> Object:
        (found,) = (
            one for one in self.objects if (one["kind"], one["metadata"]["name"]) == (kind, name)
        )
        return found


def _containers(one: Object) -> list[Object]:
    found: list[Object] = (
        one.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
        if one["kind"] == "Deployment"
        else []
    )
    return found


def _step(target: Object, op: str, path: str, value: Any = None) -> None:
    """One operation of a JSON patch (RFC 6902) on what exists."""
    *way, last = path.lstrip("/").split("/")
    place: Any = target
    for key in way:
        place = place[int(key)] if isinstance(place, list) else place[key]
    at: Any = int(last) if isinstance(place, list) else last
    place[at]  # what is not there can neither be replaced nor removed
    if op == "replace":
        place[at] = deepcopy(value)
    else:
        assert op == "remove", op
        del place[at]


def _merge(base: Object, change: Object) -> None:
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        elif isinstance(value, list) and key in _KEYS and key in base:
            base[key] = _merged(base[key], value, _KEYS[key])
        else:
            base[key] = deepcopy(value)


def _merged(base: list[Object], change: list[Object], key: str) -> list[Object]:
    """What is new comes first, as Kustomize has it."""
    known = {item[key]: item for item in base}
    for item in change:
        if item[key] in known:
            _merge(known[item[key]], item)
    return [deepcopy(item) for item in change if item[key] not in known] + base
