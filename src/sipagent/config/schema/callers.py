"""Who gets through to a number, and what the carrier must say of a caller."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from sipagent.config.schema.base import (
    ABSENT,
    LIST,
    MAPPING,
    NUMBER,
    TEXT,
    Entry,
    ExpandableWord,
    RateText,
    Word,
    shaped,
)
from sipagent.config.schema.limits import SipCode


class PatternFile(Entry):
    file: ExpandableWord = Field(
        description="A UTF-8 text file with one pattern in each line, relative to this folder."
    )


CallerPatterns = Annotated[
    Annotated[Word, Tag(TEXT)]
    | Annotated[list[Word], Field(min_length=1), Tag(LIST)]
    | Annotated[PatternFile, Tag(MAPPING)],
    shaped('numbers, prefixes such as "+1406*", anonymous, or {file: path} with a list of them'),
]


class OtherAgent(Entry):
    agent: Word = Field(description="The agent that answers instead.")


class AttestationWanted(Entry):
    min: Literal["A", "B", "C"] = Field(
        description="The least STIR/SHAKEN attestation of the caller's number."
    )
    otherwise: Annotated[
        Annotated[Literal["reject", "flag"], Tag(TEXT)] | Annotated[OtherAgent, Tag(MAPPING)],
        shaped("reject, flag or {agent: name}"),
    ] = Field(default="reject", description="What follows where it is less.")
    code: SipCode = Field(default=603, description="The SIP status that rejects, 300 to 699.")


class AttestationEverywhere(Entry):
    min: Literal["A", "B", "C"] = Field(
        description="The least STIR/SHAKEN attestation of the caller's number."
    )
    otherwise: Literal["reject", "flag"] = Field(
        default="reject", description="What follows where it is less."
    )
    code: SipCode = Field(default=603, description="The SIP status that rejects, 300 to 699.")


class _Callers(Entry):
    """What is said of callers wherever it is."""

    allow: CallerPatterns = Field(default=ABSENT, description="The only callers who get through.")
    deny: CallerPatterns = Field(default=ABSENT, description="Callers who do not get through.")
    anonymous: Annotated[
        Annotated[SipCode, Tag(NUMBER)] | Annotated[Literal["reject", "accept"], Tag(TEXT)],
        shaped("reject, accept or a SIP status such as 433"),
    ] = Field(default=ABSENT, description="What callers get who withhold their number.")
    per_caller: RateText = Field(
        default=ABSENT, description="The most calls of one caller in a time, such as 3/10m."
    )
    code: SipCode = Field(
        default=603, description="The SIP status for callers who do not get through, 300 to 699."
    )


class CallersEverywhere(_Callers):
    """Who gets through to any number at all."""

    attestation: AttestationEverywhere = Field(
        default=ABSENT, description="What the carrier must say of the caller's number."
    )


class CallersEntry(_Callers):
    """Who gets through to the numbers of one tenant, or to one number."""

    attestation: AttestationWanted = Field(
        default=ABSENT, description="What the carrier must say of the caller's number."
    )
