"""What would go wrong with an accept, found before it is sent.

The provider may answer an accept with 200 and fail the call afterwards, so that the caller hears
nothing and our socket gets a 404 (OpenAI forum, 2026-05). What can be known is checked here.
"""

from typing import Final

from sipagent.model import Json
from sipagent.providers.accounts import CAPABILITIES, Capabilities

LARGEST_SESSION: Final = 512 * 1024
"""Characters of instructions and tools together that are still sent."""


def preflight(
    session: Json, capabilities: Capabilities = CAPABILITIES["openai"]
) -> tuple[str, ...]:
    """What is wrong with a session for a phone call; empty when nothing is known to be."""
    problems: list[str] = []
    if session.get("type") != "realtime":
        problems.append("session.type must be 'realtime'")
    if not isinstance(session.get("model"), str) or not session.get("model"):
        problems.append("session.model is missing")
    audio = session.get("audio", {})
    # The codec is negotiated in SDP; any format here is heard as static.
    problems += [
        f"session.audio.{side}.format must not be set on a phone call"
        for side in ("input", "output")
        if "format" in audio.get(side, {})
    ]
    instructions = session.get("instructions", "")
    if capabilities.instructions_required and not instructions:
        problems.append("session.instructions is missing, which this provider requires")
    if len(instructions) > LARGEST_SESSION:
        problems.append(f"session.instructions is longer than {LARGEST_SESSION} characters")
    return tuple(problems)
