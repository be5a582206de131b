"""Rules that ask the tenant's own endpoint: whether it may be asked, and by which secret."""

from typing import Final

from sipagent.config.gathering import Role
from sipagent.config.lines import InYaml, RuleLine
from sipagent.config.reach import grants_of, host_refusal
from sipagent.config.schema.base import given, seconds
from sipagent.config.schema.numbers import Consult
from sipagent.config.spaces import Space
from sipagent.tools.targets import TargetError, parse_target

_SHORTEST: Final = 0.1
_LONGEST: Final = 3.0
"""Seconds: what is left of the ten that a caller rings at most must do for the accept."""


def verify_consult(space: Space, rule: RuleLine, consult: Consult) -> bool:
    """Whether the endpoint may be asked; what is wrong is told."""
    steps, origin = (*rule.steps, "consult"), rule.origin
    usable = _verify_url(space, rule, consult.url)
    if consult.secret.secret not in (given(grants_of(space).secrets) or {}):
        hint = "the operator grants secrets under `tenants`"
        origin.complain((*steps, "secret", "secret"), "the tenant has no secret of this name", hint)
        usable = False
    if not _SHORTEST <= seconds(consult.timeout) <= _LONGEST:
        message = "the caller hears ringing meanwhile"
        origin.complain((*steps, "timeout"), message, "100ms to 3s")
        usable = False
    return usable


def _verify_url(space: Space, rule: RuleLine, url: str) -> bool:
    steps, origin = (*rule.steps, "consult", "url"), rule.origin
    try:
        target = parse_target(url)
    except TargetError as error:
        origin.complain(steps, str(error), "as in https://api.example/calls")
        return False
    if not (isinstance(origin, InYaml) and origin.source.role is Role.TENANT):
        return True
    if target.scheme != "https":
        origin.complain(steps, "who calls would be sent there without encryption", "write https://")
        return False
    refusal = host_refusal(space, target.host)
    if refusal is not None:
        origin.complain(steps, *refusal)
    return refusal is None
