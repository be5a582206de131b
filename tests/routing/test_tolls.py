"""Where no call is sent: numbers that cost, and URIs that ask for more than a call (F1, F2)."""

import re
from itertools import product

import pytest

from sipagent.errors import TemplateError
from sipagent.model import TrunkName
from sipagent.routing import Reach, Trunk
from sipagent.routing.targets import is_target, target_uri, toll

ORDINARY = [
    *("+17134810111", "+12025550123", "+14165550123", "+18005550199", "+18885550123"),
    *("+442079460958", "+447911123456", "+448001111111", "+4930901820", "+4915112345678"),
    *("+33123456789", "+33612345678", "+390612345678", "+393123456789", "+34912345678"),
    *("+34612345678", "+351212345678", "+31201234567", "+3225551234", "+41443643532"),
    *("+4312345678", "+4532123456", "+46812345678", "+4721234567", "+358912345678"),
    *("+48221234567", "+420221234567", "+3612345678", "+302101234567", "+74951234567"),
    *("+81312345678", "+8613123456789", "+919876543210", "+61212345678", "+6493021234"),
    *("+551123456789", "+525512345678", "+541123456789", "+27111234567", "+97235551234"),
]
"""Telephones of people and of companies, and numbers that are free to call."""

SATELLITES = [
    f"+{code}{number}"
    for code, number in product(
        ("870", "878", "881", "882", "883", "979"),
        ("612345678", "61234567", "712345678901"[:11], "0123456789", "99123456", "5100012345"),
    )
]
PREMIUM = [
    *(f"+1900{exchange}{line:04}" for exchange in (200, 345, 555, 777, 976) for line in (1, 1234)),
    *(f"+1{code}5550123" for code in (500, 533, 544, 566, 577, 588, 700, 456, 710, 521, 522)),
    *(f"+449{digits}" for digits in ("011111111", "098790000", "111111111", "850000000")),
    *(f"+44{code}{line}" for code in ("871", "872", "843", "844", "845") for line in (1234567,)),
    *(f"+4470{digits}" for digits in ("12345678", "23456789", "98765432", "11111111", "76123456")),
    *(f"+49900{kind}{line}" for kind in (1, 3, 5) for line in (123456, 654321)),
    *(f"+491805{line}" for line in (123456, 654321, 111111)),
    *(f"+49137{kind}{line}" for kind in (1, 2, 5, 7, 8, 9) for line in (123456,)),
    *(f"+49700{line}" for line in (12345678, 87654321)),
    *(f"+33{code}" for code in ("899123456", "897123456", "892123456", "825123456", "820123456")),
    *(f"+39{code}" for code in ("899123456", "892424", "895123456", "166123456", "144123456")),
    *(f"+39{code}" for code in ("8951234567", "89312345", "199123456", "178123456", "848123456")),
    *(f"+34{code}123456" for code in (803, 806, 807, 901, 902, 905, 700)),
    *(f"+351{code}123456" for code in (601, 607, 707, 708, 760, 761, 808)),
    *(f"+31{code}" for code in ("900123456", "9061234", "9091234567", "882012345", "851234567")),
    *(f"+32{code}" for code in ("90212345", "90412345", "70123456", "90512345")),
    *(f"+41{code}123456" for code in (900, 901, 906, 840, 842, 844, 848, 878)),
    *(f"+43{code}123456" for code in (900, 901, 930, 931, 810, 820, 821, 720)),
    *(f"+45{code}" for code in ("90123456", "90999999")),
    *(f"+46{code}" for code in ("9001234567", "9391234567", "9441234567", "771123456")),
    *(f"+47{code}" for code in ("82012345", "82912345", "81012345", "81512345")),
    *(f"+358{code}" for code in ("600123456", "700123456", "71123456")),
    *(f"+353{code}" for code in ("1520123456", "1550123456", "1580123456", "1850123456")),
    *(f"+48{code}123456" for code in (700, 701, 703, 708, 801, 804)),
    *(f"+420{code}123456" for code in (900, 906, 909, 811, 840)),
    *(f"+36{code}" for code in ("90123456", "91123456", "40123456")),
    *(f"+30{code}" for code in ("9011234567", "9091234567", "8011234567", "7012345678")),
    *(f"+7{code}1234567" for code in (803, 809)),
    *(f"+40{code}" for code in ("900123456", "903123456", "906123456", "801123456")),
    *(f"+359{code}" for code in ("90123456", "70012345")),
    *(f"+37{code}" for code in ("2900123", "29001234", "09001234", "080812345", "190012345")),
    *(f"+61{code}" for code in ("1900123456", "190123456", "1300123456", "134567")),
    *(f"+64{code}" for code in ("900123456", "90012345")),
    *(f"+81{code}" for code in ("990123456", "570123456", "5012345678", "120000")),
    *(f"+86{code}" for code in ("4001234567", "95123", "16812345")),
    *(f"+55{code}" for code in ("3001234567", "9001234567", "40041234")),
    *(f"+52{code}" for code in ("9001234567",)),
    *(f"+972{code}" for code in ("1900123456", "1700123456", "1919123456")),
    *(f"+65{code}" for code in ("19001234567", "31612345")),
    *(f"+90{code}" for code in ("9001234567", "4441234", "5921234567", "8881234567")),
    *(f"+27{code}" for code in ("862345678", "860123456", "871234567")),
    *(f"+66{code}" for code in ("1900123456", "601234567")),
    *(f"+63{code}" for code in ("1800",)),
    *(f"+60{code}" for code in ("1600123456", "1541234567")),
    *(f"+886{code}" for code in ("203123456", "70123456789"[:9])),
    *(f"+82{code}" for code in ("6012345678"[:9], "7012345678")),
    *(f"+54{code}" for code in ("6001234567", "8101234567")),
    *(f"+57{code}" for code in ("19001234567",)),
    *(f"+56{code}" for code in ("6001234567",)),
    *(f"+8{code}" for code in ("0812345678", "0812340000")),
]
NOWHERE = [
    *(f"+{code}" for code in ("1123", "999123456789", "21012345678", "2141234567", "8011234")),
    *(f"+1{digits}" for digits in ("0134810111", "1134810111", "7130810111", "713481011")),
    *(f"+1{digits}" for digits in ("71348101111", "2125", "9115550123", "411", "911", "988")),
    *(f"+44{digits}" for digits in ("999", "112", "20794609", "20794609589999", "0000000000")),
    *(f"+49{digits}" for digits in ("110", "112", "1151234")),
    *(f"+33{digits}" for digits in ("15", "17", "18", "112", "3949", "00123456789")),
    *(f"+39{digits}" for digits in ("112", "113", "118", "4120")),
    *(f"+81{digits}" for digits in ("110", "119", "118")),
    *(f"+86{digits}" for digits in ("110", "119", "12345", "10086")),
    *(f"+999{digits}" for digits in range(1000000, 1000030)),
    *(f"+1{code}4810111" for code in ("211", "311", "411", "511", "611", "711", "811", "911")),
    *(f"+{code}1234567" for code in (210, 214, 215, 217, 219, 259, 384, 422, 424, 671, 693, 801)),
    *(f"+{code}1234567" for code in (803, 804, 805, 806, 807, 809, 851, 854, 857, 858, 859, 884)),
    *(f"+{code}1234567" for code in (885, 887, 889, 978, 990, 991, 997, 999)),
]
COSTLY = list(dict.fromkeys([*SATELLITES, *PREMIUM, *NOWHERE]))


def test_there_are_enough_of_them() -> None:
    assert len(COSTLY) >= 300


@pytest.mark.parametrize("number", ORDINARY)
def test_ordinary_numbers_are_called(number: str) -> None:
    assert toll(number) is None
    assert toll(f"tel:{number}") is None
    assert toll(f"sip:{number}@pbx.example") is None


@pytest.mark.parametrize("number", COSTLY)
def test_numbers_that_cost_are_not(number: str) -> None:
    for target in (number, f"tel:{number}", f"sip:{number}@gw.example;user=phone"):
        assert toll(target) is not None, target
    spaced = f"{number[:4]}-{number[4:6]}.({number[6:]})"
    assert toll(f"tel:{spaced}") is not None
    assert toll(f"sip:%2B{number[1:]}@gw.example") is not None


@pytest.mark.parametrize("number", ["+19005551234", "+881612345678", "+447012345678"])
@pytest.mark.parametrize("prefix", ["", "00", "011"])
def test_a_gateway_gets_no_other_spelling_of_them(prefix: str, number: str) -> None:
    assert toll(f"sip:{prefix}{number[1:]}@gw.example") is not None


@pytest.mark.parametrize("user", ["911", "112", "999", "000", "110", "119", "9-1-1", "%39%31%31"])
def test_nobody_is_sent_to_the_emergency(user: str) -> None:
    assert toll(f"sip:{user}@gw.example") is not None


@pytest.mark.parametrize("user", ["101", "2001", "front-desk", "desk.7134810111x", "1001234"])
def test_extensions_and_names_are_a_pbxs_own(user: str) -> None:
    assert toll(f"sip:{user}@pbx.example") is None


def test_what_is_refused_is_not_told() -> None:
    told = toll("tel:+19005551234")
    assert told is not None
    assert "900" not in told


_HOST = "pbx.example"
_PLAIN = f"sip:desk@{_HOST}"
HOSTILE = [
    *(
        f"{_PLAIN}?{header}={value}"
        for header, value in product(
            ("Replaces", "Route", "Subject", "body", "Referred-By", "X-Evil", "To", "From"),
            ("1", "%0D%0AVia:x", "<sip:evil@evil.example>", "a%26b"),
        )
    ),
    *(f"{_PLAIN};method={method}" for method in ("INVITE", "BYE", "REFER", "MESSAGE", "OPTIONS")),
    *(f"{_PLAIN};METHOD={method}" for method in ("INVITE", "BYE", "REFER", "MESSAGE", "OPTIONS")),
    *(
        f"{_PLAIN}{end}"
        for end in ("\r\nVia: x", "\n", "\r", "\0", "\t", " ", "\x7f", "\x85", "\u2028")
    ),
    *(f"{begin}{_PLAIN}" for begin in ("\r\n", "\n", "<", '"', "x ", "\u202e", "\ufeff", "%0A")),
    *(
        f"sip:{user}@{_HOST}"
        for user in ("a@evil.example", "a@b@c", "a%40evil.example", "a%0D%0Ab")
    ),
    *(f"sip:{user}@{_HOST}" for user in ("a%00b", "a b", "a<b", 'a"b', "a,b", "a;b", "a?b", "a#b")),
    *(
        f"sip:{user}@{_HOST}"
        for user in ("a[b", "a]b", "a{b", "a|b", "a\\b", "a^b", "a`b", "ä", "")
    ),
    *(f"sip:desk@{host}" for host in ("", "a b", "a/b", "a?b", "a#b", "a@b", "a_b", "ä.example")),
    *(f"sip:desk@{host}" for host in ("evil.example<", "evil.example>", 'evil"', "a,b", "a%2eb")),
    *(
        f"{scheme}:desk@{_HOST}"
        for scheme in ("http", "https", "file", "data", "javascript", "ftp")
    ),
    *(f"{scheme}:desk@{_HOST}" for scheme in ("im", "pres", "xmpp", "mailto", "h323", "skype", "")),
    *(f"{scheme}:+17135550100" for scheme in ("sms", "smsto", "callto", "fax", "telx", "te l")),
    *(f"tel:{number}" for number in ("7135550100", "911", "+", "", "+1;ext=9", "+1713555;isub=1")),
    *(
        f"tel:+17135550100{end}"
        for end in (";phone-context=x", "?a=b", "#", ",,123", "w1", "p1", "x9")
    ),
    *(f"tel:+17135550100{end}" for end in ("\r\nX: y", " ", "\0", "%0D%0A", "@evil.example", "/x")),
    *(
        f"{_PLAIN};{name}"
        for name in ("a b", "=x", "a==b", "a=b=c", "ä=1", "a=%0D", 'a="b"', "a<b")
    ),
    *(f"{_PLAIN};p{number}=1" * 1 + "".join(f";q{n}=1" for n in range(9)) for number in range(4)),
    *(f"{_PLAIN}, sip:evil{number}@evil.example" for number in range(10)),
    *(f"<{_PLAIN}>;evil={number}" for number in range(10)),
    *(f'"Name {number}" <{_PLAIN}>' for number in range(10)),
    *("sip:" + "a" * length + f"@{_HOST}" for length in (129, 500, 5000)),
    *("sip:desk@" + "a" * length for length in (254, 500, 5000)),
    *("tel:+" + "1" * length for length in (1, 33, 500)),
    *(f"{{{{ {name} }}}}" for name in ("vars.x", "caller.e164", "7*7", "config", "headers.to")),
    *(f"${{{name}}}" for name in ("HOME", "OPENAI_API_KEY", "jndi:ldap://x", "IFS")),
    *("sip:%s@" + _HOST for _ in range(1)),
    *(
        "*",
        "sip:",
        "tel:",
        "sips:",
        "@",
        ":",
        "//evil.example",
        "+",
        "0",
        "911",
        "112",
        "anonymous",
    ),
    *("desk", "desk@pbx.example", "1-800-FLOWERS", "+1 713 555 0100 ext 5", "+1713555010\u0966"),
]


def test_there_are_enough_attacks() -> None:
    assert len(set(HOSTILE)) >= 200


@pytest.mark.parametrize("target", list(dict.fromkeys(HOSTILE)), ids=repr)
@pytest.mark.parametrize("form", ["tel:{e164}", "sip:{e164}@sip.carrier.example"])
def test_a_uri_that_asks_for_more_than_a_call_is_sent_nowhere(target: str, form: str) -> None:
    """It is refused, or it is a number's digits in the form of the trunk, and then no more."""
    assert not is_target(target)
    try:
        uri = target_uri(target, Trunk(TrunkName("t"), refer=form))
    except TemplateError:
        return
    number = re.fullmatch(re.escape(form).replace(r"\{e164\}", r"(\+[0-9]{7,15})"), uri)
    assert number is not None
    assert toll(number[1]) is not None or _digits(number[1]) == _digits(target)


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text).removeprefix("00")


def test_a_country_is_that_of_the_number_and_not_of_its_prefix() -> None:
    reach = Reach(regions=("US",))
    assert reach.refusal("+17134810111") is None
    for jamaica_and_others in ("+18765551234", "+14165550123", "+12425551234", "+14415551234"):
        assert reach.refusal(jamaica_and_others) is not None
