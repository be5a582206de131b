"""Numbers to which no call is sent: those that cost whoever sends one there, and pay whoever made
them do it. The region of a number alone does not tell: `reach` in `targets` asks for that.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from sipagent.sip import E164

_OTHER: Final = re.compile(r"[^0-9]", re.ASCII)
_LETTER: Final = re.compile(r"[A-Za-z]", re.ASCII)
_PREFIX: Final = re.compile(r"\A(?:00|011)", re.ASCII)
"""What stands before a country's code where there is no plus sign."""

_FEWEST: Final = 7
_MOST: Final = 20
_VISUAL: Final = str.maketrans("", "", " .()-")

EMERGENCY: Final = frozenset({"000", "08", "110", "111", "112", "118", "119", "911", "933", "999"})
"""Users of SIP URIs that a gateway may take for a call for help: the numbers of the countries with
the most people, and 112 and 911, which mobile networks know everywhere."""

_WORLDWIDE: Final = ("870", "878", "881", "882", "883", "979")
"""ITU-T E.164 codes of no country: satellites, personal numbers, premium rates. The library counts
some of them as mobile telephones."""

_MISJUDGED: Final = ("39144", "39166", "39199", "3989", "3640", "1456", "1500", "1700", "1900")
"""Ranges that cost more than the library knows, in all of its versions: Italy's 89 (AGCOM piano di
numerazione), Hungary's 40 (shared cost), inbound international, personal and premium ones of the
North American plan."""

_REFUSAL: Final = "calls are not sent to premium, satellite, personal and unknown numbers"


def costs(user: str, *, is_number: bool) -> str | None:
    """Why no call may be sent to this number, or to the SIP URI of this user; None if one may.

    A number must be known to be an ordinary one. Of a user without a plus sign nobody knows how a
    gateway dials it: it must not be one that is known to cost much.
    """
    bare = unquote(user).translate(_VISUAL)
    if bare in EMERGENCY:
        return "calls are not sent to emergency numbers"
    strict = is_number or bare.startswith("+")
    digits = "" if _LETTER.search(bare) else _OTHER.sub("", bare)
    if not strict and not _FEWEST <= len(digits) <= _MOST:
        return None
    number = E164("+" + (digits if strict else _PREFIX.sub("", digits, count=1)))
    refused = not _is_ordinary(number) if strict else _is_dear(number)
    return _REFUSAL if refused else None


@lru_cache(maxsize=4096)
def _is_ordinary(number: E164) -> bool:
    """Whether it is known to be somebody's telephone, or free to call."""
    from phonenumbers import PhoneNumberType as Types

    kinds = (Types.FIXED_LINE, Types.MOBILE, Types.FIXED_LINE_OR_MOBILE, Types.TOLL_FREE)
    return not _is_listed(number) and _type_of(number) in kinds


@lru_cache(maxsize=4096)
def _is_dear(number: E164) -> bool:
    """Whether it is known to cost much."""
    from phonenumbers import PhoneNumberType as Types

    kinds = (Types.PREMIUM_RATE, Types.SHARED_COST, Types.PERSONAL_NUMBER, Types.UAN)
    return _is_listed(number) or _type_of(number) in kinds


def _is_listed(number: E164) -> bool:
    return number[1:].startswith((*_WORLDWIDE, *_MISJUDGED))


def _type_of(number: E164) -> int | None:
    # Its tables take a while to read; a file without destinations never needs them.
    from phonenumbers import NumberParseException, number_type, parse

    try:
        return int(number_type(parse(number)))
    except NumberParseException:
        return None
