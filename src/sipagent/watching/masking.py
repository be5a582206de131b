"""Words of a call as they are spoken, with telephone numbers masked as they are in turns. Pure."""

import re
from collections import OrderedDict
from typing import Final

from sipagent.sip.untrusted import IN_TELEPHONE_NUMBERS, LONGEST_GAP, visible
from sipagent.store.shown import said

MOST_UTTERANCES: Final = 16

MOST_HELD: Final = 200
"""Characters that may be a number and are held back; a longer run is shown as stars."""

_TOO_LONG: Final = "0" * (MOST_HELD - LONGEST_GAP)
"""Stands for a run of which too much was held back, and is masked as it."""

# Matched from the end of the text backwards: in that direction its beginning is found at once.
_MAY_GO_ON: Final = re.compile(rf"(?:[{IN_TELEPHONE_NUMBERS}]{{0,{LONGEST_GAP}}}+\d)*+\+?")
_ENDS: Final = re.compile(rf"[{IN_TELEPHONE_NUMBERS}]*+")


class MaskedWords:
    """Holds back what may be part of a number until something else follows it. What an utterance
    ends with is shown with its turn only."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: OrderedDict[str, str] = OrderedDict()

    def feed(self, item: str, delta: str) -> str:
        """What may be shown now of this utterance, which goes on."""
        # What has no glyph parts no number in a turn, so it must end none here.
        text = self._held.pop(item, "") + visible(delta)
        backwards = text[::-1]
        begins = len(text) - _reach(_MAY_GO_ON, backwards)
        if begins < len(text):
            held = text[begins:]
            if len(held) > MOST_HELD:
                held = _TOO_LONG + text[len(text) - _reach(_ENDS, backwards) :]
            self._held[item] = held
            if len(self._held) > MOST_UTTERANCES:
                self._held.popitem(last=False)
        return said(text[:begins], numbers=False) if begins else ""


def _reach(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.match(text)
    return 0 if match is None else match.end()
