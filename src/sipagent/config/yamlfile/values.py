"""From a tree to plain data: scalars that can be sent, variables expanded, and no secrets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sipagent.config.findings import Findings, Place, Steps
from sipagent.config.outline import Outline
from sipagent.config.schema import Expandable
from sipagent.config.words import is_secret, quoted
from sipagent.config.yamlfile.document import Document, Listing, Node, Scalar, Table
from sipagent.config.yamlfile.scalars import NotANumberError, Value, core_value

_VARIABLE: Final = re.compile(r"(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_TENANT_HINT: Final = "a tenant's file does not see the environment; the operator grants secrets"
_WHERE_HINT: Final = (
    "it is read in secret, URL, header-value and path fields only; $${...} are the characters"
)


_UNKNOWN: Final = Outline(expandable=Expandable(secret=True))
"""What stands below a key that does not exist, which is told, is not judged any further."""


def to_data(
    document: Document, findings: Findings, outline: Outline, environment: Mapping[str, str] | None
) -> dict[str, Any]:
    """The file as dicts, lists, text, numbers, booleans and None.

    `environment` is what `${NAME}` reads; None in a file that may not read it.
    """
    return _Reading(findings, environment).table(document.root, (), outline)


@dataclass(frozen=True, slots=True)
class _Reading:
    findings: Findings
    environment: Mapping[str, str] | None

    def value(self, node: Node, steps: Steps, outline: Outline | None) -> Any:
        match node:
            case Scalar():
                return self.scalar(node, steps, outline)
            case Listing(items=items):
                return [
                    self.value(item, (*steps, at), outline and outline.below(at))
                    for at, item in enumerate(items)
                ]
            case Table():
                return self.table(node, steps, outline)

    def table(self, table: Table, steps: Steps, outline: Outline | None) -> dict[str, Any]:
        data = {}
        for key, (place, node) in table.rows.items():
            below = (*steps, key)
            if is_secret(key):
                self.refuse_secret(place, below)
            data[key] = self.value(node, below, _below(outline, key))
        return data

    def scalar(self, node: Scalar, steps: Steps, outline: Outline | None) -> Value:
        if is_secret(node.text):
            self.refuse_secret(node.place, steps)
        if "${" in node.text:
            return self.expanded(node, steps, outline)
        if not node.plain:
            return node.text
        try:
            return core_value(node.text)
        except NotANumberError:
            hidden = outline is not None and outline.holds_secrets
            shown = "this number" if hidden else f"the number {quoted(node.text)}"
            what = f"{shown} cannot be kept exactly"
            self.findings.add(node.place, steps, what, "put it in quotes if it is text")
            return node.text

    def expanded(self, node: Scalar, steps: Steps, outline: Outline | None) -> str:
        mark = None if outline is None else outline.expandable

        def found(match: re.Match[str]) -> str:
            escape, name, otherwise = match.groups()
            if escape:
                return match[0][1:]
            what = f"${{{name}}} cannot be read here"
            if self.environment is None:
                self.findings.add(node.place, steps, what, _TENANT_HINT)
            elif mark is None:
                self.findings.add(node.place, steps, what, _WHERE_HINT)
            elif mark.secret:
                return match[0]
            elif (value := self.environment.get(name) or otherwise) is None:
                what = f"the environment has no variable {name}"
                hint = f"set it, or write ${{{name}:-text}}"
                self.findings.add(node.place, steps, what, hint)
            else:
                return value
            return match[0]

        return _VARIABLE.sub(found, node.text)

    def refuse_secret(self, place: Place, steps: Steps) -> None:
        hint = "write ${NAME} or {file: path} where a secret belongs"
        what = "this looks like a secret, which must not stand in the file"
        self.findings.add(place, steps, what, hint)


def _below(outline: Outline | None, key: str) -> Outline | None:
    if outline is None:
        return None
    if outline.keys and outline.each is None and key not in outline.keys and not outline.hidden:
        return _UNKNOWN
    return outline.below(key)
