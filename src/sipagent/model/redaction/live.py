"""The guards of one call's utterances, of which several may be spoken at once."""

from collections import OrderedDict
from collections.abc import Collection
from typing import Final

from sipagent.model.plan import Redaction
from sipagent.model.redaction.guard import StreamGuard

MOST_UTTERANCES: Final = 16


class LiveWords:
    """Words of one call as they may be shown live, utterance by utterance.

    An utterance that is never ended gives way to the sixteenth after it: what it held back is never
    shown live.
    """

    __slots__ = ("_guards", "_kinds")

    def __init__(self, kinds: Collection[Redaction]) -> None:
        self._kinds = kinds
        self._guards: OrderedDict[str, StreamGuard] = OrderedDict()

    def feed(self, item_id: str, delta: str) -> str:
        """What may be shown now of this utterance, which goes on."""
        if not self._kinds:
            return delta
        guard = self._guards.get(item_id)
        if guard is None:
            guard = self._guards[item_id] = StreamGuard(self._kinds)
            if len(self._guards) > MOST_UTTERANCES:
                self._guards.popitem(last=False)
        return guard.feed(delta)

    def end(self, item_id: str) -> str:
        """What was held back of this utterance, which is over."""
        guard = self._guards.pop(item_id, None)
        return "" if guard is None else guard.flush()
