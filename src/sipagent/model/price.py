"""What tokens and minutes cost. All prices are whole nano-dollars, all costs whole micro-dollars:
a price list in USD for a million tokens is one in micro-dollars for a token."""

from dataclasses import dataclass
from typing import Final

from sipagent.model.usage import Bill

_NANOS_PER_MICRO: Final = 1000
_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """Nano-dollars for a token of each kind, and for a minute where time is billed; None where
    there is no price."""

    text_in: int | None = None
    text_cached: int | None = None
    text_out: int | None = None
    audio_in: int | None = None
    audio_cached: int | None = None
    audio_out: int | None = None
    image_in: int | None = None
    image_cached: int | None = None
    minute: int | None = None

    def cost(self, bill: Bill) -> int | None:
        """Micro-dollars, rounded half up; None where something is billed that has no price."""
        if bill.seconds is not None:
            if self.minute is None:
                return None
            return _micros(round(bill.seconds * self.minute / _SECONDS))
        tokens = bill.tokens
        priced = (
            (tokens.text_in - tokens.text_cached, self.text_in),
            (tokens.text_cached, self.text_cached),
            (tokens.text_out, self.text_out),
            (tokens.audio_in - tokens.audio_cached, self.audio_in),
            (tokens.audio_cached, self.audio_cached),
            (tokens.audio_out, self.audio_out),
            (tokens.image_in - tokens.image_cached, self.image_in),
            (tokens.image_cached, self.image_cached),
        )
        nanos = 0
        for used, price in priced:
            if used:
                if price is None:
                    return None
                nanos += used * price
        return _micros(nanos)


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices by which one call is charged, of one version of the price list. None where the
    list has no price for the model: then the cost is unknown, not nothing."""

    version: str = ""
    session: ModelPrice | None = None
    transcription: ModelPrice | None = None


def _micros(nanos: int) -> int:
    return (nanos + _NANOS_PER_MICRO // 2) // _NANOS_PER_MICRO
