"""The session that a call is accepted with, and what follows from it for the first words."""

from typing import Any, Final

from sipagent.model import CallPlan, Json
from sipagent.sessions.machine.greeting import FirstWords, Stage

_EXACTLY: Final = (
    "Begin the call now. Say exactly the words between the quotation marks, in the language in"
    " which they are written, and nothing before or after them: "
)


def opening_session(plan: CallPlan, session: Json) -> Json:
    """The profile's session, all of it, but for turn detection while a greeting is due.

    A later `session.update` would let the caller hear the wrong voice, so everything is in the
    accept. While a greeting is due voice detection creates no response of its own, and does not
    interrupt a greeting that is not to be interrupted.
    """
    detection = _turn_detection(session)
    if plan.greeting is None or detection is None:
        return session
    held = {**detection, "create_response": False}
    if not plan.greeting.interruptible:
        held["interrupt_response"] = False
    return _with_turn_detection(session, held)


def first_words(plan: CallPlan) -> FirstWords:
    """What the greeting will be, and the session change that ends it."""
    if plan.greeting is None:
        return FirstWords(Stage.DONE)
    detection = _turn_detection(plan.session)
    restore: Json | None = None
    if detection is not None and opening_session(plan, plan.session) != plan.session:
        restore = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    return FirstWords(
        Stage.DUE,
        instructions=_EXACTLY + quoted(plan.greeting.say),
        restore=restore,
        answers=restore is not None and bool(detection and detection.get("create_response", True)),
    )


def quoted(words: str) -> str:
    """The words as one line in double quotes; double quotes inside become single ones."""
    return '"' + " ".join(words.replace('"', "'").split()) + '"'


def _turn_detection(session: Json) -> dict[str, Any] | None:
    detection = session["audio"]["input"]["turn_detection"]
    return None if detection is None else dict(detection)


def _with_turn_detection(session: Json, detection: dict[str, Any]) -> Json:
    audio = session["audio"]
    return {
        **session,
        "audio": {**audio, "input": {**audio["input"], "turn_detection": detection}},
    }
