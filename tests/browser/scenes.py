"""The calls that the pictures show: a fortnight of two companies, and what is going on now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.browser.office import DENTAL, HOTEL, RESTAURANT

Script = Sequence[Mapping[str, Any]]

PHOENIX: Final = "+16024810144"
DAY: Final = 86_400.0

TOOTHACHE: Final[Script] = [
    {"caller": "Hi, I have a toothache. Can I come in today?"},
    {
        "agent": "I'm sorry to hear that. I can't see the calendar, but the team calls back soon."
        " What is your name?"
    },
    {"caller": "Dana Whitfield. I have been a patient of yours for years."},
    {
        "tool": {"name": "take_message", "arguments": {"message": "Dana Whitfield: a toothache"}},
        "say": "One moment, I write it down.",
    },
    {"agent": "I have Dana Whitfield, with a toothache, for a call back today."},
    {"caller": "Thank you so much."},
    {"tool": {"name": "hang_up", "arguments": {}}, "say": "Get well soon. Goodbye!"},
]
MOVED: Final[Script] = [
    {"caller": "Good morning, I would like to move my appointment on Thursday."},
    {"agent": "Of course. May I have your name?"},
    {"caller": "Samuel Ortega."},
    {
        "tool": {"name": "transfer", "arguments": {"destination": "practice"}},
        "say": "Thank you. I put you through to the team, who have the calendar.",
    },
]
HOURS: Final[Script] = [
    {"caller": "Until when are you open on Saturday?"},
    {"agent": "On Saturdays we are open from nine until noon. Is there anything else?"},
    {"caller": "No, that is all. Bye!"},
    {"agent": "Have a good day. Goodbye!"},
]
PARKING: Final[Script] = [
    {"caller": "Hello, how late can I check in, and where do I park?"},
    {
        "agent": "Check-in is from three in the afternoon, as late as you like. The valet takes"
        " your car at the main door on Montrose Street."
    },
    {"caller": "Great. Can I bring my dog?", "barge_in": True, "after": 3.0},
    {"agent": "Of course, dogs are welcome. Is there anything else?"},
    {"caller": "No, that was all. Bye!"},
    {"agent": "Thank you for calling, and drive safely. Goodbye!"},
]
DESK: Final[Script] = [
    {"caller": "I am locked out of my room. Can I speak to somebody at the desk?"},
    {
        "tool": {"name": "transfer", "arguments": {"destination": "front_desk"}},
        "say": "Of course. I put you through to the desk.",
    },
]
TABLE: Final[Script] = [
    {"caller": "Can I have a table for four on Friday, half past seven?"},
    {"agent": "I can take that as a request. What name, please?"},
    {"caller": "Okafor. Is there something vegan?"},
    {"agent": "There is one vegan dish every day. The team confirms the table by telephone."},
    {"caller": "Lovely, goodbye."},
    {"agent": "Goodbye, and thank you!"},
]
FAILS: Final[Script] = [
    {"caller": "Hello, is this the practice?"},
    {"fail": "server_error"},
    {"caller": "Hello? Is anybody there?"},
    {"agent": "I am here. How can I help?"},
    {"caller": "I call again later."},
]


@dataclass(frozen=True)
class Scene:
    """A call that is over, and how long before now it began."""

    ago: float
    number: str
    caller: str
    script: Script = ()
    more: Mapping[str, Any] = field(default_factory=dict)


_ROUND: Final = (
    (DENTAL, "+14067704205", TOOTHACHE),
    (HOTEL, "+15125550188", PARKING),
    (DENTAL, "+12815550142", MOVED),
    (RESTAURANT, "+447700900123", TABLE),
    (PHOENIX, "+16025550119", HOURS),
    (HOTEL, "+13465550171", DESK),
)
_A_DAY: Final = (3, 4, 5, 2, 0, 1, 4, 5, 6, 4, 5, 1, 2, 5)
"""Calls of each day, the last one first: less on weekends."""


def history() -> Iterator[Scene]:
    """The calls of a fortnight, spread over its working hours."""
    turn = 0
    for day, calls in enumerate(_A_DAY):
        for at in range(calls):
            number, caller, script = _ROUND[turn % len(_ROUND)]
            turn += 1
            ago = day * DAY + 1_500.0 + 4_300.0 * (calls - at) % 30_000 + 37.0 * turn
            stays = {"stay": True} if script in (MOVED, DESK) else {}
            yield Scene(ago, number, caller, script, stays)
    yield Scene(4_800.0, "+17134810199", "+19725550107")
    yield Scene(9_100.0, "+17134810199", "+18325550161")
    yield Scene(2 * DAY + 900.0, "+17134810124", "+18325550161")
    yield Scene(3 * DAY + 2_000.0, DENTAL, "+12815550190", FAILS)
    accept = {"faults": {"accept": {"status": 500, "times": 9}}}
    yield Scene(6_500.0, HOTEL, "+13465550118", PARKING, accept)


NOW: Final = (
    Scene(141.0, DENTAL, "+14067704205", TOOTHACHE[:4]),
    Scene(64.0, HOTEL, "+15125550188", PARKING[:4]),
    Scene(27.0, RESTAURANT, "+447700900123", TABLE[:2]),
)
"""Calls that are held."""

TALK: Final[Script] = [
    {"caller": "Hi, this is a test. Are you open on Saturday?"},
    {"agent": "Hello! On Saturdays the practice is open from nine until noon."},
    {"caller": "And can I get an appointment?"},
    {"agent": "I can't see the calendar, but the team calls you back. What is your name?"},
]
