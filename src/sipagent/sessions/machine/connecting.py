"""What the model is told of a transfer: before it, while it takes its time, when it has failed."""

from typing import Final

from sipagent.model import DestinationName, Reachable, ToolName, TransferEnd
from sipagent.sessions.machine.attempts import opens_in

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0

CONNECTING: Final = (
    "In the language of the conversation, say in one short sentence that you are connecting the"
    " caller now. Name no number and ask nothing."
)

TRYING_ON: Final = (
    "Nobody has answered there. In the language of the conversation, say so in one short sentence,"
    " and that you are trying somebody else now. Name no number and ask nothing."
)

STILL_CONNECTING: Final = (
    "The caller is still being connected. In the language of the conversation, say so in one short"
    " sentence, and ask them to stay on the line. Ask nothing else."
)

GOODBYE: Final = (
    "The caller could not be connected to anybody, and the call ends now. In the language of the"
    " conversation, say so in one short sentence, apologise and say goodbye. Do not ask anything."
)

ENDING: Final = "The call is ending: nobody is connected any more."

UNDER_WAY: Final = (
    "A transfer is under way already, and another cannot be begun. If the caller asks, say that"
    " they are being connected."
)

_WHY: Final = {
    TransferEnd.NOT_TAKEN: "nobody took the call",
    TransferEnd.REFUSED: "the telephone network did not take the transfer",
    TransferEnd.BARRED: "no more calls may be transferred for now",
    TransferEnd.GONE: "the call had ended",
}


def connecting(destination: DestinationName) -> dict[str, str]:
    """The output of a transfer that is under way."""
    return {
        "status": "connecting",
        "destination": destination,
        "note": "Say nothing unless the caller speaks to you. Nobody has answered yet.",
    }


def unknown() -> str:
    return "There is no such destination. Tell the caller that you cannot connect them there."


def by_browser(destination: DestinationName) -> str:
    """What the model of a call is told that no telephone is at the other side of."""
    return (
        "A call cannot be transferred from the browser: on the telephone it would go to"
        f" {destination} now. Tell the caller so, and go on."
    )


def closed(way: Reachable, now: float) -> str:
    """What the model is told where a destination cannot be reached at this time."""
    seconds = opens_in(way, now)
    again = "" if seconds is None else f" It opens again in {_spoken(seconds)}."
    return (
        f"{way.destination} is closed now, so the caller was not transferred.{again} Tell them, and"
        " offer what else you can do."
    )


def failed(destination: DestinationName, end: TransferEnd, message: ToolName | None) -> str:
    """What the model is told when nothing more is tried; `message` is the tool that takes one."""
    told = (
        f"The caller could not be connected to {destination}: {_WHY[end]}. They are still on the"
        " line with you. In the language of the conversation, tell them so in one short sentence"
    )
    if message is not None:
        return f"{told}, and offer to take a message, with the tool {message}."
    return f"{told}, and ask how else you can help. Do not try it again unless they ask for it."


def story(destination: DestinationName, end: TransferEnd) -> str:
    """The same as a few technical words, for records."""
    return f"{destination}: {_WHY[end]}"


def _spoken(seconds: float) -> str:
    if seconds < 1.5 * _MINUTE:
        return "about a minute"
    if seconds < 1.5 * _HOUR:
        return f"about {round(seconds / _MINUTE)} minutes"
    return f"about {round(seconds / _HOUR)} hours"
