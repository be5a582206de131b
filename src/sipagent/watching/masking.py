"""Words of a call as they are spoken, with telephone numbers masked as they are in turns. Pure."""

from collections import OrderedDict
from typing import Final

from sipagent.store.shown import said

MOST_UTTERANCES: Final = 16

MOST_HELD: Final = 200
"""Characters that may be a number and are held back; of a longer run nothing more is shown."""

_BEGINS: Final = frozenset("+(0123456789")
_GOES_ON: Final = "+(0123456789).- "


class MaskedWords:
    """Holds back what may be part of a number until something else follows it. What an utterance
    ends with is shown with its turn only."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: OrderedDict[str, str] = OrderedDict()

    def feed(self, item: str, delta: str) -> str:
        """What may be shown now of this utterance, which goes on."""
        text = self._held.pop(item, "") + delta
        certain = len(text.rstrip(_GOES_ON))
        begins = next((at for at in range(certain, len(text)) if text[at] in _BEGINS), len(text))
        if begins < len(text):
            self._held[item] = text[begins : begins + MOST_HELD]
            if len(self._held) > MOST_UTTERANCES:
                self._held.popitem(last=False)
        return said(text[:begins], numbers=False) if begins else ""
