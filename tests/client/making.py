"""Makes the client without asyncio from the one with it: `python -m tests.client.making`."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "src" / "sipagent" / "client"
AIO, SYNC = FOLDER / "aio.py", FOLDER / "sync.py"

REPLACED = (
    (
        '"""The control API for asyncio."""',
        '"""The control API without asyncio. Made from aio.py by tests/client/making.py."""',
    ),
    ("Used as `async with`", "Used as `with`"),
    ("import asyncio\n", "import time\n"),
    ("await asyncio.sleep", "time.sleep"),
    ("AsyncIterator", "Iterator"),
    ("AsyncGenerator[nouns.Event]", "Generator[nouns.Event]"),
    ("AsyncGenerator", "Generator"),
    ("aclosing", "closing"),
    ("httpx.AsyncBaseTransport", "httpx.BaseTransport"),
    ("httpx.AsyncClient", "httpx.Client"),
    ("class AsyncClient", "class Client"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
    ("aclose", "close"),
    ("aread", "read"),
    ("aiter_bytes", "iter_bytes"),
    ("async with", "with"),
    ("async for", "for"),
    ("async def", "def"),
    ("await ", ""),
)


def without_asyncio(text: str) -> str:
    for before, after in REPLACED:
        text = text.replace(before, after)
    return text


if __name__ == "__main__":
    SYNC.write_text(without_asyncio(AIO.read_text("utf-8")), "utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", str(SYNC)], check=True)
