"""Where commands find the orders and the last good versions: in the data directory, or in the
database that replicas share, as the service finds them."""

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sipagent.cli.changing import located
from sipagent.cli.options import fail
from sipagent.cli.process import UNREACHABLE

if TYPE_CHECKING:
    from sipagent.config.reload.orders import OrderStore
    from sipagent.errors import StoreError
    from sipagent.store.location import Location


def shared_location(data_dir: Path) -> "Location | None":
    """The database that replicas share, None where there is none; or the end with 78."""
    location = located(data_dir)
    return location if location.shared else None


def order_store(data_dir: Path) -> "OrderStore":
    """The operator's orders, or the end with 78."""
    from sipagent.config.reload.orders import OrderFile

    location = shared_location(data_dir)
    if location is None:
        return OrderFile(data_dir)
    from sipagent.config.reload.shared import SharedOrders  # who has no database pays for no client

    return SharedOrders(location)


def refused(error: "StoreError", data_dir: Path, code: int) -> NoReturn:
    """End with this code, or with 3 where it is a server that was not reached."""
    fail(code if shared_location(data_dir) is None else UNREACHABLE, str(error))
