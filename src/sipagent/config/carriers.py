"""What is known of each carrier: where it puts the dialed number, and how it takes a transfer.

A trunk names its carrier and inherits these values; what the trunk says itself wins. The pages in
docs/trunks say how each was learned and what could not be confirmed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_TEL: Final = "tel:{e164}"


@dataclass(frozen=True, slots=True)
class Carrier:
    """A preset. Header names are in lower case.

    `dialed_header` is None where the number stands in To, or in any header that the operator
    chooses. `refer` is the form of a transfer's target. `attestation` is the header of the caller's
    STIR/SHAKEN verdict, None where it is not known. `signs` says that the carrier can add a header
    of the operator's own to the call, and so a secret.
    """

    name: str
    title: str
    dialed_header: str | None
    refer: str
    attestation: str | None
    signs: bool


_PRESETS: Final = (
    # docs.wavix.com, guide for OpenAI: `x-number` without plus; only Wavix numbers are transferred
    # to, in a form that the guide leaves open.
    Carrier("wavix", "Wavix", "x-number", _TEL, None, signs=False),
    # Twilio's support article on custom information: `?X-...` after the origination URI becomes a
    # header. Transfers to the network must be tel: (support; sip-trunking/call-transfer).
    Carrier(
        "twilio", "Twilio Elastic SIP Trunking", "diversion", _TEL, "x-twilio-verstat", signs=True
    ),
    # twilio.com/docs/api/errors/13252: of the headers in the URI, those with `x-` pass. The form of
    # the transfer is the operator's: it comes back to the referUrl as ReferTransferTarget.
    Carrier("twilio-dial", "Twilio <Dial><Sip>", "x-did", _TEL, None, signs=True),
    # developers.telnyx.com, external transfers and SIP header parameters (`verstat` in PAI). Only
    # Call Control and TeXML legs carry headers of one's own.
    Carrier(
        "telnyx",
        "Telnyx",
        None,
        "sip:{e164}@sip.telnyx.com",
        "p-asserted-identity",
        signs=True,
    ),
    # dev.bandwidth.com, OpenAI Realtime SIP: the trunk is provisioned by Bandwidth.
    Carrier("bandwidth", "Bandwidth", None, _TEL, None, signs=False),
    # developer.vonage.com: only an NCCO's connect action has headers; "Forward to SIP" has none.
    Carrier("vonage", "Vonage", "x-did", _TEL, None, signs=True),
    # developer.signalwire.com/swml/methods/connect: `headers`.
    Carrier("signalwire", "SignalWire", "x-did", _TEL, None, signs=True),
    # docs.plivo.com, Dial User: `sipHeaders` are always prefixed with X-PH-; STIR/SHAKEN.
    Carrier("plivo", "Plivo", "x-ph-did", _TEL, "x-plivo-stir-verification", signs=True),
    # doc.didww.com, Diversion header and inbound call redirection: the target is one of DIDWW's
    # outbound endpoints.
    Carrier("didww", "DIDWW", "diversion", "sip:{e164}@out.didww.com", None, signs=False),
    # docs.mikopbx.com, routing by DID number.
    Carrier("zadarma", "Zadarma", "called_did", _TEL, None, signs=False),
    # developers.sinch.com, SVAML connectSip: `callHeaders`.
    Carrier("sinch", "Sinch", "x-did", _TEL, None, signs=True),
    # docs.aws.amazon.com/chime-sdk, CallAndBridge: `SipHeaders` with `x-`.
    Carrier("amazon-chime", "Amazon Chime SDK", "x-did", _TEL, None, signs=True),
    # learn.microsoft.com, custom context: `X-MS-Custom-{key}`, the key being the operator's.
    Carrier(
        "azure-communication-services",
        "Azure Communication Services",
        None,
        _TEL,
        None,
        signs=True,
    ),
    # PBXs and SBCs: all is the operator's, the host of a transfer's target too.
    Carrier("asterisk", "Asterisk and FreePBX", "x-did", _TEL, None, signs=True),
    Carrier("freeswitch", "FreeSWITCH", "x-did", _TEL, None, signs=True),
    # 3cx.com/docs/sip-trunk-outbound-calls: the fields of an INVITE are a fixed list.
    Carrier("3cx", "3CX", None, _TEL, None, signs=False),
    Carrier("sbc", "Session border controller", None, _TEL, None, signs=True),
)

CARRIERS: Final[Mapping[str, Carrier]] = MappingProxyType(
    {carrier.name: carrier for carrier in _PRESETS}
)
