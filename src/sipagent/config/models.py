"""Models by names of the operator's own, and when the provider retires which."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from sipagent.config.findings import Complaint
from sipagent.config.gathering import Gathered
from sipagent.config.schema.base import given
from sipagent.config.words import quoted

RETIRED_ON: Final = {
    "gpt-realtime": date(2027, 1, 20),
    "gpt-realtime-2025-08-28": date(2027, 1, 20),
    "gpt-realtime-mini": date(2027, 1, 20),
    "gpt-realtime-mini-2025-10-06": date(2027, 1, 20),
    "gpt-realtime-mini-2025-12-15": date(2027, 1, 20),
    "gpt-4o-realtime-preview": date(2027, 1, 20),
    "gpt-4o-mini-realtime-preview": date(2027, 1, 20),
    "whisper-1": date(2027, 2, 26),
    "gpt-4o-transcribe": date(2027, 2, 26),
    "gpt-4o-mini-transcribe": date(2027, 2, 26),
    "gpt-4o-mini-transcribe-2025-12-15": date(2027, 2, 26),
    "gpt-4o-transcribe-diarize": date(2027, 2, 26),
}
"""Shutdown dates as openai-python 3.52 and the provider's deprecations page have them."""

SUCCESSORS: Final = {
    date(2027, 1, 20): "gpt-realtime-2.1 or gpt-realtime-2.1-mini",
    date(2027, 2, 26): "gpt-transcribe or gpt-live-transcribe",
}


def verify_models(gathered: Gathered) -> Iterator[Complaint]:
    """Fallbacks that are not there, or that lead in a circle."""
    models = gathered.main.draft.file.models
    for name, model in models.items():
        if given(model.fallback) is None:
            continue
        steps = ("models", name, "fallback")
        if model.fallback not in gathered.main.draft.names("models"):
            hint = gathered.main.findings.did_you_mean(model.fallback, frozenset(models))
            yield Complaint(steps, f"there is no model {quoted(model.fallback)}", hint)
            continue
        seen, here = {name}, model.fallback
        while here in models and here not in seen:
            seen.add(here)
            here = given(models[here].fallback) or ""
        if here == name:
            yield Complaint(steps, "the models fall back on one another in a circle")
