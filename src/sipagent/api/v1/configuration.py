"""The configuration: what is in force, what a reload would change, and the reload itself."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from sipagent.api.v1.auth import check_operator
from sipagent.api.v1.base import Administrator, Behind, Model, Reader, noted, once_of
from sipagent.api.v1.errors import described
from sipagent.api.v1.idempotency import IdempotencyKey
from sipagent.api.v1.ports import ReloadTold
from sipagent.model.access import Deed
from sipagent.store.shown import iso

router = APIRouter(prefix="/api/v1/config", tags=["config"])

_LINE: Final = "agents.yaml:12:5: numbers: there is no agent `recption` (did you mean `reception`?)"


class TroubleTold(Model):
    """What else is wrong while calls are taken."""

    part: str
    code: str
    detail: str


class Config(Model):
    """What is in force. A tenant is told of its own files only."""

    config_hash: str = Field(description="The version in force.", examples=["3f2a9c1d"])
    origin: str = Field(
        description="files, stored (the last good version) or rollback.", examples=["files"]
    )
    since: str = Field(description="When it came into force.")
    usable: bool = Field(description="Whether the files that are there now can be used.")
    file: str | None = Field(description="The main file; the operator's to know.")
    findings: list[str] = Field(
        description="What is wrong with the files: file, line and column.", examples=[[_LINE]]
    )
    stale: dict[str, list[str]] = Field(
        description="Tenants that go on with their last good files, and why."
    )
    troubles: list[TroubleTold] = Field(description="Secrets or orders that cannot be read.")


class Reloaded(Model):
    """What came of reading the files, or would."""

    config_hash: str = Field(description="The version.", examples=["3f2a9c1d"])
    applied: bool = Field(
        description="Whether the files can be used and, of a diff, would change anything. What"
        " cannot be used changes nothing: `findings` says why."
    )
    findings: list[str] = Field(
        description="What is wrong: file, line and column.", examples=[[_LINE]]
    )
    changes: list[str] = Field(
        description="What is different, without values.", examples=[["2 numbers changed: calls"]]
    )


@router.get("", operation_id="get_config", responses=described())
async def config(by: Reader, behind: Behind) -> Config:
    """Tell what is in force, and what is wrong with the files."""
    status: Any = dict(behind.config.status())
    status["since"] = iso(status["since"])
    if not by.is_operator:
        own = status["stale"].get(by.tenant)
        status["stale"] = {} if own is None else {str(by.tenant): own}
        status |= {"file": None, "findings": [], "troubles": []}
    told: Config = Config.model_validate(status)
    return told


@router.get("/diff", operation_id="diff_config", responses=described())
async def diff(by: Reader, behind: Behind) -> Reloaded:
    """Say what a reload would change now. The operator's."""
    check_operator(by)
    return _told(await behind.config.diff())


@router.post(
    "/reload", operation_id="reload_config", response_model=Reloaded, responses=described(409)
)
async def reload(
    by: Administrator, behind: Behind, request: Request, key: IdempotencyKey = None
) -> Response:
    """Read the files again, and swap whole if they can be used. The operator's.

    Other replicas read their own files, as soon as these change.
    """
    check_operator(by)

    async def work() -> Response:
        await noted(behind, by, Deed("config.reload", "config", None))
        told = _told(await behind.config.reload())
        return JSONResponse(told.model_dump(mode="json"))

    return await once_of(request).answer(request, by, work)


def _told(told: ReloadTold) -> Reloaded:
    return Reloaded(
        config_hash=told.config_hash,
        applied=told.applied,
        findings=list(told.findings),
        changes=list(told.changes),
    )
