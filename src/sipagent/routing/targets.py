"""What a call may be sent to: the form of a REFER's target, and whose calls may go there."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sipagent.errors import SipSyntaxError, TemplateError
from sipagent.routing.tolls import costs
from sipagent.routing.trunks import NUMBER_FORM, Trunk
from sipagent.sip import E164, parse_address, to_e164

_TARGET: Final = re.compile(
    r"tel:\+[0-9.()-]{3,32}"
    r"|sips?:(?:[A-Za-z0-9+_.!~*'()&=$/-]|%(?!40)[2-7][0-9A-F]){1,128}@[A-Za-z0-9.:\[\]-]{1,253}"
    r"(?:;(?!method\b)[A-Za-z0-9-]{1,32}(?:=[A-Za-z0-9+_.-]{1,64})?){0,8}",
    re.IGNORECASE,
)
_SCHEME: Final = re.compile(r"(?:tel|sips?):", re.IGNORECASE)
_DIGIT: Final = re.compile(r"[0-9]")
_FEWEST_DIGITS: Final = 7
"""As many as E.164 has at least; a user with fewer is an extension."""

_SAMPLE: Final = E164("+12025550123")


def is_target(text: str) -> bool:
    """Whether it is a `tel:` or `sip:` URI that asks for a call and no more: no headers, no
    method."""
    return _TARGET.fullmatch(text) is not None


def is_form(form: str) -> bool:
    """Whether a number in this form is a target."""
    return "{e164}" in form and is_target(form.replace("{e164}", _SAMPLE))


def target_uri(to: str, trunk: Trunk | None) -> str:
    """What REFER sends: a URI as it is, a number in the form of the call's trunk.

    Raises TemplateError for anything else, of which it tells nothing.
    """
    if is_target(to):
        return to
    number = to_e164(to, None)
    if number is None:
        raise TemplateError("the destination is no telephone number and no SIP URI")
    uri = (NUMBER_FORM if trunk is None else trunk.refer).replace("{e164}", number)
    if not is_target(uri):
        raise TemplateError("the trunk's form makes no SIP or tel URI of the number")
    return uri


def number_of(target: str) -> E164 | None:
    """The number that a target names, if it names one: also as the user of a SIP URI."""
    user, _ = _parts(target)
    return to_e164(user, None)


def toll(target: str) -> str | None:
    """Why no call is sent there whoever sends it, without a word of the target; None if one may."""
    user, host = _parts(target)
    return costs(user, is_number=host is None)


@dataclass(frozen=True, slots=True)
class Reach:
    """Where calls of a tenant may be sent. `regions` (ISO 3166-1 alpha-2) are the countries of
    numbers, `hosts` those of SIP URIs; None is any."""

    regions: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None

    def refusal(self, target: str) -> str | None:
        """Why no call may be sent there, without a word of the target; None if one may."""
        if self.regions is None and self.hosts is None:
            return None
        user, host = _parts(target)
        if self.hosts is not None and host is not None and host not in self.hosts:
            allowed = ", ".join(self.hosts) or "no SIP host"
            return f"calls of this tenant may only be sent to {allowed}"
        if self.regions is not None and self._is_abroad(user, is_number=host is None):
            allowed = ", ".join(self.regions) or "no country"
            return f"calls of this tenant may only be sent to {allowed}"
        return None

    def _is_abroad(self, user: str, *, is_number: bool) -> bool:
        """Digits that a gateway may dial, and that no allowed country is known to have, are."""
        assert self.regions is not None
        number = to_e164(user, None)
        if number is None:
            return is_number or len(_DIGIT.findall(user)) >= _FEWEST_DIGITS
        return _region_of(number) not in self.regions


def _parts(target: str) -> tuple[str, str | None]:
    """The user and the host of a URI; a text without a scheme is a number."""
    text = target.strip()
    if _SCHEME.match(text) is None:
        return text, None
    try:
        address = parse_address(f"<{text}>")
    except SipSyntaxError:
        return "", ""
    user = address.user or ""
    if address.scheme == "tel":
        return user, None
    # `maddr` sends the call to another host than the one that the URI shows (RFC 3261 19.1.1).
    host = None if address.parameter("maddr") is not None else address.host
    return user, (host or "").lower()


@lru_cache(maxsize=4096)
def _region_of(number: E164) -> str | None:
    """The country of a number; satellites and other nets of all countries have `001`."""
    # Its tables take a while to read; a file without restricted tenants never needs them.
    from phonenumbers import parse, region_code_for_number

    return region_code_for_number(parse(number))
