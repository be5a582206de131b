"""From the provider's `usage` to a bill, or to none."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.model import Bill, Tokens
from sipagent.providers.openai.bills import response_bill, transcription_bill


def usage(**into: Any) -> dict[str, Any]:
    return {"input_token_details": into, "output_token_details": {}}


RESPONSES: dict[str, tuple[Any, Bill | None]] = {
    "nothing used": (usage(), Bill()),
    "null parts": (usage(text_tokens=None, cached_tokens_details=None), Bill()),
    "images": (
        usage(image_tokens=9, cached_tokens_details={"image_tokens": 4}),
        Bill(Tokens(image_in=9, image_cached=4)),
    ),
    "absent": (None, None),
    "not an object": (5, None),
    "a list": ([], None),
    "totals only": ({"input_tokens": 5, "output_tokens": 5}, None),
    "details that are none": ({"input_token_details": 5, "output_token_details": {}}, None),
    "a negative number": (usage(text_tokens=-1), None),
    "an absurd number": (usage(audio_tokens=10**10), None),
    "a fraction": (usage(text_tokens=1.5), None),
    "a truth value": (usage(text_tokens=True), None),
    "a word": (usage(text_tokens="12"), None),
    "cached tokens of no modality": (usage(text_tokens=9, cached_tokens=5), None),
    "more cached text than text": (
        usage(text_tokens=1, cached_tokens_details={"text_tokens": 2}),
        None,
    ),
    "more cached audio than audio": (
        usage(text_tokens=9, cached_tokens_details={"audio_tokens": 1}),
        None,
    ),
    "more cached images than images": (
        usage(text_tokens=9, cached_tokens_details={"image_tokens": 1}),
        None,
    ),
}


@pytest.mark.parametrize(("told", "bill"), RESPONSES.values(), ids=RESPONSES)
def test_a_response_is_billed_as_it_is_told_or_not_at_all(told: Any, bill: Bill | None) -> None:
    assert response_bill(told) == bill


TRANSCRIPTIONS: dict[str, tuple[Any, Bill | None]] = {
    "by time": ({"type": "duration", "seconds": 2.5}, Bill(seconds=2.5)),
    "by whole seconds": ({"type": "duration", "seconds": 3}, Bill(seconds=3.0)),
    "by tokens": (
        {
            "type": "tokens",
            "input_tokens": 15,
            "output_tokens": 9,
            "input_token_details": {"text_tokens": 2, "audio_tokens": 13},
        },
        Bill(Tokens(text_in=2, audio_in=13, text_out=9)),
    ),
    "by tokens of no modality": (
        {"type": "tokens", "input_tokens": 13, "output_tokens": 9},
        Bill(Tokens(audio_in=13, text_out=9)),
    ),
    "absent": (None, None),
    "without a type": ({"seconds": 1}, None),
    "a negative time": ({"type": "duration", "seconds": -0.1}, None),
    "an absurd time": ({"type": "duration", "seconds": 1e9}, None),
    "no number": ({"type": "duration", "seconds": float("nan")}, None),
    "a truth value": ({"type": "duration", "seconds": True}, None),
    "without a time": ({"type": "duration"}, None),
    "a negative number": ({"type": "tokens", "input_tokens": 1, "output_tokens": -9}, None),
}


@pytest.mark.parametrize(("told", "bill"), TRANSCRIPTIONS.values(), ids=TRANSCRIPTIONS)
def test_a_transcription_is_billed_by_tokens_or_time(told: Any, bill: Bill | None) -> None:
    assert transcription_bill(told) == bill


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "seconds",
                    "input_tokens",
                    "input_token_details",
                    "output_token_details",
                    "text_tokens",
                    "cached_tokens_details",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=1_000, deadline=None)
@given(told=json_values)
def test_no_usage_breaks_anything_or_makes_a_negative_bill(told: Any) -> None:
    for bill in (response_bill(told), transcription_bill(told)):
        if bill is not None:
            tokens = bill.tokens
            assert tokens.total >= 0
            assert tokens.text_cached <= tokens.text_in
            assert bill.seconds is None or bill.seconds >= 0
