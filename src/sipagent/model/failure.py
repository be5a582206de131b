"""What is done when the model fails."""

from enum import StrEnum
from typing import Final


class FailureStep(StrEnum):
    """What is tried when the model fails: ask it again, send the caller to the tenant's fallback,
    hang up."""

    RETRY = "retry"
    FALLBACK = "fallback"
    HANG_UP = "hang_up"


ON_FAILURE: Final = (FailureStep.RETRY, FailureStep.FALLBACK, FailureStep.HANG_UP)
"""What is tried where an agent does not say."""
