"""What the caller has heard.

A response is generated faster than it is played: only the output buffer's own events say that
the caller has heard it (OpenAI, guide
"Realtime conversations", output_audio_buffer).
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.sessions.machine.commands import ClearAudio
from sipagent.sessions.machine.events import AudioCleared, AudioStarted, AudioStopped
from sipagent.sessions.machine.signals import (
    CallDropped,
    Heard,
    Hushed,
    Parting,
    PlaybackEnded,
    Purpose,
    ResponseEnded,
    ResponseStarted,
)

_TRACKS: Final = 8
"""Responses remembered at once. One that never plays (text, a tool call) must not add up."""


class Track(Struct, frozen=True):
    response_id: str
    purpose: Purpose | None = None
    playing: bool = False


class Playback(Struct, frozen=True):
    """`parting`: nothing but a goodbye is to be heard any more; `hushed`: for now."""

    tracks: tuple[Track, ...] = ()
    parting: bool = False
    hushed: bool = False

    def track(self, response_id: str) -> Track:
        for track in self.tracks:
            if track.response_id == response_id:
                return track
        return Track(response_id)

    def keeping(self, track: Track) -> "Playback":
        others = self.without(track.response_id).tracks
        return replace(self, tracks=(*others[-_TRACKS + 1 :], track))

    def without(self, response_id: str) -> "Playback":
        rest = tuple(one for one in self.tracks if one.response_id != response_id)
        return replace(self, tracks=rest)


Heeded = (
    CallDropped
    | Parting
    | Hushed
    | ResponseStarted
    | ResponseEnded
    | AudioStarted
    | AudioStopped
    | AudioCleared
)
Result = tuple[Playback, tuple[PlaybackEnded | ClearAudio, ...]]


def step(state: Playback, event: Heeded, _: float) -> Result:
    if isinstance(event, CallDropped):
        # What is heard of them from now on is not told.
        ended = (PlaybackEnded(one.response_id, one.purpose, Heard.PART) for one in state.tracks)
        return replace(state, tracks=()), tuple(ended)
    if isinstance(event, Parting):
        return replace(state, parting=True, hushed=False), _cut(state)
    if isinstance(event, Hushed):
        return replace(state, hushed=event.on), _cut(state) if event.on else ()
    track = state.track(event.response_id)
    match event:
        case ResponseStarted(purpose=purpose):
            return state.keeping(replace(track, purpose=purpose)), ()
        case AudioStarted():
            unbidden = state.parting or state.hushed
            unwanted = unbidden and track.purpose is not Purpose.GOODBYE
            return state.keeping(replace(track, playing=True)), (ClearAudio(),) * unwanted
        case AudioStopped():
            return _ended(state, track, Heard.ALL)
        case AudioCleared():
            return _ended(state, track, Heard.PART)
        case ResponseEnded(completed=completed):
            if completed or track.playing:
                return state, ()
            return _ended(state, track, Heard.NOTHING)


def _cut(state: Playback) -> tuple[ClearAudio, ...]:
    """Speech is generated faster than it is played: what the caller listens to now may be a
    response that ended long ago, which cancelling does not reach."""
    return (ClearAudio(),) * any(track.playing for track in state.tracks)


def _ended(state: Playback, track: Track, heard: Heard) -> Result:
    ended = PlaybackEnded(track.response_id, track.purpose, heard)
    return state.without(track.response_id), (ended,)
