"""Whether the values of variables are what their declaration says."""

from collections.abc import Iterator, Mapping

from sipagent.config.findings import Complaint, Steps
from sipagent.config.schema.base import given
from sipagent.config.schema.persona import DeclaredVariable
from sipagent.config.words import quoted
from sipagent.sip import to_e164


def verify_declarations(
    declared: Mapping[str, str | DeclaredVariable], steps: Steps, region: str | None
) -> Iterator[Complaint]:
    """What is wrong with the values that an agent declares itself."""
    for name, variable in declared.items():
        if isinstance(variable, str):
            continue
        if {"default", "value"} <= variable.model_fields_set:
            where = (*steps, name, "default")
            hint = "a value of the agent's own is never replaced by a default"
            yield Complaint(where, "there is a value, too", hint, at_key=True)
        for key, value in (("default", variable.default), ("value", variable.value)):
            problem = None if given(value) is None else value_problem(value, variable, region)
            if problem is not None:
                yield Complaint((*steps, name, key), problem)


def value_problem(value: str | None, variable: DeclaredVariable, region: str | None) -> str | None:
    """Why the value cannot stand for the variable, or None."""
    if value is None:
        return None if given(variable.default) is not None else "is missing"
    if variable.type == "phone" and to_e164(value, region) is None:
        return f"{quoted(value)} is no telephone number"
    if variable.type == "number" and not _is_number(value):
        return f"{quoted(value)} is no number"
    return None


def is_declared_value(value: str | None, variable: DeclaredVariable) -> bool:
    """Whether the agent itself gives this value, of which is told where it is declared."""
    return value is not None and value in (variable.default, variable.value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii()
