"""What the provider bills: tokens by modality, or seconds, of one response or transcription."""

from enum import StrEnum

from msgspec import Struct


class UsageKind(StrEnum):
    RESPONSE = "response"
    TRANSCRIPTION = "transcription"
    SUMMARY = "summary"


class Tokens(Struct, frozen=True):
    """Tokens by modality. The cached ones are part of the input, not beside it (OpenAI,
    `response.done.response.usage`: `cached_tokens_details` is within `input_token_details`)."""

    text_in: int = 0
    audio_in: int = 0
    image_in: int = 0
    text_cached: int = 0
    audio_cached: int = 0
    image_cached: int = 0
    text_out: int = 0
    audio_out: int = 0

    @property
    def total(self) -> int:
        return self.text_in + self.audio_in + self.image_in + self.text_out + self.audio_out

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(
            *(getattr(self, name) + getattr(other, name) for name in self.__struct_fields__)
        )


class Bill(Struct, frozen=True):
    """What one event says was used: `seconds` where a transcription is billed by time."""

    tokens: Tokens = Tokens()
    seconds: float | None = None


class Usage(Struct, frozen=True):
    """One bill of one call. `source_id` is the response's or the transcribed item's id: the same
    bill that comes twice is one. `cost` is in micro-dollars, None where no price is known."""

    source_id: str
    kind: UsageKind
    model: str | None
    bill: Bill
    cost: int | None
    price_version: str
