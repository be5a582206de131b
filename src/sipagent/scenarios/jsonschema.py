"""The JSON Schema of scenario files, for editors."""

from typing import Any, Final

from sipagent.config.report.jsonschema import as_text, schema_of_model
from sipagent.scenarios.schema import ScenarioFile

FILE_NAME: Final = "scenario.schema.json"


def scenario_schema() -> dict[str, Any]:
    """The schema, draft 2020-12."""
    return schema_of_model(ScenarioFile, "sipagent: a scenario, one rehearsed call")


def scenario_schema_text() -> str:
    """The schema as it stands in its file."""
    return as_text(scenario_schema())
