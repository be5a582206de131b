"""Limits, ceilings and prices laid out as settings, as people write them."""

from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Final

from sipagent.config.pricing import PriceList
from sipagent.config.schema.base import CURRENCY
from sipagent.model import AgentProfile, ModelPrice, Otherwise, Quota, Rate

_MICROS: Final = 1_000_000
_NANOS: Final = 1_000_000_000
_TOKEN: Final = 1000
_HUNDREDTHS: Final = 100


def quota_facts(quota: Quota | None) -> dict[str, str]:
    """The limits of a number, tenant or account, by the keys of agents.yaml."""
    if quota is None:
        return {}
    found = {
        "max_concurrent_calls": None if quota.held is None else str(quota.held),
        "call_rate": None if quota.rate is None else rate_text(quota.rate),
        "budget.day": None if quota.day is None else money_text(quota.day),
        "budget.month": None if quota.month is None else money_text(quota.month),
        "budget.warn_at": ", ".join(map(share_text, quota.warn_at)) or None,
    }
    return {key: text for key, text in found.items() if text is not None}


def ceiling_facts(profile: AgentProfile) -> dict[str, str]:
    """What one call of the agent may take, and what is done when its model fails."""
    found = {"on_failure": ", ".join(profile.on_failure)}
    if profile.ceilings.duration is not None:
        found["max_duration"] = f"{profile.ceilings.duration:g}s"
    if profile.ceilings.cost is not None:
        found["max_cost"] = money_text(profile.ceilings.cost)
    spare = profile.editions[0].fallback_session
    if spare is not None:
        found["fallback_model"] = str(spare["model"])
    return found


def price_facts(prices: PriceList) -> dict[str, Mapping[str, str]]:
    """The list's version, and each price in USD."""
    return {
        "list": {"version": prices.version},
        **{
            model: _price(price) | _residency(prices, model)
            for model, price in prices.models.items()
        },
    }


def _residency(prices: PriceList, model: str) -> dict[str, str]:
    """What differs where data stays in a region."""
    plain, resident = _price(prices.models[model]), _price(prices.resident[model])
    return {f"resident.{name}": text for name, text in resident.items() if plain[name] != text}


def _price(price: ModelPrice) -> dict[str, str]:
    found = {}
    for each in fields(price):
        nanos: int | None = getattr(price, each.name)
        if nanos is not None:
            unit = _NANOS if each.name == "minute" else _TOKEN
            found[each.name] = f"{(Decimal(nanos) / unit).normalize():f}"
    return found


def otherwise_text(otherwise: Otherwise) -> str:
    return f"fallback, else {otherwise.code}" if otherwise.fallback else str(otherwise.code)


def money_text(micros: int) -> str:
    """The sum as people write it."""
    return f"{(Decimal(micros) / _MICROS).normalize():f} {CURRENCY}"


def share_text(hundredths: int) -> str:
    return f"{hundredths / _HUNDREDTHS:g}%"


def rate_text(rate: Rate) -> str:
    """The rate as people write it."""
    for unit, seconds in (("h", 3600), ("m", 60)):
        if rate.seconds >= seconds and rate.seconds % seconds == 0:
            return f"{rate.count}/{rate.seconds / seconds:g}{unit}"
    return f"{rate.count}/{rate.seconds:g}s"
