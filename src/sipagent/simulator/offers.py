"""What a session lets its model do: the tools that it offers, and what its instructions say."""

import re
from dataclasses import replace
from typing import Any

from sipagent.simulator.refusal import JsonObject
from sipagent.simulator.script import Answer

_BREAK = re.compile(r"\n\s*\n|\n(?=\s*(?:[-#*]|[0-9]+\.)\s)|(?<=[.!?])\s+")


def tools_of(session: JsonObject, params: JsonObject) -> list[JsonObject]:
    """The tools of one response: its own, or the session's; none if it may use none."""
    if params.get("tool_choice", session["tool_choice"]) == "none":
        return []
    tools: list[JsonObject] = params["tools"] if "tools" in params else session["tools"]
    return tools


def may_use_tools(session: JsonObject, params: JsonObject) -> bool:
    return bool(params.get("tool_choice", session["tool_choice"]) != "none")


def server_tool(tools: list[JsonObject], server: str, name: str) -> JsonObject | None:
    """The MCP server's entry among the tools, if it allows this tool."""
    for tool in tools:
        if tool["type"] == "mcp" and tool["server_label"] == server:
            allowed = tool.get("allowed_tools")
            names = allowed.get("tool_names") if isinstance(allowed, dict) else allowed
            return tool if names is None or name in names else None
    return None


def needs_approval(tool: JsonObject, name: str) -> bool:
    """Whether a tool of this MCP server waits for a `mcp_approval_response`; so do all by default
    (SDK, `require_approval`)."""
    rule: Any = tool.get("require_approval") or "always"
    if not isinstance(rule, dict):
        return bool(rule == "always")
    if name in rule.get("never", {}).get("tool_names", ()):
        return False
    always = rule.get("always")
    return always is None or name in always.get("tool_names", ())


def sentence_with(words: str, instructions: str) -> str | None:
    """The sentence of the instructions that has these words, None if none has."""
    wanted = _plain(words)
    found = (" ".join(each.split()) for each in _BREAK.split(instructions))
    return next((each.lstrip("-#* ") for each in found if wanted in _plain(each)), None)


def possible(
    answer: Answer, tools: list[JsonObject], instructions: str
) -> tuple[Answer, list[JsonObject]]:
    """What of the answer the session makes possible, and notes of what it does not."""
    functions = {tool["name"] for tool in tools if tool["type"] == "function"}
    notes: list[JsonObject] = [
        {"type": "not_offered", "name": call.name, "offered": sorted(functions)}
        for call in answer.tools
        if call.name not in functions
    ]
    notes += [
        {"type": "not_offered", "name": f"{use.server}/{use.name}", "offered": sorted(functions)}
        for use in answer.servers
        if server_tool(tools, use.server, use.name) is None
    ]
    answer = replace(
        answer,
        tools=tuple(call for call in answer.tools if call.name in functions),
        servers=tuple(u for u in answer.servers if server_tool(tools, u.server, u.name)),
    )
    if answer.quotes is None:
        return answer, notes
    sentence = sentence_with(answer.quotes, instructions)
    if sentence is None:
        notes.append({"type": "not_instructed", "words": answer.quotes})
    return replace(answer, text=" ".join(filter(None, (answer.text, sentence)))), notes


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
