"""SDP answers to browsers' offers (RFC 8866, RFC 3264, RFC 8829). Pure.

They are what a browser takes for an answer, down to a fingerprint and an address; but nobody is
there: no audio ever flows, and after a while the browser says that it has no connection.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

OPUS = "opus/48000/2"
_DIRECTIONS = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
_MEDIA = re.compile(r"(\S+) (\d+) (\S+) (.+)")
_DATA = "webrtc-datachannel"
_NEEDED = ("ice-ufrag", "ice-pwd", "fingerprint", "setup")
_ANYWHERE = "c=IN IP4 0.0.0.0"


class SdpError(ValueError):
    """The offer is none that can be answered; the message says why."""


@dataclass(frozen=True, slots=True)
class Section:
    """An `m=` line with what follows it; `common` are the session's own lines."""

    kind: str
    protocol: str
    formats: tuple[str, ...]
    lines: tuple[str, ...]
    common: tuple[str, ...]

    def value(self, name: str) -> str | None:
        """The first attribute of this name, the section's own before the session's."""
        for line in (*self.lines, *self.common):
            if line == f"a={name}":
                return ""
            if line.startswith(f"a={name}:"):
                return line.partition(":")[2]
        return None

    def values(self, name: str) -> Iterator[str]:
        return (line.partition(":")[2] for line in self.lines if line.startswith(f"a={name}:"))

    @property
    def direction(self) -> str:
        """Whose audio is to flow, as the offer has it."""
        named = (name for name in _DIRECTIONS if self.value(name) is not None)
        return next(named, "sendrecv")

    @property
    def opus(self) -> str | None:
        """The payload type that stands for Opus."""
        found = (each.split(" ", 1) for each in self.values("rtpmap"))
        kept = (pair[0] for pair in found if len(pair) == 2 and pair[1].lower() == OPUS)
        return next(kept, None)


def sections(offer: str) -> tuple[Section, ...]:
    """What the offer has. Raises SdpError."""
    lines = offer.replace("\r\n", "\n").split("\n")
    if lines[0] != "v=0":
        raise SdpError("an SDP begins with v=0")
    starts = [index for index, line in enumerate(lines) if line.startswith("m=")]
    common = tuple(lines[: starts[0]]) if starts else ()
    found = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=False):
        media = _MEDIA.fullmatch(lines[start][2:])
        if media is None:
            raise SdpError("an m= line cannot be read")
        formats = tuple(media[4].split())
        found.append(Section(media[1], media[3], formats, tuple(lines[start + 1 : end]), common))
    return tuple(found)


def speaks(offer: str) -> bool:
    """Whether a microphone is offered. Raises SdpError."""
    audio = (each for each in sections(offer) if each.kind == "audio")
    return next((each.direction in ("sendrecv", "sendonly") for each in audio), False)


def answer(offer: str, seed: str) -> str:
    """The answer; `seed` makes its ids. Raises SdpError for an offer without audio in Opus, or
    without what ICE and DTLS need."""
    offered = sections(offer)
    audio = next((each for each in offered if each.kind == "audio"), None)
    if audio is None or audio.opus is None:
        raise SdpError("the offer has no audio in Opus")
    missing = [name for name in _NEEDED if audio.value(name) is None]
    if missing:
        raise SdpError(f"the offer's audio has no a={missing[0]}")
    proofs = _proofs(seed)
    answered = [_answered(each, each is audio, proofs, seed) for each in offered]
    bundled = [each.value("mid") or "" for each in offered if _is_taken(each, audio)]
    number = int(hashlib.sha256(seed.encode()).hexdigest()[:15], 16)
    lines = [
        *("v=0", f"o=- {number} 2 IN IP4 127.0.0.1", "s=-", "t=0 0"),
        *([f"a=group:BUNDLE {' '.join(bundled)}"] if _bundles(audio) else []),
        *(["a=extmap-allow-mixed"] if "a=extmap-allow-mixed" in audio.common else []),
        *("a=msid-semantic: WMS realtimeapi", "a=ice-lite"),
        *(line for section in answered for line in section),
    ]
    return "".join(f"{line}\r\n" for line in lines)


def _bundles(audio: Section) -> bool:
    return any(line.startswith("a=group:BUNDLE") for line in audio.common)


def _is_taken(section: Section, audio: Section) -> bool:
    return section is audio or (section.kind == "application" and _DATA in section.formats)


def _proofs(seed: str) -> tuple[str, ...]:
    """Where we are, and by what we can be told: of nobody, since nobody is there."""
    digest = hashlib.sha256(f"fingerprint {seed}".encode()).hexdigest().upper()
    pairs = ":".join(digest[n : n + 2] for n in range(0, 64, 2))
    return (
        "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host",
        "a=end-of-candidates",
        f"a=ice-ufrag:{digest[:8].lower()}",
        f"a=ice-pwd:{digest[8:40].lower()}",
        f"a=fingerprint:sha-256 {pairs}",
        "a=setup:active",
    )


def _answered(
    section: Section, is_audio: bool, proofs: Iterable[str], seed: str
) -> tuple[str, ...]:
    mid = section.value("mid")
    named = () if mid is None else (f"a=mid:{mid}",)
    if is_audio:
        return (*_audio(section, proofs, seed), *named)
    if section.kind == "application" and _DATA in section.formats:
        head = f"m=application 9 {section.protocol} {_DATA}"
        more = ("a=sctp-port:5000", "a=max-message-size:262144")
        return (head, _ANYWHERE, *proofs, *named, *more)
    # What is not taken keeps its place, with port 0 (RFC 3264, 6).
    refused = f"m={section.kind} 0 {section.protocol} {' '.join(section.formats)}"
    return (refused, _ANYWHERE, *named, "a=inactive")


def _audio(section: Section, proofs: Iterable[str], seed: str) -> tuple[str, ...]:
    opus = section.opus
    direction = _DIRECTIONS[section.direction]
    speaks = direction in ("sendrecv", "sendonly")
    source = int(hashlib.sha256(seed.encode()).hexdigest()[:7], 16) + 1
    return (
        f"m=audio 9 {section.protocol} {opus}",
        _ANYWHERE,
        "a=rtcp:9 IN IP4 0.0.0.0",
        *proofs,
        f"a={direction}",
        *(("a=msid:realtimeapi audio", f"a=ssrc:{source} cname:realtimeapi") if speaks else ()),
        "a=rtcp-mux",
        *(("a=rtcp-rsize",) if section.value("rtcp-rsize") is not None else ()),
        f"a=rtpmap:{opus} {OPUS}",
        f"a=fmtp:{opus} minptime=10;useinbandfec=1",
    )
