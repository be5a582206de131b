"""The script that admits calls decides as the counters of one process do."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipagent.engine.counters import Counters, settled
from sipagent.engine.redis.wire import admission_of, asked_to_json
from sipagent.model import Cap, Quota, QuotaScope, Rate, TenantName
from tests.engine.replicas import AgeingLink
from tests.engine.support import a_claim
from tests.servers import RedisServer

LONG = 3600.0
TENANTS = [TenantName(name) for name in ("acme", "beta", "gamma")]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@st.composite
def quotas(draw: st.DrawFn) -> tuple[Quota, ...]:
    chosen = []
    for scope in draw(st.lists(st.sampled_from(list(QuotaScope)), unique=True, max_size=3)):
        reserves = draw(st.dictionaries(st.sampled_from(TENANTS), st.integers(0, 3), max_size=3))
        chosen.append(
            Quota(
                scope,
                draw(st.sampled_from(["a", "b"])),
                held=draw(st.none() | st.integers(1, 6)),
                rate=draw(st.none() | st.integers(1, 6).map(lambda count: Rate(count, LONG))),
                month=draw(st.none() | st.integers(0, 20)),
                reserves=reserves if scope in (QuotaScope.ACCOUNT, QuotaScope.PROCESS) else {},
            )
        )
    return tuple(chosen)


CAPS = st.lists(
    st.builds(
        Cap,
        st.sampled_from(["per_caller", "forwards"]),
        st.sampled_from(["x", "y"]),
        st.integers(1, 4).map(lambda count: Rate(count, LONG)),
    ),
    max_size=2,
    unique_by=lambda cap: (cap.which, cap.key),
).map(tuple)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.sampled_from(TENANTS), CAPS, quotas(), CAPS, st.booleans()),
        st.tuples(st.just("end"), st.integers(0, 30)),
        st.tuples(st.just("spend"), st.sampled_from(["tenant:a", "account:a"]), st.integers(1, 9)),
    ),
    max_size=30,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS)
async def test_the_script_admits_as_the_counters_do(
    server: RedisServer, steps: list[tuple[Any, ...]]
) -> None:
    server.empty()
    counters = Counters()
    month = "2026-11"
    async with AgeingLink(server.url) as link:
        held: list[str] = []
        for number, step in enumerate(steps):
            if step[0] == "spend":
                _, key, micros = step
                counters.seed(key, month, micros)
                await link.run("spend", "one", number + 1, micros, key, "2026-11-29", month)
            elif step[0] == "end":
                if held:
                    call_id = held.pop(step[1] % len(held))
                    counters.release(a_claim(call_id)[0].call_id)
                    await link.run("finish", call_id, "one", "1", "{}")
            else:
                _, tenant, caps, asked, overflow, free = step
                call, decision = a_claim(f"rtc_{number}", caps=caps, quotas=asked)
                whole = (tenant, caps, asked)
                expected = counters.admit(
                    call.call_id, *whole, 1000.0, WALL, overflow=overflow, free=free
                )
                text = asked_to_json(Asked(tenant, asked, overflow, free=free), caps, WALL)  # type: ignore[arg-type]
                answer = await link.run(
                    "offer", call.call_id, call.webhook_id, "one", 60, text, b"{}", b"{}"
                )
                assert admission_of(answer[1:]) == expected
                held.append(call.call_id)
                assert settled(decision, expected) == settled(decision, admission_of(answer[1:]))
        for key in ("tenant:a", "number:b", "account:a", "process:a"):
            total = await link._redis.hget(f"{{sip}}:pool:{key}", "all")  # type: ignore[misc]
            assert int(total or 0) == counters.held(key)


class Asked:
    """As much of a decision as says what a call asks for."""

    def __init__(
        self,
        tenant: TenantName,
        quotas: tuple[Quota, ...],
        overflow: tuple[Cap, ...],
        *,
        free: bool,
    ) -> None:
        self.tenant = tenant
        self.quotas = quotas
        self.overflow = overflow
        self.free = free


WALL = 1_795_910_400.0
"""2026-11-29, some time in the morning."""
