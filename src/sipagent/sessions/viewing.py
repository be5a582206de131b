"""Words of one call as a viewer gets to see them, without what its tenant has left out."""

from sipagent.model import CallPlan, Speaker
from sipagent.model.redaction import LiveWords
from sipagent.sessions.machine.events import AgentText, AgentTextDone, CallerText, CallerTextDone
from sipagent.sessions.ports import Tap, Words


class Viewing:
    """Hands words to the tap while somebody watches."""

    __slots__ = ("_call_id", "_redact", "_tap", "_words")

    def __init__(self, plan: CallPlan, tap: Tap) -> None:
        self._call_id = plan.call_id
        self._redact = plan.redact
        self._tap = tap
        self._words: LiveWords | None = None

    def spoken(self, event: AgentText | CallerText) -> None:
        """Show a piece of speech, or keep it until it is sure that it may be shown."""
        if not self._tap.watched(self._call_id):
            return
        delta = event.delta
        if self._redact:
            self._words = self._words or LiveWords(self._redact)
            delta = self._words.feed(event.item_id, delta)
        self._publish(event, delta)

    def finished(self, event: AgentTextDone | CallerTextDone) -> None:
        """Show what has been kept of an utterance: nothing follows."""
        if self._words is not None:
            self._publish(event, self._words.end(event.item_id))

    def _publish(
        self, event: AgentText | CallerText | AgentTextDone | CallerTextDone, delta: str
    ) -> None:
        if delta:
            agent = isinstance(event, AgentText | AgentTextDone)
            speaker = Speaker.AGENT if agent else Speaker.CALLER
            self._tap.publish(Words(self._call_id, speaker, event.item_id, delta))
