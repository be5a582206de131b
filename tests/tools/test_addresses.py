"""Which addresses are public, and what the operator's list allows."""

from ipaddress import ip_address

import pytest

from sipagent.tools.addresses import NOTHING, Allow, is_name, is_public
from sipagent.tools.targets import may_reach

FORBIDDEN = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254"),
    *("127.0.0.1", "127.255.255.255", "169.254.0.1", "172.16.0.1", "172.31.255.255"),
    *("192.0.0.1", "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.0.1"),
    *("198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1"),
    *("239.255.255.255", "240.0.0.1", "255.255.255.255"),
    # What clouds answer their metadata at: AWS, Google, Azure (and its wire server), Oracle,
    # Alibaba, DigitalOcean ...
    *("169.254.169.254", "168.63.129.16", "192.0.0.192", "100.100.100.200", "169.254.170.2"),
    *("fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::ffff:0:127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "fe80::1", "fec0::1"),
    *("fc00::1", "fd12:3456::1", "ff02::1", "ff0e::1", "2001::1", "2001:10::1", "2001:db8::1"),
    *("2002:7f00:1::", "2002:808:808::1", "3fff::1", "4000::1", "fe80::1%1", "2a00::1%1"),
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_what_is_not_the_public_internet_is_forbidden(text: str) -> None:
    assert not is_public(ip_address(text))
    assert not may_reach(ip_address(text), NOTHING)


@pytest.mark.parametrize("text", PUBLIC)
def test_the_public_internet_may_be_reached(text: str) -> None:
    assert may_reach(ip_address(text), NOTHING)


def test_the_list_allows_networks_and_names() -> None:
    allow = Allow.parse(" 10.1.0.0/16, Tools.Internal ,fd00::/8,,crm:8080,[::1]:9000,10.2.0.1:6379")
    assert may_reach(ip_address("10.1.2.3"), allow)
    assert not may_reach(ip_address("10.3.0.1"), allow)
    assert may_reach(ip_address("fd00:ec2::254"), allow)
    assert may_reach(ip_address("127.0.0.1"), allow, "tools.internal")
    assert may_reach(ip_address("127.0.0.1"), allow, "crm")
    assert not may_reach(ip_address("127.0.0.1"), allow, "other.internal")
    assert (allow.has_port("crm", 8080), allow.has_port("crm", 6379)) == (True, False)
    assert allow.has_port(ip_address("10.2.0.1"), 6379)
    assert not allow.has_port(ip_address("10.1.0.1"), 6379)
    assert allow.has_port(ip_address("::1"), 9000)


def test_an_ipv4_network_does_not_allow_the_same_in_ipv6() -> None:
    allow = Allow.parse("127.0.0.0/8")
    for text in ("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::1"):
        assert not may_reach(ip_address(text), allow)


@pytest.mark.parametrize(
    "text",
    [
        "10.1.0.1/16",
        "10.0.0.0/40",
        "tools.internal:0",
        "h:99999",
        "h:x",
        "ht tp",
        "http://h",
        "*",
        "a,b,:80",
        "[::1",
        "127.1",
        "0x7f.1",
    ],
)
def test_a_wrong_entry_is_refused_by_its_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"entry [123] "):
        Allow.parse(text)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.acme.example", True),
        ("localhost", True),
        ("my_service", True),
        ("xn--bcher-kva.example", True),
        ("127.1", False),
        ("0x7f000001", False),
        ("2130706433", False),
        ("1.2.3.0x4", False),
        ("a..b", False),
        ("a.", False),
        ("-a.b", False),
        ("a" * 64, False),
        (".".join(["a" * 60] * 5), False),
        ("b\u00fccher.example", False),
        ("a\n", False),
        ("", False),
    ],
)
def test_what_could_be_an_address_is_no_name(host: str, name: bool) -> None:
    assert is_name(host) is name
