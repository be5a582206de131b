"""A plan with every noun that it may hold is read as it was written."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipagent.engine.claims import decision_from_json, decision_to_json
from sipagent.model import Accept, CallPlan, Decision

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
PLAIN: Mapping[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    float: st.floats(min_value=0, max_value=1e9, allow_nan=False),
    int: st.integers(0, 2**31),
    bool: st.booleans(),
    type(None): st.none(),
    Any: JSON,
}
HINTS = get_type_hints(CallPlan)


def any_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a type that a plan is made of."""
    if hint in PLAIN:
        return PLAIN[hint]
    if isinstance(hint, NewType):
        return any_of(hint.__supertype__)
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        chosen = {each.name: any_of(hints[each.name]) for each in fields(hint) if each.init}
        return st.builds(hint, **chosen)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    return _of_several(get_origin(hint), get_args(hint))


def _of_several(origin: Any, parts: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if origin is Literal:
        return st.sampled_from(parts)
    if origin in (Union, UnionType):
        return st.one_of(*map(any_of, parts))
    if origin is tuple and parts[-1] is Ellipsis:
        return st.lists(any_of(parts[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(any_of, parts))
    assert issubclass(origin, Mapping)
    return st.dictionaries(*map(any_of, parts), max_size=2)


PLANS = st.fixed_dictionaries({name: any_of(hint) for name, hint in HINTS.items()})


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(PLANS)
def test_a_plan_is_read_as_it_was_written(values: Mapping[str, Any]) -> None:
    decision = Decision(Accept(CallPlan(**values)), ())

    assert decision_from_json(decision_to_json(decision)) == decision
