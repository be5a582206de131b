"""One table per rule of the address grammar, with the values that test it."""

from dataclasses import replace

import pytest

from sipagent.sip import Address, parse_address, parse_address_list
from sipagent.sip.uri import Uri, parse_uri

NUMBER = Address(scheme="sip", user="+14155550100", host="x.com")


def with_(**changes: object) -> Address:
    return replace(NUMBER, **changes)  # type: ignore[arg-type]


TORTURE = {
    "wsinv-from": (
        '"J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8',
        Address(
            'J Rosenberg \\"',
            "sip",
            "jdrosen",
            host="example.com",
            header_params=(("tag", "98asjd8"),),
        ),
    ),
    "intmeth-to": (
        (
            '"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" '
            "<sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>"
        ),
        Address(
            "BEL: NUL: DEL:",
            "sip",
            "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
            host="example.com",
            flags=frozenset({"stripped-display-name"}),
        ),
    ),
    "intmeth-request-uri-with-password": (
        (
            "<sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too."
            "(doesn't-it)@example.com>"
        ),
        Address(
            scheme="sip",
            user="1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
            host="example.com",
        ),
    ),
    "esc01-to": (
        "sip:%75se%72@example.com",
        Address(scheme="sip", user="user", host="example.com"),
    ),
    "esc01-contact-with-escaped-parameter-names": (
        "<sip:cal%6Cer@192.0.2.2:5060;%6C%72;n%61me=v%61lue%25%34%31>",
        Address(
            scheme="sip",
            user="caller",
            host="192.0.2.2",
            port=5060,
            uri_params=(("lr", None), ("name", "value%41")),
        ),
    ),
    "lwsdisp": (
        "caller<sip:caller@example.com>;tag=323",
        Address("caller", "sip", "caller", host="example.com", header_params=(("tag", "323"),)),
    ),
    "longreq-from": (
        (
            f"sip:{'amazinglylongcallername' * 5}@example.net;tag=12{'982' * 50}424"
            f";unknownheaderparam{'name' * 20}=unknowheaderparam{'value' * 15}"
            f";unknownValueless{'paramname' * 10}"
        ),
        Address(
            scheme="sip",
            user="amazinglylongcallername" * 5,
            host="example.net",
            header_params=(
                ("tag", f"12{'982' * 50}424"),
                (f"unknownheaderparam{'name' * 20}", f"unknowheaderparam{'value' * 15}"),
                (f"unknownvalueless{'paramname' * 10}", None),
            ),
        ),
    ),
    "semiuri-in-brackets": (
        "<sip:user;par=u%40example.net@example.com>",
        Address(scheme="sip", user="user;par=u@example.net", host="example.com"),
    ),
    "badaspec-from": (
        '"Bell, Alexander" <sip:a.g.bell@example.com>;tag=433423',
        Address(
            "Bell, Alexander",
            "sip",
            "a.g.bell",
            host="example.com",
            header_params=(("tag", "433423"),),
        ),
    ),
    "baddn": (
        "Bell, Alexander <sip:a.g.bell@example.com>;tag=43",
        Address(
            "Bell, Alexander",
            "sip",
            "a.g.bell",
            host="example.com",
            header_params=(("tag", "43"),),
            flags=frozenset({"illegal-display-name"}),
        ),
    ),
    "cparam01": (
        "sip:+19725552222@gw1.example.net;unknownparam",
        Address(
            scheme="sip",
            user="+19725552222",
            host="gw1.example.net",
            header_params=(("unknownparam", None),),
        ),
    ),
    "scalar02-contact": (
        "<sip:user@host129.example.com>;expires=280297596632815",
        Address(
            scheme="sip",
            user="user",
            host="host129.example.com",
            header_params=(("expires", "280297596632815"),),
        ),
    ),
    "inv2543-to": (
        "sip:+16505552222@ss1.example.net;user=phone",
        Address(
            scheme="sip",
            user="+16505552222",
            host="ss1.example.net",
            header_params=(("user", "phone"),),
        ),
    ),
    "inv2543-from-without-tag": (
        "<sip:+13035551111@ift.client.example.net;user=phone>",
        Address(
            scheme="sip",
            user="+13035551111",
            host="ift.client.example.net",
            uri_params=(("user", "phone"),),
        ),
    ),
}

URIS = {
    "upper-case-scheme": ("<SIP:+14155550100@x.com>", NUMBER),
    "sips": ("sips:+14155550100@x.com", with_(scheme="sips")),
    "host-case-is-kept": ("<sip:+14155550100@X.Com>", with_(host="X.Com")),
    "one-label-host": ("<sip:+14155550100@pbx>", with_(host="pbx")),
    "underscore-in-host": ("<sip:+14155550100@my_pbx.local>", with_(host="my_pbx.local")),
    "trailing-dot-of-host": ("<sip:+14155550100@x.com.>", with_(host="x.com.")),
    "ipv4": ("<sip:+14155550100@192.0.2.1:5061>", with_(host="192.0.2.1", port=5061)),
    "ipv6-without-port": ("<sip:+14155550100@[::1]>", with_(host="[::1]")),
    "ipv6-with-ipv4": ("<sip:a@[::ffff:192.0.2.1]>", with_(user="a", host="[::ffff:192.0.2.1]")),
    "ipv6-without-brackets-around": (
        "sip:a@[2001:db8::1]:5060;tag=1",
        with_(user="a", host="[2001:db8::1]", port=5060, header_params=(("tag", "1"),)),
    ),
    "no-user": ("<sip:registrar.example.com>", with_(user=None, host="registrar.example.com")),
    "no-user-ipv4-is-no-number": ("sip:10.0.0.1", with_(user=None, host="10.0.0.1")),
    "password-is-forgotten": ("<sip:+14155550100:secret@x.com>", NUMBER),
    "empty-password": ("<sip:alice:@x.com>", with_(user="alice")),
    "user-parameters-of-a-number": (
        "<sip:+14155550100;npdi;rn=+12025550000;isup-oli=62;cpc=ordinary@x.com;user=phone>",
        with_(
            user_params=(
                ("npdi", None),
                ("rn", "+12025550000"),
                ("isup-oli", "62"),
                ("cpc", "ordinary"),
            ),
            uri_params=(("user", "phone"),),
        ),
    ),
    "user-parameters-names-are-lower-cased": (
        "<sip:+14155550100;TGRP=TG-1;Trunk-Context=sp.example@x.com>",
        with_(user_params=(("tgrp", "TG-1"), ("trunk-context", "sp.example"))),
    ),
    "escaped-plus": ("<sip:%2B14155550100@x.com>", NUMBER),
    "escaped-plus-with-parameter": (
        "<sip:%2b14155550100;npdi@x.com>",
        with_(user_params=(("npdi", None),)),
    ),
    "escaped-blank-in-number": ("<sip:+1%20415@x.com>", with_(user="+1 415")),
    "escaped-at": ("<sip:a%40b@x.com>", with_(user="a@b")),
    "escaped-utf-8": ("<sip:Zo%C3%AB@x.com>", with_(user="Zoë")),
    "star-code-with-context": (
        "<sip:*98;phone-context=example.com@x.com>",
        with_(user="*98", user_params=(("phone-context", "example.com"),)),
    ),
    "hex-letters-are-no-subscriber": ("<sip:abc;x=1@x.com>", with_(user="abc;x=1")),
    "vanity-is-no-subscriber": ("<sip:+1415555010a;npdi@x.com>", with_(user="+1415555010a;npdi")),
    "question-mark-in-user": ("<sip:a?b@x.com>", with_(user="a?b")),
    "slashes-after-scheme": ("<sip://+14155550100@x.com>", with_(user="//+14155550100")),
    "headers-stay-opaque": (
        "<sip:+14155550100@x.com?Reason=SIP%3Bcause%3D302&Privacy=history>",
        with_(uri_headers="Reason=SIP%3Bcause%3D302&Privacy=history"),
    ),
    "empty-headers": ("<sip:+14155550100@x.com?>", with_(uri_headers="")),
    "parameters-before-headers": (
        "<sip:+14155550100@x.com;user=phone?a=b;c>",
        with_(uri_params=(("user", "phone"),), uri_headers="a=b;c"),
    ),
    "self-parameter": (
        "<sip:+14155550100@x.com>;self=1",
        with_(header_params=(("self", "1"),)),
    ),
    "tel": ("<tel:+14155550100>", Address(scheme="tel", user="+14155550100")),
    "tel-upper-case": ("TEL:+14155550100", Address(scheme="tel", user="+14155550100")),
    "tel-separators-and-parameters": (
        "<tel:+1-415-555-0100;ext=12;ISUB=5>",
        Address(scheme="tel", user="+1-415-555-0100", user_params=(("ext", "12"), ("isub", "5"))),
    ),
    "tel-local-hex-digits": (
        "<tel:*21#a1;phone-context=example.com>",
        Address(scheme="tel", user="*21#a1", user_params=(("phone-context", "example.com"),)),
    ),
    "tel-in-diversion": (
        "<tel:74951667226>;reason=unconditional;counter=1;privacy=off",
        Address(
            scheme="tel",
            user="74951667226",
            header_params=(("reason", "unconditional"), ("counter", "1"), ("privacy", "off")),
        ),
    ),
    "bare-number": ("+12895550111", Address(user="+12895550111")),
    "bare-digits": ("17134810111", Address(user="17134810111")),
    "bare-escaped-plus": ("%2B12895550111", Address(user="+12895550111")),
    "bare-separators": ("+1 (713) 481-0111", Address(user="+1 (713) 481-0111")),
    "bare-extension": ("2001", Address(user="2001")),
    "blanks-and-tabs-around": (
        "\t <sip:+14155550100@x.com>\t;\ttag\t=\t1 ",
        with_(header_params=(("tag", "1"),)),
    ),
    "fold-before-parameter": (
        "<sip:+14155550100@x.com>\r\n ;tag=1",
        with_(header_params=(("tag", "1"),)),
    ),
    "fold-inside-name": (
        '"Alice\r\n\tExample" <sip:+14155550100@x.com>',
        with_(display_name="Alice Example"),
    ),
}

NAMES = {
    "quoted-with-everything": (
        '"a, <b>; \\"c\\" \\\\ d" <sip:+14155550100@x.com>',
        with_(display_name='a, <b>; "c" \\ d'),
    ),
    "empty-quotes": ('"" <sip:+14155550100@x.com>', NUMBER),
    "blank-quotes": ('"  " <sip:+14155550100@x.com>', NUMBER),
    "no-blank-after-quotes": ('"7900"<sip:+14155550100@x.com>', with_(display_name="7900")),
    "tokens": ("J. R. Doe <sip:+14155550100@x.com>", with_(display_name="J. R. Doe")),
    "number-as-token": (
        "+18005550199 <sip:+14155550100@x.com>",
        with_(display_name="+18005550199"),
    ),
    "percent-is-not-decoded": ("%41 <sip:+14155550100@x.com>", with_(display_name="%41")),
    "tel-within-a-word": ("Hotel <sip:+14155550100@x.com>", with_(display_name="Hotel")),
}

PARAMETERS = {
    "quoted-value-with-semicolon": (
        '<sip:+14155550100@x.com>;x="a;b, \\"c\\"";tag=1',
        with_(header_params=(("x", 'a;b, "c"'), ("tag", "1"))),
    ),
    "names-are-lower-cased-values-kept": (
        "<sip:+14155550100@x.com>;Tag=AbC",
        with_(header_params=(("tag", "AbC"),)),
    ),
    "percent-is-not-decoded": (
        "<sip:+14155550100@x.com>;x=%41%zz",
        with_(header_params=(("x", "%41%zz"),)),
    ),
    "equals-in-value": (
        "<sip:+14155550100@x.com>;x=a=b",
        with_(header_params=(("x", "a=b"),)),
    ),
    "wavix-transport-is-a-header-parameter": (
        "sip:proj_1@sip.api.openai.com;transport=tls",
        Address(
            scheme="sip",
            user="proj_1",
            host="sip.api.openai.com",
            header_params=(("transport", "tls"),),
        ),
    ),
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(*case, id=f"{table}-{name}")
        for table, cases in {
            "torture": TORTURE,
            "uri": URIS,
            "name": NAMES,
            "parameter": PARAMETERS,
        }.items()
        for name, case in cases.items()
    ],
)
def test_address_is_read(value: str, expected: Address) -> None:
    assert parse_address(value) == expected
    assert parse_address_list(value) == (expected,) or "," in value


def test_parameter_is_found_wherever_it_stands() -> None:
    address = parse_address("<sip:+14155550100;a=1@x.com;b=2;a=9>;c;a=8")
    found = [address.parameter(name) for name in ("a", "b", "c", "d")]
    assert found == ["1", "2", "", None]


def test_printed_address_shows_no_caller_data() -> None:
    printed = repr(parse_address('"Alice" <sip:+14155550100;n=7@x.com;p=q?h>;tag=z'))
    assert printed == "Address(scheme='sip', flags=frozenset())"


def test_uri_of_a_number_has_no_scheme() -> None:
    flags: set[str] = set()
    assert parse_uri("2001", flags) == Uri(None, "2001")
    assert flags == {"missing-scheme"}
