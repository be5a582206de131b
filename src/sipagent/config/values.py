"""From a tree to plain data, with scalars that can be sent and no secrets."""

from typing import Any

from sipagent.config.document import Document, Listing, Node, Scalar, Table
from sipagent.config.findings import Findings, Place, Steps
from sipagent.config.scalars import NotANumberError, Value, core_value
from sipagent.config.words import is_secret, quoted


def to_data(document: Document, findings: Findings) -> dict[str, Any]:
    """The file as dicts, lists, text, numbers, booleans and None."""
    return _table(document.root, (), findings)


def _value(node: Node, steps: Steps, findings: Findings) -> Any:
    match node:
        case Scalar():
            return _scalar(node, steps, findings)
        case Listing(items=items):
            return [_value(item, (*steps, i), findings) for i, item in enumerate(items)]
        case Table():
            return _table(node, steps, findings)


def _table(table: Table, steps: Steps, findings: Findings) -> dict[str, Any]:
    data = {}
    for key, (place, node) in table.rows.items():
        if is_secret(key):
            _refuse_secret(place, (*steps, key), findings)
        data[key] = _value(node, (*steps, key), findings)
    return data


def _scalar(node: Scalar, steps: Steps, findings: Findings) -> Value:
    if is_secret(node.text):
        _refuse_secret(node.place, steps, findings)
    if not node.plain:
        return node.text
    try:
        return core_value(node.text)
    except NotANumberError:
        what = f"the number {quoted(node.text)} cannot be kept exactly"
        findings.add(node.place, steps, what, "put it in quotes if it is text")
        return node.text


def _refuse_secret(place: Place, steps: Steps, findings: Findings) -> None:
    hint = "secrets come from the environment: OPENAI_API_KEY, OPENAI_WEBHOOK_SECRET"
    findings.add(place, steps, "this looks like a secret, which must not stand in the file", hint)
