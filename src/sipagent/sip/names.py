"""Header names: their short forms, and which of them may say what was dialed."""

import re
from functools import lru_cache

TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]{1,256}+")

# RFC 3261 section 7.3.3 and the IANA registry of header fields.
_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}

# Where PBXs and dialplans put the dialed number, in the order in which to believe them.
DIALED_HEADERS = (
    "x-number",
    "called_did",
    "x-did",
    "x-called-number",
    "x-dialed-number",
    "x-original-to",
    "p-called-party-id",
)
CALLER_HEADERS: tuple[str, ...] = (
    "from",
    "p-asserted-identity",
    "remote-party-id",
    "p-preferred-identity",
)

# The registry of RFC 3261 section 27.3 as it stands, with the unregistered ones that name the
# caller. A number in one of them is never looked up as an unknown vendor's dialed number.
_REGISTRY = """
    accept accept-contact accept-encoding accept-language accept-resource-priority
    additional-identity alert-info allow allow-events answer-mode attestation-info
    authentication-info authorization call-id call-info cellular-network-info contact
    content-disposition content-encoding content-id content-language content-length content-type
    cseq date dc-info diversion encryption error-info event expires feature-caps flow-timer from
    geolocation geolocation-error geolocation-routing hide history-info identity identity-info
    in-reply-to info-package join max-breadth max-forwards mime-version min-expires min-se
    organization origination-id p-access-network-info p-answer-state p-asserted-identity
    p-asserted-service p-associated-uri p-called-party-id p-charge-info
    p-charging-function-addresses p-charging-vector p-dcs-billing-info p-dcs-laes p-dcs-osps
    p-dcs-redirect p-dcs-trace-party-id p-early-media p-media-authorization p-preferred-identity
    p-preferred-service p-private-network-indication p-profile-key p-refused-uri-list
    p-served-user p-user-database p-visited-network-id path permission-missing policy-contact
    policy-id priority priority-share priority-verstat privacy proxy-authenticate
    proxy-authorization proxy-require rack reason reason-phrase record-route recv-info
    refer-events-at refer-sub refer-to referred-by reject-contact relayed-charge replaces reply-to
    request-disposition require resource-priority resource-share response-key response-source
    restoration-info retry-after route rseq security-client security-server security-verify
    server service-interact-info service-route session-expires session-id sip-etag sip-if-match
    subject subscription-state supported suppress-if-match target-dialog timestamp to
    trigger-consent unsupported user-agent user-to-user via warning www-authenticate
    p-attestation-indicator p-origination-id remote-party-id
"""
_REGISTERED = frozenset(_REGISTRY.split())

# Parts of names that say: caller, identity, transport, billing or credential.
_FOREIGN_STEMS = re.compile(
    "caller|calling|asserted|preferred-identity|identity|remote-party|originat|"
    "contact|billing|charg|account|authoriz|secret|signature|user-to-user|verstat|referred"
)
_FOREIGN_WORD = re.compile(
    "ani|auth|bill|callid|cid|cli|clid|clip|contact|from.*|hmac|ip|key|nonce|orig|pai|path|ppi|"
    "proxy|rpid|route|sig|source|src|token|uid|uui|via"
)
_WORD_BREAK = re.compile("[-_.]")


def canonical_name(name: str) -> str | None:
    """The name in lower case, without blanks around it, written out; None if it is no token.

    `TO :` is legal (RFC 4475 section 3.1.1.1), a line break within a name is not.
    """
    stripped = name.strip(" \t")
    if not TOKEN.fullmatch(stripped):
        return None
    lower = stripped.lower()
    return _COMPACT.get(lower, lower) if len(lower) == 1 else lower


def is_registered(name: str) -> bool:
    """Whether RFC 3261 or the IANA registry says what the header is for, or it names the caller."""
    return name in _REGISTERED


@lru_cache(maxsize=1024)
def may_hold_dialed_number(name: str) -> bool:
    """True for an extension header whose name speaks of no caller, identity, way or bill."""
    if name in _REGISTERED or name in DIALED_HEADERS or _FOREIGN_STEMS.search(name):
        return False
    return not any(_FOREIGN_WORD.fullmatch(word) for word in _WORD_BREAK.split(name))
