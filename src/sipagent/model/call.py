"""An incoming call, as far as the webhook tells of it."""

from dataclasses import dataclass, field
from enum import StrEnum

from sipagent.model.ids import AccountName, CallId, TrunkName, WebhookId
from sipagent.sip import Headers, Invite


class MediaSecurity(StrEnum):
    """How the media is protected. Unrecognised and absent values are UNKNOWN (openai 3.17.0)."""

    RTP = "rtp"
    SRTP = "srtp"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call that rings. All that `invite` and `headers` hold is the carrier's word, or the
    caller's; the trunks' secrets have been taken out.

    `created_at` is the signed creation of the event in unix seconds, None where the event does
    not say. `trunk` is the one that it seems to come by; `verified` says that the trunk's secret
    proved it. A `talk` comes from a browser, by no carrier: it is answered, and can only be hung
    up.
    """

    call_id: CallId
    webhook_id: WebhookId
    account: AccountName
    invite: Invite
    created_at: float | None = None
    media_security: MediaSecurity = MediaSecurity.UNKNOWN
    headers: Headers = field(default=Headers(), repr=False)
    trunk: TrunkName | None = None
    verified: bool = False
    talk: bool = False
