"""JSON Schemas of the files, for editors and other tools: shapes, words and ranges.

They are made from the models of `config.schema`; what must fit together only the loader knows.
"""

import json
from enum import StrEnum
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from sipagent.config.schema import AgentsFile, AnyFile, Entry, NamespaceFile, TenantFile
from sipagent.config.schema.base import LANGUAGE_PATTERN

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class Kind(StrEnum):
    """Which of the files a schema describes."""

    AGENTS = "agents"
    TENANT = "tenant"
    NAMESPACE = "namespace"

    @property
    def file_name(self) -> str:
        return f"{self}.schema.json"


_MODELS: Final[dict[Kind, type[AnyFile]]] = {
    Kind.AGENTS: AgentsFile,
    Kind.TENANT: TenantFile,
    Kind.NAMESPACE: NamespaceFile,
}
_TITLES: Final = {
    Kind.AGENTS: "sipagent: the operator's main file, config/agents.yaml",
    Kind.TENANT: "sipagent: a tenant's file",
    Kind.NAMESPACE: "sipagent: agents that files share",
}
_NUMBER: Final = "Number"
_TABLE: Final = {
    "description": (
        "Tables of numbers: a path of CSV files such as numbers/{env}/*.csv, in which {env} is the"
        " variable SIPAGENT_ENV."
    ),
    "type": "string",
    "pattern": r"\S",
}
_DEFAULT: Final = "A call to any other number, and to numbers none of whose rules holds."


def _one_of(*keys: str) -> dict[str, Any]:
    return {"oneOf": [{"required": [key]} for key in keys]}


_NARROWER: Final[dict[str, dict[str, Any]]] = {
    "ToolWith": {"minProperties": 1, "maxProperties": 1},
    "When": {"minProperties": 1},
    "WhenHeader": _one_of("equals", "prefix"),
    "TrunkSecret": _one_of("file", "value"),
    "AzureAccount": _one_of("api_keys", "entra"),
}
"""What the loader asks of these mappings beside their keys."""


def schema_of(kind: Kind) -> dict[str, Any]:
    """The schema of one kind of file, draft 2020-12."""
    made = _MODELS[kind].model_json_schema(schema_generator=_Generator)
    definitions = made.setdefault("$defs", {})
    if "numbers" in made["properties"]:
        _spell_out_numbers(made, table=kind is Kind.AGENTS)
    if kind is Kind.AGENTS:
        needed = ("agents", "tenants", "include")
        made["anyOf"] = [{"required": [key]} for key in needed]
        made["properties"]["numbers"]["minProperties"] = 1
    _tidy(made)
    for name, more in _NARROWER.items():
        if name in definitions:
            definitions[name] |= more
    if "OpenAIAccount" in definitions:  # `provider` chooses, so that no account is of both kinds
        definitions["OpenAIAccount"]["properties"]["provider"]["enum"] = ["openai"]
    return {"$schema": _DIALECT, "title": _TITLES[kind], **made}


def schema_text(kind: Kind) -> str:
    """The schema as it stands in its file."""
    return as_text(schema_of(kind))


def schema_of_model(model: type[Entry], title: str) -> dict[str, Any]:
    """The schema of any file that is read as these are, draft 2020-12."""
    made = model.model_json_schema(schema_generator=_Generator)
    _tidy(made)
    return {"$schema": _DIALECT, "title": title, **made}


def as_text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


class _Generator(GenerateJsonSchema):
    """Without the defaults that stand for a key that was not written."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        made = self.generate_inner(schema["schema"])
        default = schema.get("default")
        return {**made, "default": default} if isinstance(default, str | int | float) else made

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _spell_out_numbers(made: dict[str, Any], *, table: bool) -> None:
    """`numbers` has two keys that are no numbers."""
    numbers = made["properties"]["numbers"]
    made["$defs"][_NUMBER] = numbers["additionalProperties"]
    entry = {"$ref": f"#/$defs/{_NUMBER}"}
    if not table:
        numbers["additionalProperties"] = entry
        return
    default = {**entry, "description": _DEFAULT}
    numbers["properties"] = {"table": _TABLE, "default": default}
    numbers["additionalProperties"] = entry


def _tidy(node: Any) -> None:
    """Close mappings of names, and leave out the names of our classes."""
    if isinstance(node, list):
        for item in node:
            _tidy(item)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("title"), str):
        del node["title"]
    patterns = node.get("patternProperties")
    if isinstance(patterns, dict) and node.get("type") == "object":
        node.setdefault("additionalProperties", False)
        if LANGUAGE_PATTERN in patterns:
            node["minProperties"] = 1
    for value in node.values():
        _tidy(value)
