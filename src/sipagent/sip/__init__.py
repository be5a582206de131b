"""SIP as far as a webhook shows it: headers in, meaning out. Pure: no I/O, no clock, no state.

*Headers*: the INVITE's header list, ordered, repeats kept. *Address*: who a header value names.
*E164*: a number by its syntax, `+` and 7 to 15 digits. *Spelling*: a way in which carriers write
a number. *Candidate*: a number that may have been dialed, with the header it stands in.
*Listed*: in the operator's number directory; only a listed number chooses an agent.
*Dialed*: the candidate that was picked. *Forwarded from*: who diverted the call before.
*Attestation*: what the carrier reports of STIR/SHAKEN. *Untrusted*: text from outside.

Headers choose which public agent answers, never what the caller may do: anybody who knows the
project's id can send an INVITE with any header.
"""

from sipagent.sip.address import (
    MAX_VALUE_LENGTH,
    Address,
    parse_address,
    parse_address_list,
)
from sipagent.sip.caller import Attestation
from sipagent.sip.dialed import DialedCandidate
from sipagent.sip.headers import MAX_HEADERS, Headers
from sipagent.sip.incoming import Dialed, Invite, pick_dialed, read_invite
from sipagent.sip.numbers import E164, is_e164, number_in, spellings, to_e164
from sipagent.sip.untrusted import Untrusted, mask_number

__all__ = [
    "E164",
    "MAX_HEADERS",
    "MAX_VALUE_LENGTH",
    "Address",
    "Attestation",
    "Dialed",
    "DialedCandidate",
    "Headers",
    "Invite",
    "Untrusted",
    "is_e164",
    "mask_number",
    "number_in",
    "parse_address",
    "parse_address_list",
    "pick_dialed",
    "read_invite",
    "spellings",
    "to_e164",
]
