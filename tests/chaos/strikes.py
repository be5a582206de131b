"""What befalls a fleet in the middle of a round, and how it passes."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from tests.faults import Proxy
from tests.replicas.fleet import Fleet
from tests.servers import PostgresServer, RedisServer
from tests.toxics import BlackHole

LEASE: Final = 3.0
BEYOND: Final = 8.0
"""Seconds for which a replica is stopped or cut off: longer than its lease."""

PATIENT_FOR: Final = 15.0
"""Seconds after which callers say something, before the agent hangs up on one who does not."""


class Scene(Protocol):
    """Where it happens."""

    fleet: Fleet
    redis: RedisServer
    postgres: PostgresServer
    links: Mapping[str, Proxy]
    chance: random.Random

    async def hit(self, *victims: str) -> None:
        """It has happened now, to the calls of these replicas."""

    async def talk(self) -> None:
        """Every caller says something, and is answered."""

    async def add(self) -> str:
        """One more replica is ready."""


@dataclass(frozen=True, slots=True)
class Strike:
    """`come` returns when all is as before. Where sockets are `kept`, those of its victim stay open
    as long as it lasts, and nothing may come by them; where it is `announced`, calls change hands
    at once; where ids are `forgotten`, only the provider knows of a call that has ended that it
    was answered."""

    name: str
    come: Callable[[Scene], Awaitable[None]]
    kept: bool = False
    announced: bool = False
    forgotten: bool = False
    worst: float = 5.0
    """Seconds within which another replica holds a victim's call."""


async def _kill(scene: Scene) -> None:
    victim = scene.chance.choice(scene.fleet.alive)
    await scene.fleet.kill(victim)
    await scene.hit(victim)
    # On one machine a start takes the time of those that take over.
    await asyncio.sleep(LEASE + 2.0)
    await scene.add()


async def _stop(scene: Scene) -> None:
    victim = scene.chance.choice(scene.fleet.alive)
    scene.fleet.replicas[victim].signal(signal.SIGSTOP)
    await scene.hit(victim)
    await asyncio.sleep(BEYOND)
    scene.fleet.replicas[victim].signal(signal.SIGCONT)


async def _cut(scene: Scene) -> None:
    victim = scene.chance.choice(scene.fleet.alive)
    await scene.links[victim].inflict(BlackHole())
    await scene.hit(victim)
    await asyncio.sleep(BEYOND)
    await scene.links[victim].heal()


def _engine_away(seconds: float) -> Callable[[Scene], Awaitable[None]]:
    async def come(scene: Scene) -> None:
        await asyncio.to_thread(scene.redis.kill)
        await scene.hit()
        await asyncio.sleep(seconds)
        await asyncio.to_thread(scene.redis.start)
        await asyncio.sleep(LEASE + 2.0)  # whoever were to be taken over would be by now

    return come


async def _engine_emptied(scene: Scene) -> None:
    scene.redis.empty()
    await scene.hit()
    await asyncio.sleep(LEASE + 2.0)


def _records_away(seconds: float) -> Callable[[Scene], Awaitable[None]]:
    async def come(scene: Scene) -> None:
        await asyncio.to_thread(scene.postgres.kill)
        await scene.hit()
        until = asyncio.get_running_loop().time() + seconds
        while (left := until - asyncio.get_running_loop().time()) > PATIENT_FOR:
            await asyncio.sleep(PATIENT_FOR)
            await scene.talk()
        await asyncio.sleep(left)
        await asyncio.to_thread(scene.postgres.start)

    return come


async def _hand_over(scene: Scene) -> None:
    await replaced(scene, scene.chance.choice(scene.fleet.alive))


async def replaced(scene: Scene, victim: str) -> None:
    """A fresh replica is there before the old one is told to leave, as in a deployment."""
    await scene.add()
    leaving = scene.fleet.replicas[victim]
    leaving.signal(signal.SIGTERM)
    await scene.hit(victim)
    assert await leaving.exit_code() == 0


async def _engine_emptied_then_kill(scene: Scene) -> None:
    """All calls are registered again by then, so that others can go on with them."""
    scene.redis.empty()
    await asyncio.sleep(LEASE)
    await _kill(scene)


KILL: Final = Strike("kill -9 of one", _kill)
STOP: Final = Strike(f"one stopped for {BEYOND:g} s", _stop, kept=True)
CUT: Final = Strike(f"one cut off from Redis for {BEYOND:g} s", _cut, kept=True)
AWAY_1: Final = Strike("Redis killed, back after 1 s", _engine_away(1.0))
AWAY_6: Final = Strike("Redis killed, back after 6 s", _engine_away(6.0))
EMPTIED: Final = Strike("Redis emptied", _engine_emptied, forgotten=True)
EMPTIED_THEN_KILL: Final = Strike(
    "Redis emptied, then kill -9 of one", _engine_emptied_then_kill, forgotten=True
)
LEAVE: Final = Strike("SIGTERM to one", _hand_over, announced=True)
STRIKES: Final = (KILL, STOP, CUT, AWAY_1, AWAY_6, EMPTIED, EMPTIED_THEN_KILL, LEAVE)
ROLL: Final = replace(LEAVE, name="rolling restart")
RECORDS_AWAY: Final = tuple(
    Strike(f"PostgreSQL killed, back after {seconds:g} s", _records_away(seconds))
    for seconds in (1.0, 10.0, 60.0)
)
"""One in each round, in turn."""


def of_many(strike: Strike) -> Strike:
    """The same under 600 calls."""
    return replace(strike, name=f"{strike.name}, 600 calls")
