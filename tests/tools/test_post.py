"""What becomes of an event that an endpoint has answered, or has not."""

import pytest

from sipagent.outbox.post import GuardedPost
from sipagent.tools.addresses import Allow
from sipagent.tools.egress import Egress
from tests.tools.support import Seen, Wire, reply


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (reply(200, b"{}"), 200),
        (reply(204, b""), 204),
        (reply(200, b"x" * 300_000), 200),
        (reply(500, b"x" * 300_000), 500),
        (reply(200, b"\x1f\x8bnot gzip", "Content-Encoding: gzip"), 200),
    ],
    ids=["taken", "no content", "a long page", "a long error", "a broken body"],
)
async def test_the_status_counts_whatever_the_body_is(answer: bytes, status: int) -> None:
    async def answering(_: Seen) -> bytes:
        return answer

    allow = Allow.parse("127.0.0.0/8")
    async with Wire(answering) as wire, Egress(allow) as egress:
        post = GuardedPost(egress, lambda: 0.0)
        posted = await post("acme/crm", f"http://127.0.0.1:{wire.port}/events", {}, b"{}", 5.0)
    assert (posted.status, len(wire.seen)) == (status, 1)


async def test_an_endpoint_that_is_not_there_has_no_status() -> None:
    async with Wire() as wire:
        port = wire.port
    async with Egress(Allow.parse("127.0.0.0/8")) as egress:
        post = GuardedPost(egress, lambda: 0.0)
        posted = await post("acme/crm", f"http://127.0.0.1:{port}/events", {}, b"{}", 5.0)
    assert posted.status is None
