"""What models cost, in USD: for a million tokens, or for a minute where time is billed."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints, Tag

from sipagent.config.schema.base import (
    ABSENT,
    AMOUNT_PATTERN,
    FILE,
    MAPPING,
    NUMBER,
    TEXT,
    Entry,
    Share,
    TextFile,
    Word,
    shape_of,
    shaped,
)


def _amount_of(value: Any) -> str | None:
    return NUMBER if isinstance(value, float) else shape_of(value)


Amount = Annotated[
    Annotated[float, Field(ge=0, le=1_000_000), Tag(NUMBER)]
    | Annotated[str, StringConstraints(pattern=AMOUNT_PATTERN), Tag(TEXT)],
    shaped("USD as a decimal number, such as 0.40", _amount_of),
]


class TokenPrices(Entry):
    """USD for a million tokens of one kind."""

    input: Amount = Field(default=ABSENT, description="A million tokens that go in, in USD.")
    cached: Amount = Field(
        default=ABSENT, description="Those of them that the provider had cached; else as input."
    )
    output: Amount = Field(default=ABSENT, description="A million tokens that come out, in USD.")


class PricedModel(Entry):
    text: TokenPrices = Field(default=ABSENT, description="Prices of text.")
    audio: TokenPrices = Field(default=ABSENT, description="Prices of sound.")
    image: TokenPrices = Field(default=ABSENT, description="Prices of images.")
    minute: Amount = Field(default=ABSENT, description="A minute in USD, where time is billed.")
    residency: Share = Field(
        default=ABSENT, description="What is added where data stays in a region, such as 10%."
    )


PriceVersion = Annotated[Word, StringConstraints(max_length=40)]


class PriceEntries(Entry):
    """Prices that precede those of this release."""

    version: PriceVersion = Field(description="A name for this state of your prices.")
    models: dict[Word, PricedModel] = Field(
        default={}, description="Prices by model; on Azure by deployment."
    )


class PricesFile(PriceEntries):
    """A file of prices."""


def _prices_of(value: Any) -> str | None:
    if isinstance(value, dict):
        return FILE if "file" in value else MAPPING
    return None


Prices = Annotated[
    Annotated[TextFile, Tag(FILE)] | Annotated[PriceEntries, Tag(MAPPING)],
    shaped("{file: path} or {version: ..., models: ...}", _prices_of),
]
