"""Where a tenant is told of its calls: by the operator, or by the tenant's own file."""

from typing import Annotated, Literal

from pydantic import Field

from sipagent.config.schema.base import ABSENT, Entry, ExpandableWord, Hidden
from sipagent.config.schema.tools import GrantedSecret

EventName = Literal[
    "call.started",
    "call.ended",
    "call.transferred",
    "call.summarised",
    "message.taken",
    "tool.called",
    "transfer.failed",
    "budget.warning",
    "config.stale",
]


class Endpoint(Entry):
    url: ExpandableWord = Field(description="Where events are sent, by POST.")
    events: list[EventName] = Field(
        default=ABSENT, min_length=1, description="What is told; everything without the key."
    )
    include: list[Literal["transcript"]] = Field(
        default=ABSENT, description="What call.ended tells beside facts: transcript, or nothing."
    )


class TenantWebhookEntry(Endpoint):
    secret: Annotated[GrantedSecret, Hidden()] = Field(
        description="The secret that signs: {secret: NAME}, as the operator grants it."
    )
