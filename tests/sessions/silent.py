"""Plans of agents who bear silence, each in its own way."""

import dataclasses
from typing import Any

from sipagent.model import (
    AgentName,
    CallPlan,
    Colleague,
    Silence,
    Skills,
    Tongue,
)
from sipagent.testing import a_plan, a_profile
from tests.sessions.toolkit import WAIT

AFTER = 12.0
RULE = Silence(AFTER, "Are you still there?", hang_up_after=2)
TRANSCRIBED = {"model": "gpt-live-transcribe"}
DESK, DEAF = AgentName("desk"), AgentName("deaf")


def plan(
    rule: Silence | None = RULE, *, transcription: Any = TRANSCRIBED, greeting: str | None = None
) -> CallPlan:
    """An agent of this patience, and colleagues with less and with all of it."""
    plain = a_plan(a_profile(greeting=greeting))
    audio = {"input": {**plain.session["audio"]["input"], "transcription": transcription}}
    return dataclasses.replace(
        plain,
        session={**plain.session, "audio": audio},
        skills=Skills(
            tools=(WAIT,),
            silence=rule,
            tongues=(Tongue("es", {}, "¿Sigue ahí?"), Tongue("fr", {})),
        ),
        colleagues=(
            Colleague(DESK, {}, Skills(silence=Silence(5.0, "Hello?"))),
            Colleague(DEAF, {"audio": {"input": {"transcription": None}}}, Skills(silence=RULE)),
            Colleague(AgentName("patient"), {}, Skills()),
        ),
    )
