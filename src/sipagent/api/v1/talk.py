"""Talking to an agent from a browser, and secrets for programs that do so on their own."""

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from sipagent.api.problems import Problem
from sipagent.api.v1.base import (
    Administrator,
    Behind,
    Controller,
    Duration,
    Model,
    Name,
    duration_of,
    missing,
    noted,
    once_of,
    whose,
)
from sipagent.api.v1.errors import Unusable, described
from sipagent.api.v1.idempotency import IdempotencyKey
from sipagent.api.v1.ports import Backend
from sipagent.errors import EngineError, TalkError
from sipagent.model import AgentName
from sipagent.model.access import Deed, Principal
from sipagent.routing.talks import Talk
from sipagent.store.shown import iso

router = APIRouter(prefix="/api/v1", tags=["talk"])

LONGEST_OFFER: Final = 48 * 1024
"""Characters of an SDP offer. Browsers' have a few thousand."""

_LINE: Final = re.compile(r"[a-z]=[ -~]*", re.ASCII)
"""A line of an offer. Some who read one end a line at a bare carriage return as well: one in the
middle of a line would hide from us what they see."""

_SHORTEST, _LONGEST = 10, 7200
_AGAIN_IN: Final = "2"
_OFFER: Final = (
    "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n..."
)


class AgentWanted(Model):
    """Which agent, and as if it had been called where."""

    agent: Name = Field(description="The agent's name.", examples=["reception"])
    tenant: Name | None = Field(
        default=None, description="Whose agent. A tenant's own token needs none.", examples=["acme"]
    )
    number: Name | None = Field(
        default=None,
        description="A number of the tenant's, whose variables, zone and language the call has.",
        examples=["+442079460018"],
    )
    language: Name | None = Field(
        default=None, description="One of the agent's languages.", examples=["en"]
    )


class TalkWanted(AgentWanted):
    """Somebody wants to talk to an agent."""

    sdp: Annotated[str, Field(min_length=1, max_length=LONGEST_OFFER)] = Field(
        description="The browser's SDP offer: one audio section, `recvonly` for whoever has no"
        " microphone and types; no data channel.",
        examples=[_OFFER],
    )


class TalkTold(Model):
    """A call that is held: it is in the list of calls, and can be acted on as any other."""

    call_id: str = Field(description="The call.", examples=["rtc_u1_9c6574da"])
    tenant: str = Field(description="Whose agent it is.", examples=["acme"])
    agent: str = Field(description="Who answers.", examples=["reception"])
    sdp: str = Field(description="The SDP answer, for `setRemoteDescription`.")


class ClientSecretWanted(AgentWanted):
    """Another program is to talk to an agent without this service."""

    expires_in: Duration = Field(
        default="10m",
        description="For how long it may begin calls: 10 seconds to 2 hours.",
        examples=["10m"],
    )
    without_tools: bool = Field(
        default=False,
        description="Without the agent's tools: this service, which would run them, does not hold"
        " such calls.",
        examples=[True],
    )


class ClientSecretMade(Model):
    """A secret of the provider's. It is told now, and never again."""

    value: str = Field(description="What begins calls, as a Bearer token.", examples=["ek_68af29"])
    expires_at: str = Field(
        description="When it begins no more calls.", examples=["2026-11-29T09:40:00+00:00"]
    )
    tenant: str = Field(description="Whose agent it is.", examples=["acme"])
    agent: str = Field(description="Whose session such calls have.", examples=["reception"])


_TALKS: Final[dict[str, Any]] = {
    "status_code": 201,
    "response_model": TalkTold,
    "responses": described(404, 409, 413, 504),
}
_SECRETS: Final[dict[str, Any]] = {
    "status_code": 201,
    "response_model": ClientSecretMade,
    "responses": described(404, 409, 504),
}


@router.post("/talk", operation_id="talk_to_agent", **_TALKS)
async def talk(
    by: Controller,
    behind: Behind,
    request: Request,
    wanted: TalkWanted,
    key: IdempotencyKey = None,
) -> Response:
    """Talk to an agent: the browser's offer becomes a call that is held, recorded and billed like
    one of a telephone."""
    asked = talk_of(behind, by, wanted)
    verify_offer(wanted.sdp)

    async def work() -> Response:
        begun = await begin(behind, by, asked, wanted.sdp)
        return JSONResponse(begun.model_dump(), status_code=201)

    return await once_of(request).answer(request, by, work)


@router.post("/client-secrets", operation_id="create_client_secret", **_SECRETS)
async def client_secret(
    by: Administrator, behind: Behind, wanted: ClientSecretWanted
) -> JSONResponse:
    """Have the provider issue a client secret with an agent's session, for programs of your own.

    Calls that it begins are between that program and the provider: they are not held, limited or
    recorded here. It is refused for agents whose session holds credentials, or tools that only this
    service can run. This takes no Idempotency-Key, as its answer is kept nowhere.
    """
    lasts = int(duration_of(wanted.expires_in))
    if not _SHORTEST <= lasts <= _LONGEST:
        raise Unusable("#/expires_in", "A client secret lasts for 10 seconds to 2 hours.")
    asked = talk_of(behind, by, wanted)
    detail = {"seconds": lasts, "without_tools": wanted.without_tools}
    await noted(behind, by, Deed("client_secrets.create", asked.agent, asked.tenant, detail))
    try:
        issued = await behind.talks.client_secret(asked, lasts, without_tools=wanted.without_tools)
    except TalkError as error:
        raise problem_of(error) from None
    made = ClientSecretMade(
        value=issued.value,
        expires_at=iso(issued.expires_at) or "",
        tenant=asked.tenant,
        agent=asked.agent,
    )
    return JSONResponse(made.model_dump(), status_code=201)


def talk_of(behind: Backend, by: Principal, wanted: AgentWanted) -> Talk:
    """Whom this one wants to talk to. Raises Problem: 404, or 409 where two agents could be
    meant."""
    tenant = whose(by, wanted.tenant)
    agents = behind.config.table.agents
    found = [key for key in agents if key[1] == wanted.agent and tenant in (None, key[0])]
    if not found:
        raise missing("agent")
    if len(found) > 1:
        raise Problem(409, "ambiguous", "Several tenants have an agent of this name: add `tenant`.")
    return Talk(found[0][0], AgentName(wanted.agent), by.name, wanted.number, wanted.language)


async def begin(behind: Backend, by: Principal, talk: Talk, offer: str) -> TalkTold:
    """The call, which the audit notes. Raises Problem."""
    await noted(behind, by, Deed("talk.begin", talk.agent, talk.tenant))
    try:
        begun = await behind.talks.begin(talk, offer, who=by.token_id)
    except TalkError as error:
        raise problem_of(error) from None
    except EngineError:
        detail = "The engine that replicas share does not answer: no call is begun without it."
        raise Problem(503, "engine-away", detail, headers={"Retry-After": _AGAIN_IN}) from None
    # Whoever is told of the call may go on with it at any replica.
    await behind.watch.settle(begun.call_id)
    return TalkTold(call_id=begun.call_id, tenant=begun.tenant, agent=begun.agent, sdp=begun.sdp)


def verify_offer(offer: str) -> None:
    """Raises Unusable for what is no offer of one audio section of a reasonable length.

    By a data channel whoever talks could read the session, with all that its tools hold, and change
    it: who may talk to an agent may not do that.
    """
    if len(offer) > LONGEST_OFFER:
        raise Unusable("#/sdp", "The offer is too long.")
    lines = offer.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if lines[0] != "v=0" or not all(map(_LINE.fullmatch, lines)):
        raise Unusable("#/sdp", "This is no SDP offer with audio.")
    kinds = [line[2:].partition(" ")[0] for line in lines if line.startswith("m=")]
    if "audio" not in kinds:
        raise Unusable("#/sdp", "This is no SDP offer with audio.")
    if "application" in kinds:
        raise Unusable("#/sdp", "Leave out the data channel: this service controls the call.")
    if len(kinds) > 1:
        raise Unusable("#/sdp", "One audio section, and nothing else, please.")


_STATUS: Final = {
    "no-agent": 404,
    "no-number": 404,
    "too-many": 429,
    "draining": 503,
    "provider-silent": 504,
}


def problem_of(error: TalkError) -> Problem:
    status = _STATUS.get(error.code, 409)
    again = {"Retry-After": _AGAIN_IN} if status in (429, 503) else None
    return Problem(status, error.code, error.detail, headers=again)
