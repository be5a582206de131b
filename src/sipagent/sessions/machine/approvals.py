"""Tools of MCP servers that the provider itself asks: approved by the plan, and spoken of.

An approval that nobody answers stalls the call, and after such a tool the model says nothing until
it is asked (OpenAI, guide "Realtime with MCP").
"""

from typing import Final

from msgspec import Struct

from sipagent.model import CallPlan, McpServer
from sipagent.sessions.machine.commands import Approve
from sipagent.sessions.machine.events import ApprovalAsked, ResponseDone
from sipagent.sessions.machine.signals import AgentTaken, AnswerDue


class Approvals(Struct, frozen=True):
    """The servers of the agent that has the call, and those of the agents that may take it."""

    servers: tuple[McpServer, ...] = ()
    colleagues: tuple[tuple[str, tuple[McpServer, ...]], ...] = ()


_NOBODY: Final = Approvals()

Heeded = ApprovalAsked | ResponseDone | AgentTaken
Result = tuple[Approvals, tuple[Approve | AnswerDue, ...]]


def approvals(plan: CallPlan) -> Approvals:
    if not (plan.skills.servers or plan.colleagues):
        return _NOBODY
    own = () if plan.agent is None else ((str(plan.agent), plan.skills.servers),)
    others = tuple((str(one.agent), one.skills.servers) for one in plan.colleagues)
    return Approvals(plan.skills.servers, (*own, *others))


def step(state: Approvals, event: Heeded, _: float) -> Result:
    match event:
        case ApprovalAsked(request_id, label, tool):
            approved = any(_allows(server, label, tool) for server in state.servers)
            return state, (Approve(request_id, approved),)
        case ResponseDone(served=True, calls=()):
            # Beside calls of functions it is spoken of with them, when the last has ended.
            return state, (AnswerDue(),)
        case AgentTaken(agent):
            servers = dict(state.colleagues).get(agent, ())
            return Approvals(servers, state.colleagues), ()
        case _:
            return state, ()


def _allows(server: McpServer, label: str, tool: str) -> bool:
    return server.label == label and (server.allowed is None or tool in server.allowed)
