"""Waiting for what can only be looked at again and again."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(look: Callable[[], T], within: float = 30.0, every: float = 0.01) -> T:
    """What there is to see, once it is there. Raises TimeoutError after so many seconds."""
    async with asyncio.timeout(within):
        while not (seen := look()):
            await asyncio.sleep(every)
    return seen
