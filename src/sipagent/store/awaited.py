"""Rows whose being stored somebody waits for."""

import asyncio

from sipagent.store.rows import Row


class Awaited:
    """Tells whoever waits for a row what has become of it."""

    def __init__(self) -> None:
        self._rows: dict[Row, asyncio.Future[bool]] = {}

    async def stored(self, row: Row, within: float) -> bool:
        """Whether the row is stored within so many seconds."""
        settled = self._rows.setdefault(row, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(within):
                return await asyncio.shield(settled)
        except TimeoutError:
            return False
        finally:
            self._rows.pop(row, None)

    def settle(self, row: Row, *, stored: bool) -> None:
        """The row is stored, or never will be."""
        settled = self._rows.get(row) if self._rows else None
        if settled is not None and not settled.done():
            settled.set_result(stored)
