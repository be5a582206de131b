"""What an agent is told of a caller who is back: how the call before ended, and nothing of what was
said in it. Pure."""

from dataclasses import replace
from typing import Final

from sipagent.model import CallPlan, Colleague, Json, Returned, Skills, Tongue

_TRANSFERRED: Final = (
    "This caller called {ago}, was put through to {destination}, and is calling again now. Nobody"
    " knows whether the call was taken there. Ask whether it was, and help."
)
_DROPPED: Final = (
    "This caller called {ago}, and that call broke off for a technical reason. Apologise for it in"
    " one short sentence once the caller has spoken, and help."
)
_UNKNOWN: Final = " What was said in that call is not known to you: never claim to remember it."
_MINUTE: Final = 60.0


def noted(plan: CallPlan, returned: Returned) -> CallPlan:
    """The plan with what every agent that may speak in the call is told of the caller's return."""
    note, spare = note_of(returned), plan.fallback_session
    return replace(
        plan,
        session=_with(plan.session, note),
        fallback_session=None if spare is None else _with(spare, note),
        skills=_skills(plan.skills, note),
        colleagues=tuple(_colleague(colleague, note) for colleague in plan.colleagues),
        returned=returned,
    )


def note_of(returned: Returned) -> str:
    """What happened, in the words that the agent is told."""
    form = _DROPPED if returned.destination is None else _TRANSFERRED
    told = form.format(ago=_ago(returned.ago), destination=returned.destination)
    return told + _UNKNOWN


def _ago(seconds: float) -> str:
    minutes = int(seconds / _MINUTE)
    if minutes < 1:
        return "less than a minute ago"
    return "a minute ago" if minutes == 1 else f"{minutes} minutes ago"


def _with(session: Json, note: str) -> Json:
    own = session.get("instructions")
    return {**session, "instructions": f"{own}\n\n{note}" if own else note}


def _skills(skills: Skills, note: str) -> Skills:
    """A change of language that leaves the instructions as they are leaves the note in them."""
    if not any("instructions" in tongue.session for tongue in skills.tongues):
        return skills
    return replace(skills, tongues=tuple(_tongue(tongue, note) for tongue in skills.tongues))


def _tongue(tongue: Tongue, note: str) -> Tongue:
    if "instructions" not in tongue.session:
        return tongue
    return replace(tongue, session=_with(tongue.session, note))


def _colleague(colleague: Colleague, note: str) -> Colleague:
    skills = _skills(colleague.skills, note)
    return replace(colleague, session=_with(colleague.session, note), skills=skills)
