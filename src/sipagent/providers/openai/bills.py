"""What a response or a transcription is billed, out of the provider's `usage`. Pure.

Every field of it is optional. What cannot be what was used (a negative number, more cached than
put in, a sum that nobody reaches) makes no bill: usage that is unknown is said to be unknown.
"""

from typing import Any, Final

from sipagent.model import Bill, Tokens

_MOST_TOKENS: Final = 1_000_000_000
_MOST_SECONDS: Final = 86_400.0


class _OddError(ValueError):
    """A number that no bill has."""


def response_bill(usage: Any) -> Bill | None:
    """The bill of `response.done.response.usage`, None where there is none to be had."""
    try:
        read, written = usage["input_token_details"], usage["output_token_details"]
        tokens = Tokens(
            text_in=_count(read, "text_tokens"),
            audio_in=_count(read, "audio_tokens"),
            image_in=_count(read, "image_tokens"),
            text_out=_count(written, "text_tokens"),
            audio_out=_count(written, "audio_tokens"),
            **_cached(read),
        )
    except (_OddError, TypeError, KeyError, AttributeError):
        return None
    fits = (
        tokens.text_cached <= tokens.text_in
        and tokens.audio_cached <= tokens.audio_in
        and tokens.image_cached <= tokens.image_in
    )
    return Bill(tokens) if fits else None


def transcription_bill(usage: Any) -> Bill | None:
    """The bill of a transcription, by tokens or by time."""
    try:
        if usage["type"] == "duration":
            return Bill(seconds=_seconds(usage["seconds"]))
        details = usage.get("input_token_details")
        if details is None:
            # What is transcribed is speech.
            details = {"audio_tokens": usage["input_tokens"]}
        return Bill(
            Tokens(
                text_in=_count(details, "text_tokens"),
                audio_in=_count(details, "audio_tokens"),
                text_out=_count(usage, "output_tokens"),
            )
        )
    except (_OddError, TypeError, KeyError, AttributeError):
        return None


def _cached(read: Any) -> dict[str, int]:
    """The cached tokens by modality; a sum that nobody breaks down has no price."""
    details = read.get("cached_tokens_details")
    if details is None:
        if _count(read, "cached_tokens"):
            raise _OddError("cached_tokens")
        return {}
    return {
        "text_cached": _count(details, "text_tokens"),
        "audio_cached": _count(details, "audio_tokens"),
        "image_cached": _count(details, "image_tokens"),
    }


def _count(details: Any, name: str) -> int:
    value = details.get(name)
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= _MOST_TOKENS:
        raise _OddError(name)
    return value


def _seconds(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _MOST_SECONDS:
        raise _OddError("seconds")
    return float(value)
