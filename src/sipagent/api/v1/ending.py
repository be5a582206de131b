"""Ending a call, which must be possible also while the records are away.

Whose a call is says whoever holds it then; and of an operator nobody need know it. What cannot be
noted at once is owed to the audit.
"""

import asyncio
from typing import Final

from sipagent.api.problems import Problem, records_away
from sipagent.api.v1.base import missing
from sipagent.api.v1.ports import Backend
from sipagent.model import CallId, TenantName
from sipagent.model.access import Deed, Principal
from sipagent.model.ids import is_call_id
from sipagent.store.database import DATABASE_ERRORS

WITHIN: Final = 2.0
"""Seconds for the records: whoever wants to end a call does not wait for longer."""


async def held_unrecorded(
    behind: Backend, by: Principal, name: str
) -> tuple[CallId, TenantName | None]:
    """The call of this id, and whose it is as far as that is known without the records. Raises
    Problem: 404, or 503 where nobody says that it is this tenant's."""
    if not is_call_id(name):
        raise records_away()
    call_id = CallId(name)
    try:
        async with asyncio.timeout(WITHIN):
            tenant = await behind.watch.whose(call_id)
    except DATABASE_ERRORS:
        tenant = None
    if tenant is None and not by.is_operator:
        raise records_away()
    if tenant is not None and not by.sees(tenant):
        raise missing("call")
    return call_id, tenant


def are_away(problem: Problem) -> bool:
    """Whether this says that the records do not answer."""
    return problem.code == records_away().code


async def noted_or_owed(behind: Backend, by: Principal, deed: Deed) -> None:
    """The deed is in the audit, or will be, and in the log until then."""
    try:
        async with asyncio.timeout(WITHIN):
            await behind.audit.write(by, deed)
    except DATABASE_ERRORS:
        behind.audit.owe(by, deed)
