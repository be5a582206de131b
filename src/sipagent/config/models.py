"""Models by names of the operator's own, and when the provider retires which."""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date
from typing import Final

from sipagent.config.findings import Complaint
from sipagent.config.gathering import Gathered
from sipagent.config.schema.base import given
from sipagent.config.words import quoted
from sipagent.model import TenantName
from sipagent.providers.accounts import AccountSpec
from sipagent.routing import ForwardTo, Route, TenantProfile

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

SPEAKERS: Final = frozenset(
    {
        "gpt-realtime-2.1",
        "gpt-realtime-2.1-mini",
        "gpt-realtime-2",
        "gpt-realtime-1.5",
        "gpt-audio-1.5",
        "gpt-audio-mini",
        "gpt-realtime",
        "gpt-realtime-2025-08-28",
        "gpt-realtime-mini",
        "gpt-realtime-mini-2025-10-06",
        "gpt-realtime-mini-2025-12-15",
        "gpt-4o-realtime-preview",
        "gpt-4o-mini-realtime-preview",
    }
)
TRANSCRIBERS: Final = frozenset(
    {
        "gpt-transcribe",
        "gpt-live-transcribe",
        "gpt-realtime-whisper",
        "whisper-1",
        "gpt-4o-transcribe",
        "gpt-4o-transcribe-diarize",
        "gpt-4o-mini-transcribe",
        "gpt-4o-mini-transcribe-2025-12-15",
    }
)
"""Models of the provider, to find misspelled ones. Others are passed on: new ones come."""

_LIKE_AN_ENTRY: Final = 0.75
_LIKE_A_MODEL: Final = 0.85
_VERSION: Final = re.compile(r"[-0-9.]+")

SUCCESSORS: Final = {
    date(2027, 1, 20): "gpt-realtime-2.1 or gpt-realtime-2.1-mini",
    date(2027, 2, 26): "gpt-transcribe or gpt-live-transcribe",
}


def meant_model(name: str, entries: Collection[str]) -> str | None:
    """The entry under `models` or the provider's model that was probably meant, None if the name is
    one of them or like none. Only other digits are a version that we do not know yet."""
    known = SPEAKERS | TRANSCRIBERS
    if name in known or name in entries:
        return None
    if found := difflib.get_close_matches(name, entries, n=1, cutoff=_LIKE_AN_ENTRY):
        return found[0]
    if _VERSION.sub("-", name) in {_VERSION.sub("-", each) for each in known}:
        return None
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=_LIKE_A_MODEL)
    return found[0] if found else None


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


def verify_silent(
    gathered: Gathered,
    lines: Iterable[Route],
    tenants: Mapping[TenantName, TenantProfile],
    accounts: Collection[AccountSpec],
) -> Iterator[Complaint]:
    """A missing model for calls that are forwarded by an account that has none of its own."""
    main = gathered.main.draft
    if given(main.file.defaults.model) is not None or main.lacks(("defaults", "model")):
        return
    named = {spec.name for spec in accounts if spec.capabilities.model_is_deployment}
    for line in lines:
        account = tenants[line.tenant].account
        concerned = named if account is None else named & {account}
        if concerned and any(isinstance(rule.action, ForwardTo) for rule in line.rules):
            message = f"is missing: calls to {line.key} are forwarded by {min(concerned)}"
            hint = "an account of Azure has only the deployments that you name"
            yield Complaint(("defaults", "model"), message, hint, at_key=True)
            return
