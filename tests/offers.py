"""SDP offers as Chromium 141 makes them, shortened to what decides."""

_HEAD = """v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE {mids}
a=extmap-allow-mixed
a=msid-semantic: WMS
"""
_ICE = """c=IN IP4 0.0.0.0
a=ice-ufrag:4ZcD
a=ice-pwd:2/1muCWoOi3uLifh0NuRHlkS
a=ice-options:trickle
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
a=mid:{mid}
"""
_AUDIO = """m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126
{ice}a={direction}
a=rtcp:9 IN IP4 0.0.0.0
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
a=rtpmap:126 telephone-event/8000
"""
_VIDEO = """m=video 9 UDP/TLS/RTP/SAVPF 96
{ice}a=sendrecv
a=rtcp-mux
a=rtpmap:96 VP8/90000
"""
_DATA = """m=application 9 UDP/DTLS/SCTP webrtc-datachannel
{ice}a=sctp-port:5000
a=max-message-size:262144
"""
_FINGERPRINT = ":".join(["7B"] * 32)


def an_offer(direction: str = "sendrecv", *, data: bool = False, video: bool = False) -> str:
    """An offer of one audio section, in this direction, and what else there is to be."""
    kinds = [_AUDIO, *([_VIDEO] if video else []), *([_DATA] if data else [])]
    mids = " ".join(str(number) for number in range(len(kinds)))
    text = _HEAD.format(mids=mids)
    for mid, kind in enumerate(kinds):
        ice = _ICE.format(mid=mid, fingerprint=_FINGERPRINT)
        text += kind.format(ice=ice, direction=direction)
    return text.replace("\n", "\r\n")
