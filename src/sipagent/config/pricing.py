"""What models cost: the prices of this release, and the operator's own before them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final
from urllib.parse import urlsplit

from sipagent.config.findings import Complaint, Findings, Steps
from sipagent.config.gathering import Gathered
from sipagent.config.outline import OUTLINES
from sipagent.config.schema import PricesFile
from sipagent.config.schema.base import given
from sipagent.config.schema.prices import PricedModel, PriceEntries, TokenPrices
from sipagent.config.validation import validate
from sipagent.config.yamlfile.reader import read
from sipagent.config.yamlfile.values import to_data
from sipagent.model import Json, ModelPrice, Prices
from sipagent.providers.accounts import OPENAI_BASE_URL, AccountSpec

PACKAGED: Final = "prices.yaml"
_TOKEN: Final = 1000
"""Nano-dollars for a token, of USD for a million tokens."""

_MINUTE: Final = 1_000_000_000
_PERCENT: Final = 100
_KINDS: Final = ("text", "audio", "image")
_ENDPOINT: Final = "AZURE_OPENAI_ENDPOINT"
_BASE_URL: Final = "OPENAI_BASE_URL"

_Found = Complaint | tuple[str, int]


@dataclass(frozen=True, slots=True)
class Upstream:
    """Whose prices hold: `own_only` where the provider's list does not, as models are names of
    deployments; `resident` where data stays in a region."""

    own_only: bool = False
    resident: bool = False


@dataclass(frozen=True, slots=True)
class PriceList:
    """`models` and, for accounts whose data stays in a region, `resident`. `own` are the models of
    which the operator has said the price."""

    version: str = ""
    models: Mapping[str, ModelPrice] = field(default_factory=dict)
    resident: Mapping[str, ModelPrice] = field(default_factory=dict)
    own: frozenset[str] = frozenset()

    def of(self, session: Json, upstream: Upstream) -> Prices:
        """What calls with this session cost."""
        return Prices(
            self.version,
            self._price(session.get("model"), upstream),
            self._price(transcriber_of(session), upstream),
        )

    def _price(self, model: object, upstream: Upstream) -> ModelPrice | None:
        if not isinstance(model, str) or (upstream.own_only and model not in self.own):
            return None
        return (self.resident if upstream.resident else self.models).get(model)

    def under(self, own: "PriceList") -> "PriceList":
        """These, with the operator's before them."""
        return PriceList(
            f"{self.version}+{own.version}",
            {**self.models, **own.models},
            {**self.resident, **own.resident},
            frozenset(own.models),
        )


def transcriber_of(session: Json) -> object:
    """The model that writes down what the caller says, as far as the session has one."""
    here: Any = session
    for step in ("audio", "input", "transcription", "model"):
        here = here.get(step) if isinstance(here, Mapping) else None
    return here


def upstream_of(spec: AccountSpec | None, environment: Mapping[str, str]) -> Upstream:
    """Whose prices hold for an account; None is that of the environment."""
    if spec is not None:
        own_only, url = spec.capabilities.model_is_deployment, spec.base_url
    else:
        own_only = any(environment.get(name) for name in (_ENDPOINT, f"{_ENDPOINT}_FILE"))
        url = environment.get(_BASE_URL) or OPENAI_BASE_URL
    host = urlsplit(url).hostname or ""
    resident = host.endswith(".api.openai.com")
    return Upstream(own_only, resident and not own_only)


@dataclass(frozen=True, slots=True)
class Charges:
    """The prices of each tenant's calls, by the account that takes them."""

    prices: PriceList
    accounts: tuple[AccountSpec, ...]
    environment: Mapping[str, str]

    def of(self, session: Json, account: str | None) -> Prices:
        """What calls with this session cost at the account; None is any of them, the dearest."""
        named = [spec for spec in self.accounts if account in (None, spec.name)]
        found = [upstream_of(spec, self.environment) for spec in named or (None,)]
        own_only = any(upstream.own_only for upstream in found)
        resident = any(upstream.resident for upstream in found)
        return self.prices.of(session, Upstream(own_only, resident))


def price_list(gathered: Gathered) -> PriceList:
    """The prices that hold. What is wrong with the operator's own is told where it stands."""
    inline = gathered.main.draft.file.prices
    if isinstance(inline, PriceEntries):
        own, complaints = compiled(inline, ("prices",))
        for complaint in complaints:
            gathered.main.complain(complaint)
        return packaged().under(own)
    if gathered.prices is None:
        return packaged()
    own, complaints = compiled(gathered.prices.draft.file, ())
    for complaint in complaints:
        gathered.prices.complain(complaint)
    return packaged().under(own)


@lru_cache(maxsize=1)
def packaged() -> PriceList:
    """The prices that this release knows."""
    findings = Findings(PACKAGED)
    text = files("sipagent.config").joinpath(PACKAGED).read_text("utf-8")
    data = to_data(read(text, findings), findings, OUTLINES[PricesFile], None)
    draft, told = validate(data, PricesFile, findings)
    prices, complaints = compiled(draft.file, ())
    for complaint in (*told, *complaints):
        raise ValueError(f"{PACKAGED}: {complaint}")
    return prices


def compiled(entries: PriceEntries, above: Steps) -> tuple[PriceList, list[Complaint]]:
    """The prices in nano-dollars, and what of them is not exact."""
    complaints: list[Complaint] = []
    plain: dict[str, ModelPrice] = {}
    resident: dict[str, ModelPrice] = {}
    for name, entry in entries.models.items():
        steps = (*above, "models", name)
        plain[name] = _model(entry, steps, Decimal(1), complaints)
        share = given(entry.residency)
        factor = 1 + Decimal(share[:-1]) / _PERCENT if share is not None else Decimal(1)
        resident[name] = _model(entry, steps, factor, complaints)
    return PriceList(entries.version, plain, resident), complaints


def _model(
    entry: PricedModel, steps: Steps, factor: Decimal, complaints: list[Complaint]
) -> ModelPrice:
    found: dict[str, int] = {}
    for item in _amounts(entry, steps, factor):
        if isinstance(item, Complaint):
            complaints.append(item)
        else:
            found[item[0]] = item[1]
    if not entry.model_fields_set & {*_KINDS, "minute"}:
        complaints.append(Complaint(steps, "has no price", "write text, audio, image or minute"))
    return ModelPrice(**found)


def _amounts(entry: PricedModel, steps: Steps, factor: Decimal) -> Iterator[_Found]:
    for kind in _KINDS:
        prices: TokenPrices | None = given(getattr(entry, kind))
        if prices is None:
            continue
        of_input = given(prices.input)
        cached = prices.cached if given(prices.cached) is not None else of_input
        for key, name, amount in (
            ("input", f"{kind}_in", of_input),
            ("cached", f"{kind}_cached", cached),
            ("output", f"{kind}_out", given(prices.output)),
        ):
            if key == "output" and kind == "image" and amount is not None:
                yield Complaint((*steps, kind, key), "no model of calls answers with images")
            elif amount is not None:
                yield _nanos(name, amount, _TOKEN, factor, (*steps, kind, key))
    if given(entry.minute) is not None:
        yield _nanos("minute", entry.minute, _MINUTE, factor, (*steps, "minute"))


def _nanos(name: str, amount: object, unit: int, factor: Decimal, steps: Steps) -> _Found:
    """Whole nano-dollars. Of a number the shortest decimal is meant that reads back as it."""
    nanos = Decimal(str(amount)) * unit * factor
    if nanos != nanos.to_integral_value():
        what = "a token" if unit == _TOKEN else "a minute"
        with_ = "" if factor == 1 else ", with what residency adds,"
        message = f"the price of {what}{with_} is no whole number of nano-dollars"
        return Complaint(steps, message, "leave out the last digits")
    return name, int(nanos)
