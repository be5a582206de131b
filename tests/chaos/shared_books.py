"""What replicas have written down together: their records in PostgreSQL, their claims in Redis."""

from typing import Any

import asyncpg
from redis.asyncio import Redis

from tests.chaos.books import Recorded, Used


class SharedBooks:
    """One fleet's database and engine."""

    def __init__(self, database: str, redis: str) -> None:
        self._database = database
        self._redis = redis

    async def calls(self, prefix: str) -> dict[str, Recorded]:
        """The records of the calls whose ids begin so."""
        rows = await self._rows(
            "SELECT call_id, outcome, detail, ended_at, usage_complete, tokens, turns,"
            " (SELECT count(*) FROM turns WHERE turns.call_id = calls.call_id)"
            " FROM calls WHERE starts_with(call_id, $1)",
            prefix,
        )
        return {call_id: Recorded(*columns) for call_id, *columns in rows}

    async def used(self, prefix: str) -> dict[str, Used]:
        """The recorded bills of these calls, summed up; those of transcriptions are no tokens."""
        rows = await self._rows(
            "SELECT call_id, count(*), sum(text_in + audio_in + image_in),"
            " sum(text_cached + audio_cached + image_cached), sum(text_out + audio_out)"
            " FROM usage WHERE kind = 'response' AND starts_with(call_id, $1) GROUP BY call_id",
            prefix,
        )
        return {call_id: Used(*map(int, sums)) for call_id, *sums in rows}

    async def turns(self, prefix: str) -> dict[str, list[tuple[str, str]]]:
        """Who said what, in order, as it is recorded of these calls."""
        rows = await self._rows(
            "SELECT call_id, speaker, text FROM turns WHERE starts_with(call_id, $1)"
            " ORDER BY call_id, sequence",
            prefix,
        )
        found: dict[str, list[tuple[str, str]]] = {}
        for call_id, speaker, words in rows:
            found.setdefault(call_id, []).append((speaker, words))
        return found

    async def marks(self, prefix: str) -> dict[str, set[str]]:
        """What the engine knows to have been done for these calls."""
        found: dict[str, set[str]] = {}
        async with Redis.from_url(self._redis, decode_responses=True) as redis:
            start = "{sip}:call:"
            keys = [key async for key in redis.scan_iter(f"{start}{prefix}*", count=1000)]
            async with redis.pipeline(transaction=False) as line:
                for key in keys:
                    line.hkeys(key)
                for key, names in zip(keys, await line.execute(), strict=True):
                    marks = {name[2:] for name in names if name.startswith("m:")}
                    found[key.removeprefix(start)] = marks
        return found

    async def left(self) -> list[str]:
        """What the engine still has of calls: claims, places that they take, entries of its
        stream."""
        async with Redis.from_url(self._redis, decode_responses=True) as redis:
            keys = [
                key
                for pattern in ("{sip}:call:*", "{sip}:pool:*")
                async for key in redis.scan_iter(pattern, count=1000)
            ]
            entries = await redis.xrange("{sip}:calls", count=100)
        return [*keys, *(f"entry {entry}" for entry in entries)]

    async def _rows(self, query: str, prefix: str) -> list[Any]:
        connection = await asyncpg.connect(self._database)
        try:
            rows: list[Any] = await connection.fetch(query, prefix)
        finally:
            await connection.close()
        return rows
