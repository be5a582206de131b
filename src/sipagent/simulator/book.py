"""All calls by id: the live ones, and as many ended ones as may be kept."""

from collections import deque
from collections.abc import Iterator

from sipagent.errors import SimulatorError
from sipagent.simulator.call import SimulatedCall


class CallBook:
    """Keeps the last `keep` ended calls, the last `keep_details` of them whole."""

    def __init__(self, keep: int, keep_details: int) -> None:
        self._keep = keep
        self._keep_details = min(keep, keep_details)
        self._calls: dict[str, SimulatedCall] = {}
        self._whole: deque[SimulatedCall] = deque()
        self._bare: deque[SimulatedCall] = deque()

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[SimulatedCall]:
        return iter(list(self._calls.values()))

    def add(self, call: SimulatedCall) -> None:
        if call.call_id in self._calls:
            raise SimulatorError(f"call_id: there is a call {call.call_id} already")
        self._calls[call.call_id] = call

    def find(self, call_id: str) -> SimulatedCall | None:
        return self._calls.get(call_id)

    def retire(self, call: SimulatedCall) -> None:
        """The call has ended; older ones make room."""
        call.compact()
        self._whole.append(call)
        while len(self._whole) > self._keep_details:
            older = self._whole.popleft()
            older.drop_details()
            self._bare.append(older)
        while len(self._whole) + len(self._bare) > self._keep:
            oldest = (self._bare or self._whole).popleft()
            del self._calls[oldest.call_id]
