"""Orders of the control API where replicas share them: every replica has them, and the audit says
by whom."""

import json
from dataclasses import replace
from pathlib import Path

from sipagent.config.reload.following import copied
from sipagent.config.reload.live import LiveConfiguration
from sipagent.config.reload.orders import OrderFile
from sipagent.config.reload.reloader import Reloader
from sipagent.config.reload.shared import SharedOrders
from sipagent.configdesk import LiveDesk
from sipagent.model.access import Principal, Scope
from sipagent.routing import Order
from sipagent.routing import Scope as Whom
from sipagent.store import shared
from sipagent.store.schema import upgrade
from tests.api.v1.standing import ACME, ACME_NUMBER, Hand, files
from tests.store.support import located, opened

ANA = Principal("tok7k2p", "ana", ACME, Scope.CONTROL)
PAUSE = Order(Whom.NUMBER, ACME_NUMBER, code=480, paused=True)


async def test_an_order_is_every_replicas_and_says_whose_it_is(
    postgresql_url: str, tmp_path: Path
) -> None:
    location = located(postgresql_url)
    async with opened(postgresql_url, schema=False) as engine:
        await upgrade(engine, location)
    looks: list[bool] = []
    live = LiveConfiguration(files(tmp_path), orders=OrderFile(tmp_path / "one"))
    desk = LiveDesk(
        live,
        Reloader(live, _nothing),
        SharedOrders(location),
        Hand(),
        lambda: looks.append(True),
    )
    await desk.give(PAUSE, ANA)
    given = replace(PAUSE, by_tenant=True, tenant=ACME)
    for replica in ("one", "two"):
        (tmp_path / replica / "orders").mkdir(parents=True)
        assert await copied(location, tmp_path / replica) is None
        assert OrderFile(tmp_path / replica).read().orders == (given,)
    assert await desk.cancel(PAUSE, ANA)
    assert not await desk.cancel(PAUSE, ANA)
    assert len(looks) == 3, "this replica looks at once"
    async with opened(postgresql_url, schema=False) as engine:
        told = await shared.audited(engine)
    assert [(one.by, json.loads(one.did)["did"]) for one in told] == [
        ("ana (token tok7k2p)", "add"),
        ("ana (token tok7k2p)", "remove"),
    ]


async def _nothing() -> None:
    """What follows a reload, where nothing does."""
