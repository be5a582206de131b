"""An agent's leaves from all the places that they may come from, each with where it stands.

Later ones win, a leaf as a whole: `defaults`, the entry under `models`, the agent that is extended,
the agent itself.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from sipagent.config.findings import Complaint, Steps
from sipagent.config.gathering import Gathered, SourceFile
from sipagent.config.rules import verify_leaf
from sipagent.config.schema import AgentsFile, Entry
from sipagent.config.schema.base import given
from sipagent.config.session import verify_patch
from sipagent.config.spaces import Named, Space
from sipagent.config.variables import verify_declarations

MAX_EXTENDED: Final = 8
"""How many agents may extend one another."""

NOT_LEAVES: Final = frozenset({"region", "rules", "vars", "extends", "fallback", "callers"})
"""Keys beside an agent's leaves that are told for themselves."""


class Leaf(NamedTuple):
    """A leaf's value, and where it stands."""

    value: Any
    steps: Steps
    source: SourceFile[Any]

    def complain(self, message: str, hint: str | None = None, *more: str | int) -> None:
        self.source.complain(Complaint((*self.steps, *more), message, hint))


Leaves = Mapping[str, Leaf]


class Ancestry(NamedTuple):
    """An agent and those that it extends, the most general first. `broken` says that one of them
    cannot be had, which has been told; `circular`, that it is one of those before."""

    agents: tuple[Named, ...]
    broken: bool = False
    circular: bool = False


def ancestry(space: Space, reference: str) -> Ancestry:
    """The chain of `extends`, without complaints: `verify_extends` has them."""
    chain: list[Named] = []
    seen: set[tuple[int, str]] = set()
    here, name = space, reference
    while True:
        found = here.find("agents", name)
        key = None if found is None else (id(found.source), str(found.steps[-1]))
        if found is None or key is None or key in seen:
            circular = found is not None
            return Ancestry(tuple(reversed(chain)), broken=True, circular=circular)
        seen.add(key)
        chain.append(found)
        if "extends" not in found.value.model_fields_set:
            return Ancestry(tuple(reversed(chain)))
        # A name without a namespace means one of the file in which it is written.
        here, name = Space(space.tenant, found.source, space.gathered), found.value.extends


def leaves_of(space: Space, chain: Ancestry) -> dict[str, Leaf]:
    """The leaves that an agent has."""
    main = space.gathered.main
    kept = space.gathered.leaves
    last = chain.agents[-1]
    key = (id(last.source), str(last.steps[-1]))
    if key not in kept:
        kept[key] = _leaves_of(chain, main)
    found: dict[str, Leaf] = kept[key]
    return found


def _leaves_of(chain: Ancestry, main: SourceFile[AgentsFile]) -> dict[str, Leaf]:
    own = [_written(named.value, named.steps, named.source) for named in chain.agents]
    defaults = _written(main.draft.file.defaults, ("defaults",), main)
    model = next(
        (leaves["model"] for leaves in [*reversed(own), defaults] if "model" in leaves), None
    )
    chosen: dict[str, Leaf] = {}
    if model is not None and model.value in main.draft.file.models:
        entry = main.draft.file.models[model.value]
        chosen = _written(entry, ("models", model.value), main)
    merged = dict(defaults)
    merged.pop("model", None)
    if model is not None:
        merged["model"] = model
    for leaves in (chosen, *own):
        merged |= leaves
    if "model" in chosen:
        merged["model"] = chosen["model"]
    return merged


def spare_leaves(leaves: Leaves, main: SourceFile[AgentsFile]) -> Leaves | None:
    """The agent's leaves with the model that is used when its own one fails: with all that stands
    under `models` for that one, as far as the agent does not write its own. None without one."""
    if "model" not in leaves:
        return None
    section, name, *_ = (*leaves["model"].steps, "")
    models = main.draft.file.models
    entry = models.get(str(name)) if section == "models" else None
    fallback = None if entry is None else given(entry.fallback)
    if fallback is None or fallback not in models:
        return None
    spare = _written(models[fallback], ("models", fallback), main)
    own = {key: leaf for key, leaf in leaves.items() if leaf.steps[0] == "agents"}
    own.pop("model", None)
    return {**leaves, **spare, **own}


def _written(entry: Entry, steps: Steps, source: SourceFile[Any]) -> dict[str, Leaf]:
    return {
        leaf: Leaf(value, (*steps, leaf), source)
        for leaf, value in entry.written().items()
        if leaf not in NOT_LEAVES
    }


def lacks(chain: Ancestry, space: Space, leaf: str) -> bool:
    """Whether the leaf was written somewhere on its way and left out as wrong."""
    if space.gathered.main.draft.lacks(("defaults", leaf)):
        return True
    return any(named.source.draft.lacks((*named.steps, leaf)) for named in chain.agents)


def verify_source(source: SourceFile[Any], region: str | None) -> None:
    """Complain of what is wrong within single leaves of a file, whoever uses them."""
    for steps, value in _all_leaves(source):
        for complaint in verify_leaf(value, steps):
            source.complain(complaint)
    for name, agent in source.draft.file.agents.items():
        if "vars" in agent.model_fields_set:
            for complaint in verify_declarations(agent.vars, ("agents", name, "vars"), region):
                source.complain(complaint)
        for complaint in verify_patch(
            getattr(agent, "extra", None) or {}, ("agents", name, "extra")
        ):
            source.complain(complaint)


def _all_leaves(source: SourceFile[Any]) -> Iterator[tuple[Steps, Any]]:
    file = source.draft.file
    entries: list[tuple[Steps, Entry]] = [
        (("agents", name), agent) for name, agent in file.agents.items()
    ]
    if hasattr(file, "models"):
        entries += [(("models", name), model) for name, model in file.models.items()]
        entries.append((("defaults",), file.defaults))
    for steps, entry in entries:
        for leaf, value in entry.written().items():
            yield (*steps, leaf), value


def verify_extends(space: Space, gathered: Gathered) -> None:
    """Complain of agents that extend what is not there, or one another in a circle."""
    source = space.own
    for name, agent in source.draft.file.agents.items():
        if "extends" not in agent.model_fields_set:
            continue
        steps = ("agents", name, "extends")
        if space.find("agents", agent.extends) is None:
            if not space.broken("agents", agent.extends):
                names = space.names("agents") - {name}
                hint = source.findings.did_you_mean(agent.extends, names)
                message = space.unknown("agent", agent.extends)
                source.complain(Complaint(steps, message, hint))
            continue
        chain = ancestry(space, name)
        if len(chain.agents) > MAX_EXTENDED:
            message = f"more than {MAX_EXTENDED} agents extend one another"
            source.complain(Complaint(steps, message))
        elif chain.circular:
            source.complain(Complaint(steps, "the agents extend one another in a circle"))
