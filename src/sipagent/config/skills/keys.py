"""Keys that send a caller to a destination, how long a transfer is watched, and silence."""

from typing import Final

from sipagent.config.findings import Complaint
from sipagent.config.leaves import Leaf
from sipagent.config.schema.base import seconds
from sipagent.config.schema.persona import Silence as WrittenSilence
from sipagent.config.spaces import Space
from sipagent.model import DestinationName, Silence, Text
from sipagent.model.skills import WATCH

_SHORTEST: Final = 10.0
_LONGEST: Final = 120.0


def keys_of(space: Space, leaf: Leaf | None) -> dict[str, DestinationName] | None:
    """The destinations by key; None where one of them is none, which is told."""
    found: dict[str, DestinationName] = {}
    usable = True
    for key, name in ({} if leaf is None else leaf.value).items():
        found[key] = DestinationName(name)
        if space.find("destinations", name) is not None:
            continue
        usable = False
        if leaf is not None and not space.broken("destinations", name):
            hint = leaf.source.findings.did_you_mean(name, space.names("destinations"))
            complaint = Complaint((*leaf.steps, key), space.unknown("destination", name), hint)
            leaf.source.complain(complaint, tenant=space.own.findings.tenant)
    return found if usable else None


def watch_of(leaf: Leaf | None) -> float | None:
    """The seconds of a transfer; None where they cannot be used, which is told."""
    if leaf is None:
        return WATCH
    wanted = seconds(leaf.value)
    if not _SHORTEST <= wanted <= _LONGEST:
        leaf.complain("a transfer is watched for 10s to 2m")
        return None
    return wanted


def silence_of(leaf: Leaf | None, asks: Text | None) -> Silence | None:
    """What happens when nobody speaks; what is asked then may be for each call to render."""
    if leaf is None or leaf.value is None:
        return None
    written: WrittenSilence = leaf.value
    said = " ".join(asks.split()) if isinstance(asks, str) else None
    return Silence(seconds(written.after), said, written.hang_up_after)
