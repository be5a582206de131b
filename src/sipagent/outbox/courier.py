"""Carries events from the outbox to tenants' endpoints.

Each endpoint has a lane of its own: a task that sends what is due there, several events at once as
long as it takes them, one at a time when it does not, and that goes when nothing waits. So an
endpoint that is away, or slow, delays no other. What is sent is leased first and concluded after:
killed in between, the process has it sent again under the same id.

Of several replicas one carries. What it has leased when the job becomes another's it brings to its
end: the lease keeps others from that. While nobody can say whose the job is each replica carries,
of what has been left lying, what no other has leased.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol, Self

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.concurrency import TaskOwner
from sipagent.errors import SecretError
from sipagent.jobs import JobName, Jobs, Ours
from sipagent.metrics import OutboxMetrics
from sipagent.model import CallId, TenantName, Webhook
from sipagent.model.trace import TraceHeaders, untraced
from sipagent.outbox.payload import payload
from sipagent.outbox.post import Post
from sipagent.outbox.schedule import (
    GIVEN_UP_AFTER,
    OVERDUE,
    Posted,
    rest,
    untold,
    unwanted,
    verdict,
)
from sipagent.providers.openai.webhooks import WebhookSecrets
from sipagent.providers.secrets import SecretSource
from sipagent.routing import RoutingTable
from sipagent.sessions.ports import Clock
from sipagent.store.database import DATABASE_ERRORS, reason_of
from sipagent.store.outbox import (
    Ended,
    Endpoint,
    EventState,
    Material,
    backlogs,
    claim,
    conclude,
    give_up,
    hasten,
    next_due,
    pending,
)

log = structlog.get_logger(__name__)

WITHIN: Final = 15.0
"""Seconds for an endpoint's answer (Standard Webhooks: 15 to 30)."""

AT_ONCE: Final = 8
"""Events that are sent at the same time to an endpoint which takes them."""

SPARE: Final = 56
"""How many of these, beyond one for each endpoint, there are in all."""

SURVEY_EVERY: Final = 15.0
"""Seconds between two looks for what other processes and commands have put there."""

AGAIN_AFTER: Final = 5.0
"""Seconds after which a database that is away is asked again."""

LEFT_LYING: Final = 30.0
"""Seconds for which an event has been due that nobody carries: whoever has the job looks twice as
often."""

HASTENED_AFTER: Final = 3
"""Failures in a row after which an endpoint that answers again gets at once what waits for it."""

_ANSWERED_WITHIN: Final = 2.0
_END_WITHIN: Final = 1.0


class Directory(Protocol):
    """The webhooks in force, live: where they are, and where their secrets stand."""

    @property
    def table(self) -> RoutingTable: ...

    @property
    def webhook_secrets(self) -> Mapping[tuple[TenantName, str], SecretSource]: ...


@dataclass(slots=True)
class _Lane:
    """One endpoint, as far as this process knows it."""

    failures: int = 0
    rests_until: float = 0.0
    running: bool = False
    recovered: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Courier:
    """As a context it carries until the block ends; `visit` is one round for one endpoint.

    `chance` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        engine: Callable[[], AsyncEngine],
        directory: Directory,
        post: Post,
        clock: Clock,
        metrics: OutboxMetrics,
        *,
        chance: Callable[[], float] = random.random,
        jobs: Jobs | None = None,
        trace: TraceHeaders = untraced,
    ) -> None:
        self._jobs = jobs or Ours()
        self._trace = trace
        self._engine = engine
        self._directory = directory
        self._post = post
        self._clock = clock
        self._metrics = metrics
        self._chance = chance
        self._lanes: dict[Endpoint, _Lane] = {}
        self._spare = SPARE
        self._open = False
        self._closing = False
        self._tasks = TaskOwner(_crashed, apart=True)
        self._carriers = TaskOwner(_crashed, apart=True)

    async def __aenter__(self) -> Self:
        self._open = True
        self._tasks.start(self._survey(), name="outbox")
        return self

    async def __aexit__(self, *_: object) -> None:
        """What is being sent has its answer, if that comes soon; nothing else is begun."""
        self._open, self._closing = False, True
        await self._tasks.cancel(_END_WITHIN)
        for lane in self._lanes.values():
            lane.news.set()
        if not await self._carriers.join(_ANSWERED_WITHIN):
            await self._carriers.cancel(_END_WITHIN)

    def stir(self, endpoint: Endpoint) -> None:
        """Something may be due there. Where another carries, it hears of it."""
        if self._late() is None:
            self._jobs.stir(JobName.OUTBOX)
            return
        lane = self._lanes.setdefault(endpoint, _Lane())
        lane.news.set()
        if self._open and not lane.running:
            lane.running = True
            self._carriers.start(self._carry(endpoint, lane), name=f"webhook {endpoint[0]}")

    async def visit(self, endpoint: Endpoint) -> float | None:
        """Send what is due there; says when something is next, None where nothing waits, or where
        another carries."""
        lane = self._lanes.setdefault(endpoint, _Lane())
        while (late := self._late()) is not None and not self._closing:
            now = self._clock.wall()
            if now < lane.rests_until:
                break
            width = self._width(lane)
            try:
                webhook = self._webhook(endpoint)
                words = webhook is not None and webhook.transcript
                due = await claim(self._engine(), endpoint, now, width, words=words, late=late)
                if not due:
                    break
                ends = await self._sent(endpoint, webhook, due, lane)
            finally:
                self._spare += width - 1
            await conclude(self._engine(), ends, self._clock.wall())
            if lane.failures >= HASTENED_AFTER:
                await self._give_up(endpoint)
            if lane.recovered:
                lane.recovered = False
                await hasten(self._engine(), endpoint, self._clock.wall())
        if late is None or (at := await next_due(self._engine(), endpoint)) is None:
            return None
        return max(at + late, lane.rests_until)

    def _late(self) -> float | None:
        """Seconds for which an event must have been due to be sent from here, None if none is."""
        if self._jobs.mine(JobName.OUTBOX):
            return 0.0
        return LEFT_LYING if self._jobs.unknown() else None

    async def survey(self) -> None:
        """Look what waits, whoever put it there, and have it sent, unless another does so."""
        if self._late() is None:
            self._metrics.waiting = ()
            return
        for endpoint in await pending(self._engine()):
            self.stir(endpoint)
        self._metrics.waiting = await backlogs(self._engine())

    def _width(self, lane: _Lane) -> int:
        """How many events are sent at once: there is always room for one."""
        if lane.failures:
            return 1
        more = min(AT_ONCE - 1, self._spare)
        self._spare -= more
        return 1 + more

    def _webhook(self, endpoint: Endpoint) -> Webhook | None:
        tenant = self._directory.table.tenants.get(endpoint[0])
        return None if tenant is None else tenant.webhooks.get(endpoint[1])

    async def _sent(
        self, endpoint: Endpoint, webhook: Webhook | None, due: Sequence[Material], lane: _Lane
    ) -> list[Ended]:
        """What has become of the events; the lane knows how the endpoint does."""
        secrets = await asyncio.to_thread(self._secrets, endpoint)
        async with asyncio.TaskGroup() as group:
            attempts = [
                group.create_task(self._attempt(endpoint, webhook, secrets, each)) for each in due
            ]
        done = [attempt.result() for attempt in attempts]
        self._heard(endpoint, lane, [posted for _, posted in done if posted is not None])
        for end, _ in done:
            self._metrics.attempted(end.state)
            if end.state is EventState.DEAD:
                self._tell_dead(end)
        return [end for end, _ in done]

    async def _attempt(
        self,
        endpoint: Endpoint,
        webhook: Webhook | None,
        secrets: WebhookSecrets | None,
        material: Material,
    ) -> tuple[Ended, Posted | None]:
        """What has become of the event, and the endpoint's answer if it was asked."""
        event, now = material.event, self._clock.wall()
        if webhook is None or event.type not in webhook.events:
            return unwanted(event, now), None
        try:
            body = payload(material)
        except Exception as error:  # one event that cannot be told holds up no other
            log.exception("event cannot be told", event_id=event.id, error=type(error).__name__)
            return verdict(event, Posted(None, "internal error"), now, self._chance()), None
        if body is None:
            return untold(event, now), None
        if secrets is None:
            posted = Posted(None, "the secret cannot be used")
        else:
            headers = signed(event.id, body, secrets, now)
            if event.call_id is not None:
                headers |= self._trace(CallId(event.call_id), (), webhook.url)
            whose = f"webhook:{endpoint[0]}/{endpoint[1]}"
            posted = await self._post(whose, webhook.url, headers, body.encode(), WITHIN)
        return verdict(event, posted, self._clock.wall(), self._chance()), posted

    def _secrets(self, endpoint: Endpoint) -> WebhookSecrets | None:
        """The endpoint's secrets as they are now, None where none can be used. Blocks on the
        disk."""
        source = self._directory.webhook_secrets.get(endpoint)
        if source is None:
            return None
        try:
            return WebhookSecrets(source.read())
        except (SecretError, ValueError) as error:
            log.error(  # noqa: TRY400  # a traceback says no more
                "webhook's secret cannot be used",
                tenant=endpoint[0],
                webhook=endpoint[1],
                reason=str(error),
            )
            return None

    def _heard(self, endpoint: Endpoint, lane: _Lane, answers: Sequence[Posted]) -> None:
        """The lane as it is after these answers, which came at once: one that took an event proves
        that the endpoint works."""
        if not answers:
            return
        known = {"tenant": endpoint[0], "webhook": endpoint[1]}
        if any(posted.taken for posted in answers):
            lane.recovered = lane.failures >= HASTENED_AFTER
            lane.failures, lane.rests_until = 0, 0.0
            if lane.recovered:
                log.info("webhook takes events again", **known)
            return
        lane.failures += 1
        pauses = (rest(lane.failures, posted, self._chance()) for posted in answers)
        lane.rests_until = self._clock.wall() + max(pauses)
        if lane.failures == HASTENED_AFTER:
            log.warning("webhook takes no events", answer=answers[-1].told, **known)

    async def _give_up(self, endpoint: Endpoint) -> None:
        """An endpoint that takes nothing is asked so seldom that not each event gets a last attempt
        of its own: all that have waited for long enough are given up."""
        now = self._clock.wall()
        many = await give_up(self._engine(), endpoint, now, now - GIVEN_UP_AFTER, OVERDUE)
        if many:
            known = {"tenant": endpoint[0], "webhook": endpoint[1]}
            log.warning("events given up", events=many, answer=OVERDUE, **known)

    def _tell_dead(self, end: Ended) -> None:
        event = end.event
        log.warning(
            "event given up",
            event_id=event.id,
            type=event.type,
            tenant=event.tenant,
            webhook=event.endpoint,
            answer=end.answer,
        )

    async def _carry(self, endpoint: Endpoint, lane: _Lane) -> None:
        """The lane's task: it goes on until nothing waits for the endpoint."""
        try:
            while not self._closing:
                lane.news.clear()
                at = await self._visited(endpoint)
                if at is None and not lane.news.is_set():
                    break
                await self._waited(lane, at)
        finally:
            lane.running = False
        if not lane.failures:
            self._lanes.pop(endpoint, None)

    async def _visited(self, endpoint: Endpoint) -> float | None:
        try:
            return await self.visit(endpoint)
        except DATABASE_ERRORS as error:
            log.warning("outbox cannot be used", reason=reason_of(error))
            return self._clock.wall() + AGAIN_AFTER

    async def _waited(self, lane: _Lane, at: float | None) -> None:
        """Until then, or until there is news for an endpoint that does not rest."""
        if at is None:
            return
        try:
            async with asyncio.timeout(max(0.0, at - self._clock.wall())):
                while not self._closing:
                    await lane.news.wait()
                    if self._clock.wall() >= lane.rests_until:
                        return
                    lane.news.clear()
        except TimeoutError:
            return

    async def _survey(self) -> None:
        while True:
            try:
                await self.survey()
            except DATABASE_ERRORS as error:
                log.warning("outbox cannot be read", reason=reason_of(error))
            await self._jobs.rest(JobName.OUTBOX, SURVEY_EVERY)


def signed(id_: str, body: str, secrets: WebhookSecrets, now: float) -> dict[str, str]:
    """The headers of one attempt: each secret signs, so that two can be in use at once."""
    at = datetime.fromtimestamp(int(now), UTC)
    signatures = [verifier.sign(id_, at, body) for verifier in secrets.verifiers]
    return {
        "Content-Type": "application/json",
        "webhook-id": id_,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": " ".join(signatures),
    }


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
