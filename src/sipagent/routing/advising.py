"""What a consulted endpoint may say of a call, and what of it is heeded. Pure.

The endpoint is the tenant's own, and its words are still none of ours: it chooses among agents that
the configuration lets the number have, and values only for variables that the chosen one declares.
No destination, no host, no header and no credential is made of it.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from sipagent.model import Advice, AgentName, AgentProfile, Json
from sipagent.routing.circumstances import Circumstances, attested, facts_of
from sipagent.sip import to_e164
from sipagent.sip.untrusted import visible

LONGEST_VALUE: Final = 1000
"""Characters of a value that are heeded."""

_NOBODY: Final = AgentName("")
_KEYS: Final = frozenset({"agent", "vars", "reject"})
_CODES: Final = range(300, 700)


def known_of(around: Circumstances) -> Json:
    """What the endpoint is told of the call: who calls whom, as far as it is known, and the headers
    that the trunk exposes. All of it but the attestation is the caller's word."""
    invite, facts = around.call.invite, facts_of(around, _NOBODY, around.route.language, {})
    name = invite.display_name
    return {
        "caller": None if invite.caller_e164 is None else invite.caller_e164.value,
        "caller_name": None if name is None else name.printable(),
        "attestation": attested(around),
        "dialed": around.number,
        "number": around.route.key,
        "language": around.route.language,
        "trunk": around.call.trunk if around.call.verified else None,
        "headers": {header: value.printable() for header, value in facts.headers.items()},
    }


def advice_of(body: bytes) -> Advice | None:
    """What the answer's body says: `agent` and `vars`, or `reject`; None if it is anything else.

    Keys of later versions are nothing to this one. A value that is no text makes it useless, as
    nobody can tell what the rest is worth.
    """
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not said.keys() & _KEYS:
        return None
    agent, values, code = said.get("agent"), said.get("vars"), said.get("reject")
    if code is not None:
        usable = isinstance(code, int) and not isinstance(code, bool) and code in _CODES
        return Advice(reject=code) if usable and agent is None and values is None else None
    if not isinstance(agent, str | None) or not isinstance(values, dict | None):
        return None
    if not all(isinstance(value, str) for value in (values or {}).values()):
        return None
    return Advice(None if agent is None else AgentName(agent), values or {})


def heeded(advised: Mapping[str, str], profile: AgentProfile) -> tuple[dict[str, str], list[str]]:
    """Values for variables that the agent declares and that may be its type, and the names of the
    others. A PIN is a credential: none is taken from here."""
    pins = {template.pin for template in profile.tools}
    taken: dict[str, str] = {}
    left: list[str] = []
    for name, value in advised.items():
        kind = None if name in pins else profile.declares.get(name)
        shown = visible(value, LONGEST_VALUE)
        if kind is not None and _is(shown, kind):
            taken[name] = shown
        else:
            left.append(name if name in profile.declares else "others")
    return taken, sorted(set(left))


def _is(value: str, kind: str) -> bool:
    match kind:
        case "phone":
            return to_e164(value, None) is not None
        case "number":
            return value.isascii() and _is_number(value)
        case _:
            return True


def _is_number(text: Any) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
