"""What must be said of a caller's number, from what is written."""

from typing import Any

from sipagent.config.findings import Steps
from sipagent.config.leaves import Leaf
from sipagent.config.lines import InYaml, Origin
from sipagent.config.schema.callers import AttestationEverywhere, AttestationWanted, OtherAgent
from sipagent.config.spaces import Space
from sipagent.model import AgentName, AttestationRule

Wanted = AttestationWanted | AttestationEverywhere


def rule_of(wanted: Wanted) -> AttestationRule:
    """What must be said of callers, as it is written."""
    other = agent_of(wanted)
    return AttestationRule(
        least=wanted.min,
        otherwise="flag" if wanted.otherwise == "flag" else "reject",
        agent=None if other is None else AgentName(other),
        code=wanted.code,
    )


def agent_of(wanted: Wanted) -> str | None:
    """The agent that answers callers of whom too little is said."""
    return wanted.otherwise.agent if isinstance(wanted.otherwise, OtherAgent) else None


def verify_other(space: Space, wanted: Wanted, origin: Origin, steps: Steps) -> None:
    """Complain of an agent that there is not."""
    other = agent_of(wanted)
    if other is None or space.find("agents", other) or space.broken("agents", other):
        return
    hint = space.own.findings.did_you_mean(other, space.names("agents"))
    origin.complain((*steps, "otherwise", "agent"), space.unknown("agent", other), hint)


def attestation_of(space: Space, leaf: Leaf | None) -> AttestationRule | None:
    """What an agent wants to have said of its callers."""
    wanted: Any = None if leaf is None else leaf.value
    if leaf is None or wanted is None:
        return None
    verify_other(space, wanted, InYaml(leaf.source, leaf.steps), ())
    return rule_of(wanted)
