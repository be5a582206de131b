"""Which tool a model must use, by `tool_choice`: one that it has."""

from sipagent.config.findings import Complaint
from sipagent.config.leaves import Leaf
from sipagent.config.schema import ForcedTool
from sipagent.config.schema.base import given
from sipagent.config.skills.kit import Kit
from sipagent.config.spaces import Space
from sipagent.config.words import quoted


def verify_choice(space: Space, reference: str, leaf: Leaf | None, kit: Kit) -> bool:
    """Whether the model can do as it must; told if it cannot, as the provider would refuse every
    call."""
    missing = None if leaf is None else _missing(leaf.value, kit)
    if leaf is None or missing is None:
        return True
    message = f"the agent {quoted(reference)} has no {missing}"
    complaint = Complaint(leaf.steps, message, "list it under the agent's tools, or write auto")
    leaf.source.complain(complaint, tenant=space.own.findings.tenant)
    return False


def _missing(choice: str | ForcedTool, kit: Kit) -> str | None:
    """What the model would have to use and does not have."""
    if isinstance(choice, str):
        return "tools" if choice == "required" and not kit.offers else None
    name, label = given(choice.name), given(choice.server_label)
    needed = name if choice.type == "function" else label
    if needed is None:
        return None  # which is told where leaves are judged
    if choice.type == "function":
        known = any(template.tool.name == needed for template in kit.tools)
        return None if known else f"tool {quoted(needed)}"
    server = next((server for server in kit.servers if server.label == needed), None)
    if server is None:
        return f"server {quoted(needed)}"
    allowed = name is None or server.allowed is None or name in server.allowed
    return None if allowed else f"tool {quoted(str(name))} of the server {quoted(needed)}"
