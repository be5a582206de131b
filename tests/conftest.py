"""What every test is held to: no leaked task, no leaked logging, and virtual time where it is asked
for."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest
import structlog

from sipagent.testing import VirtualTimeLoop


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual_time: runs on a loop whose clock jumps")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("virtual_time"):
        return {"virtual": VirtualTimeLoop}
    return {"real": asyncio.new_event_loop}


@pytest.hookimpl(tryfirst=True)
def pytest_itemcollected(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        item.fixturenames.insert(0, "no_leaked_tasks")


@pytest.fixture(autouse=True)
def no_leaked_logging() -> Iterator[None]:
    """A command that logs to its own standard error, which is closed after it, logs there alone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    if any(type(one) is logging.StreamHandler and one not in handlers for one in root.handlers):
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail a test that leaves a task behind."""
    before = asyncio.all_tasks()
    yield
    leaked = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not leaked, f"leaked tasks: {sorted(task.get_name() for task in leaked if task)}"
