"""S1: the addresses of RFC 4475's torture messages and RFC 5118's IPv6 ones, and 50,000 mutants."""

import json
import random
from contextlib import suppress
from pathlib import Path

import pytest

from sipagent.errors import SipSyntaxError
from sipagent.sip import Headers, parse_address, parse_address_list, read_invite

UNUSUAL = "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"

# What each address names: user and host; None where a careful reader names nobody.
TORTURE: dict[str, list[tuple[str, tuple[str | None, str | None] | None]]] = {
    "wsinv": [
        (
            "\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n",
            ("vivekg", "chair-dnrc.example.com"),
        ),
        (
            '"J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\n  ;\n  tag = 98asjd8',
            ("jdrosen", "example.com"),
        ),
    ],
    "intmeth": [
        (
            f"<sip:{UNUSUAL}:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com>",
            (UNUSUAL, "example.com"),
        ),
    ],
    "esc01": [
        ("sip:%75se%72@example.com", ("user", "example.com")),
        ("<sip:I%20have%20spaces@example.net>;tag=938", ("I have spaces", "example.net")),
        (
            "<sip:caller@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>",
            ("caller", "host5.example.net"),
        ),
    ],
    "escnull": [("sip:null-%00-null@example.com", None)],
    "esc02": [('"%Z%45" <sip:resource@example.com>;tag=f232jadfj23', ("resource", "example.com"))],
    "lwsdisp": [("caller<sip:caller@example.com>;tag=323", ("caller", "example.com"))],
    "dblreq": [("sip:j.user@example.com", ("j.user", "example.com"))],
    "semiuri": [
        (
            "<sip:user;par=u%40example.net@example.com>",
            ("user;par=u@example.net", "example.com"),
        ),
    ],
    "transports": [("<sip:caller@example.net>;tag=2lk3", ("caller", "example.net"))],
    "badinv01": [('"Joe" <sip:joe@example.org>;;;;', ("joe", "example.org"))],
    "quotbal": [('"Mr. J. User <sip:j.user@example.com>', None)],
    "lwsruri": [("<sip:user@example.com; lr>", None)],
    "badaspec": [
        ('"Watson, Thomas" < sip:t.watson@example.org >', ("t.watson", "example.org")),
        ('"A. Bell" <sip:a.bell@example.com> ;tag=43', ("a.bell", "example.com")),
    ],
    "baddn": [("Bell, Alexander <sip:a.g.bell@example.com>;tag=43", ("a.g.bell", "example.com"))],
    "unkscm": [("nobodyKnowsThisScheme:totallyopaquecontent", None)],
    "unksm2": [("isbn:2983792873", None), ("<http://www.example.com>;tag=3234233", None)],
    "novelsc": [("soap.beep://192.0.2.103:3002", None)],
    "regbadct": [("sip:user@example.com?Route=%3Csip:sip.example.com%3E", None)],
    "regescrt": [
        (
            "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>",
            ("user", "example.com"),
        ),
    ],
    "cparam01": [
        ("sip:+19725552222@gw1.example.net;unknownparam", ("+19725552222", "gw1.example.net")),
    ],
    "cparam02": [
        ("<sip:+19725552222@gw1.example.net;unknownparam>", ("+19725552222", "gw1.example.net")),
    ],
    "inv2543": [("<sip:UserB@example.com>", ("UserB", "example.com"))],
    "rfc5118": [
        ("sip:user@[2001:db8::10]", ("user", "[2001:db8::10]")),
        ("<sip:user@[2001:db8::9:1]>", ("user", "[2001:db8::9:1]")),
        ("sip:[2001:db8::10]", (None, "[2001:db8::10]")),
        ("sip:2001:db8::10", None),
        ("sip:[2001:db8::10:5070]", (None, "[2001:db8::10:5070]")),
        ("<sip:user@[2001:db8::10]:5070>", ("user", "[2001:db8::10]")),
        ("<sip:user@[::ffff:192.0.2.10]>", ("user", "[::ffff:192.0.2.10]")),
        ("<sip:user@[2001:db8:::192.0.2.1]>", None),
        ("<sip:user@[2001:db8::10>", None),
    ],
}


@pytest.mark.parametrize(
    ("value", "named"),
    [
        pytest.param(value, named, id=f"{message}-{place}")
        for message, values in TORTURE.items()
        for place, (value, named) in enumerate(values)
    ],
)
def test_torture(value: str, named: tuple[str | None, str | None] | None) -> None:
    if named is None:
        with pytest.raises(SipSyntaxError):
            parse_address(value)
        return
    address = parse_address(value)
    assert (address.user, address.host) == named


def seeds() -> list[str]:
    """Every header value of the recorded and hostile calls, and the torture ones."""
    data = Path(__file__).parent.parent / "data"
    values = [value for entries in TORTURE.values() for value, _ in entries]
    for call in json.loads((data / "incoming_calls.json").read_text("utf-8")):
        values += [header["value"] for header in call["headers"]]
    for case in json.loads((data / "hostile_headers.json").read_text("utf-8")):
        if isinstance(case.get("value"), str):
            values.append(case["value"])
    return values


NASTY = ['"', "\\", "<", ">", ";", ",", "@", ":", "%", "%00", "%zz", "[", "]", "?", "=", "\r\n"]
NASTY += [
    "\r\n ",
    "\x00",
    "\u202e",
    "\u200b",
    "\ud800",
    "+",
    "tel:",
    "sip:",
    "\u0661",
    " ",
    "\t",
    "é",
]


def mutant(value: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 6)):
        place = chance.randint(0, len(value))
        match chance.randrange(4):
            case 0:
                value = value[:place] + chance.choice(NASTY) + value[place:]
            case 1:
                value = value[:place] + value[place + chance.randint(1, 8) :]
            case 2:
                value = value[:place] + value[place : place + 12] * 2 + value[place:]
            case _:
                value = value[:place] + chr(chance.randrange(1, 0x2FF)) + value[place + 1 :]
    return value[:5000]


@pytest.mark.parametrize("seed", range(5))
def test_fifty_thousand_mutants_raise_nothing_but_the_parsers_own_error(seed: int) -> None:
    chance = random.Random(seed)
    corpus = seeds()
    names = ["To", "From", "Diversion", "x-number", "P-Asserted-Identity", "History-Info"]
    for _ in range(10_000):
        value = mutant(chance.choice(corpus), chance)
        for parse in (parse_address, parse_address_list):
            with suppress(SipSyntaxError):
                parse(value)
        headers = [{"name": chance.choice(names), "value": value} for _ in range(2)]
        read_invite(Headers.from_json(headers))
