"""What a URL asks for: one reading, and a reason where there is none."""

from ipaddress import ip_address

import pytest

from sipagent.tools.targets import LONGEST_URL, TargetError, parse_target


@pytest.mark.parametrize(
    ("url", "spelled", "host", "port"),
    [
        ("https://api.test", "https://api.test/", "api.test", 443),
        ("HTTP://API.Test:80/A?b", "http://api.test/A?b", "api.test", 80),
        ("https://api.test:80/", "https://api.test:80/", "api.test", 80),
        ("https://api.test?a=/b?c", "https://api.test/?a=/b?c", "api.test", 443),
        ("https://8.8.8.8:8443/", "https://8.8.8.8:8443/", "8.8.8.8", 8443),
        ("https://[2A00:0::1]/", "https://[2a00::1]/", "2a00::1", 443),
        ("https://[::FFFF:1.2.3.4]:1/", "https://[::ffff:102:304]:1/", "::ffff:102:304", 1),
        ("https://api.test/a@b/../c", "https://api.test/a@b/../c", "api.test", 443),
    ],
)
def test_a_url(url: str, spelled: str, host: str, port: int) -> None:
    target = parse_target(url)
    assert (target.url, target.host, target.port) == (spelled, host, port)
    assert target.address == (ip_address(host) if host[-1].isdigit() else None)
    assert parse_target(target.url) == target


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://user@api.test/", "credentials"),
        ("https://:@api.test/", "credentials"),
        ("https://api.test/" + "a" * LONGEST_URL, "too long"),
        ("https://api.test/a b", "percent-encoded"),
        ("https://api.test/{a}", "percent-encoded"),
        ("https://api.test/a|b", "percent-encoded"),
        ('https://api.test/"', "percent-encoded"),
        ("https://api.test\\a", "percent-encoded"),
        ("https://api.test/\u00fc", "percent-encoded"),
        ("https://api.test/\r\n", "percent-encoded"),
        ("https://api.test/#a", "fragment"),
        ("ftp://api.test/", "no http"),
        ("api.test", "no http"),
        ("https://127.1/", "usual spelling"),
        ("https://api.test./", "usual spelling"),
        ("https://a_b.-c/", "usual spelling"),
        ("https:///a", "usual spelling"),
        ("https://[::1/", "no IPv6"),
        ("https://[fe80::1%1]/", "no IPv6"),
        ("https://[::1]1/", "no IPv6"),
        ("https://api.test:/", "port"),
        ("https://api.test:0/", "port"),
        ("https://api.test:080/", "port"),
        ("https://api.test:65536/", "port"),
        ("https://api.test:1:2/", "port"),
    ],
)
def test_what_is_not_read(url: str, reason: str) -> None:
    with pytest.raises(TargetError, match=reason) as raised:
        parse_target(url)
    assert "api" not in str(raised.value).replace("API", "")


def test_the_longest_url_is_read() -> None:
    assert parse_target("https://a/" + "a" * (LONGEST_URL - 10)).host == "a"
