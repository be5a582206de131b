"""Who would answer a call, and why: the decision on a call that nobody placed."""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from sipagent.api.v1.base import Behind, Model, Name, Reader, missing, once_of
from sipagent.api.v1.errors import Unusable, described
from sipagent.api.v1.idempotency import IdempotencyKey
from sipagent.api.v1.numbers import routes_of
from sipagent.api.v1.ports import Answered, Asked, Backend
from sipagent.api.v1.shapes import Step
from sipagent.errors import QuestionError
from sipagent.model import TenantName
from sipagent.model.access import Principal
from sipagent.routing import RoutingTable

router = APIRouter(prefix="/api/v1/explain", tags=["numbers"])

_MOST_HEADERS: Final = 50
_DEFAULT: Final = "numbers.default"


class SentHeader(Model):
    """One SIP header as a carrier sends it."""

    name: Name = Field(description="Its name.", examples=["Diversion"])
    value: Name = Field(description="Its value.", examples=["<sip:+442079460018@carrier>"])


class Question(Model):
    """A call to ask about. Nothing is called, claimed or counted."""

    dialed: Name = Field(
        description="The dialed number, or a whole value of the To header.",
        examples=["+442079460018"],
    )
    caller: Name | None = Field(
        default=None, description="The caller's number; else withheld.", examples=["+447700900123"]
    )
    at: Name | None = Field(
        default=None,
        description="ISO 8601, in the number's zone without an offset; else now.",
        examples=["2026-12-25T10:00"],
    )
    headers: list[SentHeader] = Field(
        default_factory=list,
        max_length=_MOST_HEADERS,
        description="Headers that are added, or stand in place of their names'.",
    )
    trunk: Name | None = Field(
        default=None, description="Take it that the call comes by this trunk, as proven."
    )
    account: Name | None = Field(
        default=None, description="The account that it comes to; else the number's."
    )


class Limited(Model):
    """A limit that would be looked at."""

    which: str
    count: int
    seconds: float


class Consulted(Model):
    """Whom the decision asks first."""

    url: str
    timeout: float
    known: dict[str, Any]


class Explained(Model):
    """What would happen, and why."""

    verdict: str = Field(description="accept, forward or reject.", examples=["accept"])
    tenant: str | None = Field(description="Whose call it would be.", examples=["acme"])
    agent: str | None = Field(default=None, description="Who answers.", examples=["reception"])
    language: str | None = Field(default=None, description="In which language.")
    destination: str | None = Field(default=None, description="Where it is sent.")
    refer_to: str | None = Field(default=None, description="The address of the destination.")
    code: int | None = Field(default=None, description="The SIP status that refuses.")
    reason: str | None = Field(default=None, description="Why it is refused.")
    dialed: str | None = Field(description="The number that was found.")
    dialed_source: str | None = Field(description="The header it was in.")
    listed: bool = Field(description="Whether the directory lists the number itself.")
    account: str
    at: str = Field(description="The time of the call where the number is.")
    trunk: str | None
    trunk_proven: bool
    caps: list[Limited] = Field(description="Limits that would be looked at.")
    trace: list[Step] = Field(description="The decision, step by step.")
    consults: bool = Field(
        default=False, description="Whether the tenant's own endpoint is asked first."
    )


@router.post("", operation_id="explain", response_model=Explained, responses=described(404, 409))
async def explain(
    by: Reader, behind: Behind, request: Request, wanted: Question, key: IdempotencyKey = None
) -> Response:
    """Say what would happen to a call, which rule decides, and why no other one does."""

    async def work() -> Response:
        _judge(behind, by, wanted)
        asked = Asked(
            wanted.dialed,
            wanted.caller,
            wanted.at,
            [(one.name, one.value) for one in wanted.headers],
            wanted.trunk,
            wanted.account,
        )
        try:
            answered = behind.config.explain(asked)
        except QuestionError:
            raise Unusable("#", "There is no such trunk or account, or `at` is no time.") from None
        if not by.is_operator and answered.tenant != by.tenant:
            raise missing("number")
        return JSONResponse(_told(behind, by, answered).model_dump(mode="json"))

    return await once_of(request).answer(request, by, work, harmless=True)


def _judge(behind: Backend, by: Principal, wanted: Question) -> None:
    """Raises Unusable where a tenant names a trunk or an account that none of its numbers has: as
    for one that is not there."""
    if by.tenant is None:
        return
    table = behind.config.table
    trunks = {route.trunk for route in routes_of(table, by.tenant)}
    if wanted.trunk is not None and wanted.trunk not in trunks:
        raise Unusable("#", "There is no such trunk or account, or `at` is no time.")
    if wanted.account is not None:
        directory = {name: one for name, one in table.directories.items() if name == wanted.account}
        routes = [
            route
            for one in directory.values()
            for route in (*one.exact.values(), *one.prefixes)
            if route.tenant == by.tenant
        ]
        if not routes:
            raise Unusable("#", "There is no such trunk or account, or `at` is no time.")


def has_default(table: RoutingTable, tenant: TenantName | None) -> bool:
    """Whether whatever `default` says is this tenant's own."""
    directories = table.directories.values()
    return all(one.default is None or one.default.tenant == tenant for one in directories)


def before_default(steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The trace up to where `default` decides: what it says, and what follows from it, as an order
    for an agent that it leads to, is told only to whoever has it."""
    return [*takewhile(lambda step: step["source"] != _DEFAULT, steps)]


def _told(behind: Backend, by: Principal, answered: Answered) -> Explained:
    data: dict[str, Any] = {**answered.told, "consults": "consult" in answered.told}
    data.pop("consult", None)
    if not by.is_operator and data["tenant"] != by.tenant:
        # Where no rule of the number holds, the operator's default may have another tenant answer.
        for name in ("agent", "language", "destination", "refer_to"):
            data[name] = None
        data["tenant"] = None
    if not by.is_operator and not has_default(behind.config.table, by.tenant):
        data["trace"] = before_default(data["trace"])
    told: Explained = Explained.model_validate(data)
    return told
