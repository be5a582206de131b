"""What each way of ending means, and what can be done about it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sipagent.model import Happening, Reason, TransferEnd


@dataclass(frozen=True, slots=True)
class Ending:
    """What a reason says of a call, and what to do about it; None where nothing is to be done."""

    means: str
    to_do: str | None = None


ENDINGS: Final[Mapping[Reason, Ending]] = {
    Reason.LINE_CLOSED: Ending(
        "The line was closed. Most probably the caller hung up; a closed socket does not prove it."
    ),
    Reason.AGENT_HUNG_UP: Ending("The agent said goodbye and ended the call."),
    Reason.MAX_DURATION: Ending(
        "The call had lasted as long as it may.",
        "If callers need longer, raise max_duration of the agent; the provider itself ends calls"
        " after 60 minutes.",
    ),
    Reason.BUDGET: Ending(
        "What the call may cost was used up.",
        "If that is too little, raise max_cost of the agent, or the budget of the number, its"
        " tenant or its account.",
    ),
    Reason.OPERATOR_HUNG_UP: Ending("The operator ended the call."),
    Reason.TRANSFERRED: Ending("The caller was sent on to another number."),
    Reason.SILENCE: Ending(
        "Nobody spoke or pressed a key any more, and the agent's questions had no answer.",
        "If it happens to callers who do speak, raise silence.after of the agent, and look whether"
        " their words are transcribed.",
    ),
    Reason.UNKNOWN_NUMBER: Ending(
        "The dialed number is not in the directory.",
        "If the number is yours, add the line below to numbers of the agents file.",
    ),
    Reason.RULE: Ending(
        "A rule of the number or about its callers, or an order of the operator's, refuses such"
        " calls.",
        "If it should have been answered, see the rules above; `sipagent route NUMBER` tells what"
        " would happen now, `sipagent orders list` which orders are in force.",
    ),
    Reason.QUOTA: Ending(
        "A limit had no room for the call, or its money was spent.",
        "If the limit is too low, raise it; what decided names it.",
    ),
    Reason.BUSY: Ending(
        "The account could take no more calls: the provider refused several, or its own limit was"
        " reached.",
        "Look at the provider's status page and at the account's rate limits.",
    ),
    Reason.UNTRUSTED_TRUNK: Ending(
        "Nothing proved that the call came by the trunk that the number belongs to.",
        "Compare the trunk's secret header at the carrier with the trunk's secret file;"
        " docs/trunks tells where carriers set it.",
    ),
    Reason.DRAINING: Ending(
        "The service was stopping and took no new calls.",
        "Let another replica take calls before one is stopped.",
    ),
    Reason.NO_RECORDS: Ending(
        "The database of the records was away, and SIPAGENT_WITHOUT_RECORDS says that no call is"
        " taken then.",
        "Look at the database. If calls are to be taken all the same, set it to `take`: what"
        " becomes of them is stored when the database is back.",
    ),
    Reason.CALLER_GONE: Ending("The caller had gone before the call was answered."),
    Reason.NOBODY_THERE: Ending(
        "Nobody spoke or pressed a key after the greeting.",
        "If it happens to real callers of one trunk, listen to a call: their audio may not arrive.",
    ),
    Reason.ACCEPT_REFUSED: Ending(
        "The provider refused to answer the call.",
        "The status beside the outcome says why: 401 is the account's key, 404 the call or the"
        " model, 429 a rate limit, 5xx the provider itself.",
    ),
    Reason.ACCEPT_TIMEOUT: Ending(
        "The provider did not say in time whether it answered the call.",
        "Look at the provider's status page, and at the way from here to it.",
    ),
    Reason.ATTACH_FAILED: Ending(
        "The call was answered, and its socket could not be opened.",
        "Look at the provider's status page, at proxies and firewalls that cut WebSockets, and at"
        " the number of open files.",
    ),
    Reason.REFER_FAILED: Ending(
        "The carrier did not take the transfer, or nobody took the call.",
        "Ask the carrier whether REFER is enabled on the trunk and to which numbers; docs/trunks"
        " tells what it expects.",
    ),
    Reason.PROVIDER_ERROR: Ending(
        "The model failed, and what was to be tried then did not help.",
        "Look at the provider's status page; a fallback destination would still reach a person.",
    ),
    Reason.SESSION_EXPIRED: Ending(
        "It had come to the provider's limit: no session lasts longer than 60 minutes.",
        "If calls should end earlier, set max_duration of the agent.",
    ),
    Reason.INTERNAL_ERROR: Ending(
        "The service itself made a mistake.",
        "Look for the call's id in the log, and report what stands there.",
    ),
    Reason.CONNECTION_LOST: Ending(
        "The connection to the call was lost, and nobody could tell what became of the caller.",
        "Look at the replica's log and at the network at that time; others that were lost within"
        " the same seconds point to one cause.",
    ),
    Reason.REPLICA_LOST: Ending(
        "The process that held the call ended without a word, and when another looked the call was"
        " over.",
        "Look why that process ended: its last log lines, the memory that it may use, the node.",
    ),
}

FELL_BACK: Final = Ending(
    "The model failed, and the caller was sent on to the fallback.",
    "Look at the provider's status page; the steps above say what failed.",
)

ACCEPT_FAULT: Final = Ending(
    "The provider did not take the call: when it was last asked, it answered with an error.",
    "The status beside the outcome says why: 429 is a rate limit, 5xx the provider itself. Look at"
    " the provider's status page.",
)

_STATUS: Final = re.compile(r"answered [0-9]{3}\b")


def ending_of(reason: Reason, detail: str | None, *, fell_back: bool) -> Ending:
    """What the reason says of a call with this detail; `fell_back`: its model had failed."""
    if reason is Reason.TRANSFERRED and fell_back:
        return FELL_BACK
    if reason is Reason.ACCEPT_TIMEOUT and _STATUS.search(detail or ""):
        return ACCEPT_FAULT
    return ENDINGS[reason]


TRANSFER_ENDS: Final[Mapping[TransferEnd, str]] = {
    TransferEnd.TAKEN: "The call ended within the watch: somebody took it, presumably.",
    TransferEnd.NOT_TAKEN: "The call was still there after the watch: nobody took it.",
    TransferEnd.REFUSED: "Nobody was rung.",
    TransferEnd.BARRED: "It was not sent: the tenant's transfers of the hour were used up.",
    TransferEnd.GONE: "The call had ended before it.",
    TransferEnd.BROKEN_OFF: "The call was ended while somebody was being rung.",
}

STEPS: Final[Mapping[Happening, str]] = {
    Happening.ANSWERED: "the provider answered the call",
    Happening.ATTACHED: "the call's socket was open",
    Happening.GREETED: "the greeting was asked for",
    Happening.HEARD: "the caller began to hear the agent",
    Happening.DROPPED: "the socket was lost",
    Happening.REATTACHED: "the socket was open again",
    Happening.ADOPTED: "another process took the call over",
    Happening.FAULT: "the provider or the model reported a fault",
    Happening.RETRIED: "the model was asked again",
    Happening.FELL_BACK: "the call went the way of its fallback",
    Happening.WOUND_DOWN: "the agent was told to bring the call to its end",
    Happening.REFERRED: "the caller was to be sent on",
    Happening.NOT_TRANSFERRED: "a transfer came to nothing",
    Happening.CLOSED: "a destination was closed, so that no transfer was tried",
    Happening.ORDERED: "an order of the operator's was to send the call on",
    Happening.STEPPED_IN: "somebody on duty stepped in",
    Happening.LANGUAGE: "the language was changed",
    Happening.AGENT: "another agent went on with the call",
    Happening.DISCLOSED: "the disclosure was said",
    Happening.NOT_DISCLOSED: "the disclosure was not said, or not to its end",
}
