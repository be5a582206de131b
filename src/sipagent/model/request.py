"""What somebody on duty wants of a call that is held, and the answer of whoever holds it."""

from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from sipagent.model.ids import AgentName, DestinationName


class HangUp(Struct, frozen=True, tag="hang_up"):
    """End the call; `goodbye`: after the agent has said one."""

    goodbye: bool = False


class TransferTo(Struct, frozen=True, tag="transfer"):
    """Send the call to a destination of its plan; its agent goes on where nobody takes it."""

    destination: DestinationName


class Say(Struct, frozen=True, tag="say"):
    """Have the agent say this to the caller, in these words as far as a model does so."""

    text: str


class Whisper(Struct, frozen=True, tag="whisper"):
    """Tell the model something that the caller does not hear. It says nothing because of it."""

    text: str


class SwitchAgent(Struct, frozen=True, tag="switch_agent"):
    """Have another agent of the plan go on with the call."""

    agent: AgentName


class HoldReplies(Struct, frozen=True, tag="hold"):
    """The agent says nothing until `ResumeReplies`; the caller is still heard and transcribed."""


class ResumeReplies(Struct, frozen=True, tag="resume"):
    """The agent answers again."""


class Typed(Struct, frozen=True, tag="typed"):
    """The caller, who has no microphone, says this: it is answered as if it had been spoken."""

    text: str


CallRequest = (
    HangUp | TransferTo | Say | Whisper | SwitchAgent | HoldReplies | ResumeReplies | Typed
)


class Replied(StrEnum):
    """DONE: the owner does it. REFUSED: it cannot be done with this call now. UNKNOWN_CALL: nobody
    holds such a call. NO_ANSWER: none came in time, and it may be done all the same."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN_CALL = "unknown_call"
    NO_ANSWER = "no_answer"


class Reply(Struct, frozen=True):
    """What came of a request; `why` it was refused, in words for whoever asked."""

    answer: Replied
    why: str | None = None


_decoder: Final = msgspec.json.Decoder[CallRequest](CallRequest)


def request_to_json(request: CallRequest) -> str:
    return msgspec.json.encode(request).decode()


def request_from_json(text: str) -> CallRequest:
    """Raises ValueError (msgspec's) for what no release of ours has written."""
    request: CallRequest = _decoder.decode(text)
    return request
