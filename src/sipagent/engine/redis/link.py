"""The connection to Redis: scripts by name, each within its deadline."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from importlib.resources import files
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from sipagent.concurrency import TaskOwner
from sipagent.errors import EngineError

log = structlog.get_logger(__name__)

CONNECT_WITHIN: Final = 1.0
ANSWER_WITHIN: Final = 1.0
"""Seconds for a connection, and for one answer."""

AT_ONCE: Final = 100
"""Scripts of one round trip."""

AWAY: Final = (RedisError, OSError, TimeoutError, RuntimeError)
"""What redis-py raises where a server is away. The last is uvloop's, of a transport that was closed
while redis-py wrote to it."""

_COMMON: Final = "common"
_ADMISSION: Final = "admission"
_ADMITTING: Final = frozenset({"offer"})

Value = str | bytes | int | float
Step = tuple[str, Sequence[Value]]


@dataclass(slots=True, eq=False)
class _Asked:
    """One script that somebody waits for."""

    step: Step
    answer: asyncio.Future[Any] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Link:
    """A few connections to one Redis. Used as `async with`.

    A script is one atomic step. What goes wrong on the way is an EngineError, whatever it is: a
    server that loads its data (BusyLoadingError) is no less away than one that is not there.
    """

    def __init__(self, url: str) -> None:
        """Connects to nobody yet. Raises ValueError for a URL that cannot be used."""
        self._redis: Redis = Redis.from_url(
            url,
            socket_timeout=ANSWER_WITHIN,
            socket_connect_timeout=CONNECT_WITHIN,
            # Whoever asks knows best whether to ask again, and until when.
            retry=Retry(NoBackoff(), 0),
        )
        self._scripts = _texts()
        self._sha = {name: sha1(text.encode()).hexdigest() for name, text in self._scripts.items()}  # noqa: S324  # Redis's name for a script
        self._asked: list[_Asked] = []
        self._wake = asyncio.Event()
        self._tasks = TaskOwner(_crashed, apart=True)

    async def __aenter__(self) -> "Link":
        self._tasks.start(self._carry(), name="engine link")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel(1.0)
        await self._redis.aclose()

    async def run(self, script: str, *values: Value, within: float = ANSWER_WITHIN) -> Any:
        """What the script gives back. Those that are asked for while others are on their way go
        together in the next round trip. Raises EngineError; it may have taken effect all the
        same."""
        asked = _Asked((script, values))
        self._asked.append(asked)
        self._wake.set()
        try:
            async with asyncio.timeout(within):
                return await asked.answer
        except TimeoutError as error:
            raise EngineError("no answer in time") from error

    async def run_all(self, steps: Sequence[Step], within: float = ANSWER_WITHIN) -> list[Any]:
        """What each of these scripts gives back, in their order, by a connection that is not shared
        with `run`; each is a step of its own. In place of an answer stands the EngineError that one
        of them alone has led to. Raises EngineError where the connection is lost: some of them, or
        all, may have taken effect."""
        try:
            async with asyncio.timeout(within):
                answers = await self._answers(steps)
        except AWAY as error:
            _heed_cancelling()
            raise _away(error) from error
        _heed_cancelling()
        return [_away(one) if isinstance(one, Exception) else one for one in answers]

    async def publish(self, channel: str, message: bytes) -> int:
        """How many have been told. Raises EngineError."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await self._redis.publish(channel, message)
        except AWAY as error:
            raise _away(error) from error

    def listener(self) -> Any:
        """A subscription of its own connection. One task may use it (redis-py 8.1: to subscribe
        from several breaks a connection that is being made again)."""
        return self._redis.pubsub()

    async def _carry(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._asked:
                some, self._asked = self._asked[:AT_ONCE], self._asked[AT_ONCE:]
                waiting = [one for one in some if not one.answer.done()]
                await self._carried(waiting)

    async def _carried(self, asked: Sequence[_Asked]) -> None:
        answers: Sequence[Any]
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                answers = await self._answers([one.step for one in asked])
        except AWAY as error:
            answers = [error] * len(asked)
        _heed_cancelling()
        for one, answer in zip(asked, answers, strict=True):
            if one.answer.done():
                continue
            if isinstance(answer, Exception):
                one.answer.set_exception(_away(answer))
            else:
                one.answer.set_result(answer)

    async def _answers(self, steps: Sequence[Step]) -> list[Any]:
        """The answers, or what went wrong with a script in its place. Raises what breaks the
        connection."""
        answers = await self._piped(steps)
        unknown = [at for at, one in enumerate(answers) if isinstance(one, NoScriptError)]
        if unknown:  # a server that was started anew; none of these has been run
            for text in self._scripts.values():
                await self._redis.script_load(text)
            again = await self._piped([steps[at] for at in unknown])
            for at, answer in zip(unknown, again, strict=True):
                answers[at] = answer
        return answers

    async def _piped(self, steps: Sequence[Step]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as line:
            for script, values in steps:
                line.evalsha(self._sha[script], 0, *values)
            return await line.execute(raise_on_error=False)


def _heed_cancelling() -> None:
    """redis-py 8.1 may swallow the cancelling of a task that waits for a pipeline: whoever is to
    end would go on for ever. Raises CancelledError."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


_PASSING: Final = frozenset(
    {
        *("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOPERM"),
        *("NOREPLICAS", "OOM", "READONLY", "TRYAGAIN", "UNKILLABLE", "WRONGPASS"),
    }
)
"""What Redis answers (the first word of an error) for as long as it cannot do what it is asked."""


def _away(error: BaseException) -> EngineError:
    if type(error) is not ResponseError:
        # redis-py 8.1 tells by its words alone that there was no connection to send by.
        unsent = isinstance(error, RedisError) and "connecting to" in str(error)
        answered = isinstance(error, ResponseError)
        return EngineError(type(error).__name__, answered=answered, unsent=unsent)
    words = str(error).replace("-", " ").split()
    known = next((word for word in words if word in _PASSING), None)
    return EngineError(known or "script refused", answered=True, refused=known is None)


def _texts() -> Mapping[str, str]:
    """Each script with what all of them begin with."""
    folder = files("sipagent.engine.redis") / "scripts"
    texts = {
        entry.name.removesuffix(".lua"): entry.read_text()
        for entry in folder.iterdir()
        if entry.name.endswith(".lua")
    }
    common, admission = texts.pop(_COMMON), texts.pop(_ADMISSION)
    return {
        name: "\n".join([common, *([admission] if name in _ADMITTING else []), text])
        for name, text in texts.items()
    }


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
