"""Where nobody's URL may lead: every spelling of an address inside, every name that leads there,
every port at which no API answers. A listener on the loopback says whether anybody came."""

from collections.abc import Sequence

import pytest

from sipagent.errors import EgressError, EgressTrouble
from sipagent.tools.addresses import Allow
from sipagent.tools.egress import Ask, Egress
from sipagent.tools.targets import parse_target, refusal
from tests.tools.support import Canary, Names, Seen, Wire, ok, reply

LITERALS = [
    "http://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/",
    "HTTPS://127.0.0.1:{port}/",
    "https://127.1:{port}/",
    "https://127.0.1:{port}/",
    "https://0:{port}/",
    "https://0.0.0.0:{port}/",
    "https://0x7f000001:{port}/",
    "https://0x7f.0x0.0x0.0x1:{port}/",
    "https://0x7f.1:{port}/",
    "https://2130706433:{port}/",
    "https://017700000001:{port}/",
    "https://0177.0.0.1:{port}/",
    "https://127.0.0.01:{port}/",
    "https://127.000.000.001:{port}/",
    "https://127.0.0.1.:{port}/",
    "https://127.0.0.1..:{port}/",
    "https://127.0.0.1%00:{port}/",
    "https://127.0.0.1%20:{port}/",
    "https://%31%32%37.0.0.1:{port}/",
    "https://127\u30020\u30020\u30021:{port}/",
    "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11:{port}/",
    "https://\u2460\u2461\u2466.0.0.1:{port}/",
    "https://[::1]:{port}/",
    "https://[0:0:0:0:0:0:0:1]:{port}/",
    "https://[::]:{port}/",
    "https://[::ffff:127.0.0.1]:{port}/",
    "https://[::ffff:7f00:1]:{port}/",
    "https://[::127.0.0.1]:{port}/",
    "https://[64:ff9b::127.0.0.1]:{port}/",
    "https://[64:ff9b::7f00:1]:{port}/",
    "https://[2002:7f00:1::]:{port}/",
    "https://[fe80::1%25lo]:{port}/",
    "https://[::1%25lo]:{port}/",
    "https://[127.0.0.1]:{port}/",
    "https://[::1:{port}/",
    "https://::1:{port}/",
    "https://[::1]x:{port}/",
    "https://10.0.0.1:{port}/",
    "https://172.16.0.1:{port}/",
    "https://192.168.0.1:{port}/",
    "https://100.64.0.1:{port}/",
    "https://192.0.0.8:{port}/",
    "https://169.254.169.254/latest/meta-data/",
    "https://192.0.0.192/opc/v2/instance/",
    "https://100.100.100.200/latest/meta-data/",
    "https://168.63.129.16/machine/",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://[fd20:ce::254]/computeMetadata/v1/",
    "https://user@127.0.0.1:{port}/",
    "https://user:pass@127.0.0.1:{port}/",
    "https://api.public.test@127.0.0.1:{port}/",
    "https://api.public.test:443@127.0.0.1:{port}/",
    "https://api.public.test\\@127.0.0.1:{port}/",
    "https://api.public.test#@127.0.0.1:{port}/",
    "https://127.0.0.1:{port}#@api.public.test/",
    "https://127.0.0.1\\.api.public.test:{port}/",
    "https:///127.0.0.1:{port}/",
    "https:127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "https://127.0.0.1:{port}\t/",
    "https://127.0.0.1\n:{port}/",
    "https://\r\n127.0.0.1:{port}/",
    "https:// 127.0.0.1:{port}/",
    "https://127.0.0.1:+{port}/",
    "https://127.0.0.1:0{port}/",
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET",
    "file:///etc/passwd",
    "unix:///run/docker.sock",
    "ws://127.0.0.1:{port}/",
    "javascript://127.0.0.1:{port}/",
    "",
    "https://",
    "https://:{port}/",
]
NAMED = {
    "localhost": ["127.0.0.1"],
    "localhost6": ["::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "nat64.test": ["64:ff9b::7f00:1"],
    "6to4.test": ["2002:7f00:1::1"],
    "mixed.test": ["93.184.215.14", "127.0.0.1"],
    "scoped.test": ["fe80::1%1"],
    "odd.test": ["127.1"],
    "none.test": ["not an address"],
    "127.0.0.1.nip.test": ["127.0.0.1"],
    # The names at which six clouds answer their metadata, and where those lead.
    "instance-data.ec2.internal": ["169.254.169.254"],
    "metadata.google.internal": ["169.254.169.254"],
    "metadata.azure.internal": ["168.63.129.16"],
    "metadata.oraclecloud.test": ["192.0.0.192"],
    "metadata.aliyun.test": ["100.100.100.200"],
    "metadata.digitalocean.test": ["169.254.169.254"],
}
PORTS = [1, 7, 22, 23, 25, 53, 110, 139, 445, 587, 993, 2375, 3306, 5432, 6379, 6443, 9200, 11211]


def canary_names(extra: dict[str, Sequence[Sequence[str]]] | None = None) -> Names:
    table: dict[str, Sequence[Sequence[str]]] = {name: [to] for name, to in NAMED.items()}
    return Names({**table, **(extra or {})})


async def refused(egress: Egress, url: str, **kwargs: object) -> str:
    with pytest.raises(EgressError) as raised:
        await egress.request(Ask("GET", url, plain=True, **kwargs))  # type: ignore[arg-type]
    assert raised.value.kind is EgressTrouble.REFUSED
    assert not raised.value.sent
    return raised.value.detail


@pytest.mark.parametrize("url", LITERALS)
async def test_no_spelling_of_an_address_inside_is_connected_to(url: str) -> None:
    names = canary_names()
    async with Canary() as canary, Egress(lookup=names) as egress:
        detail = await refused(egress, url.replace("{port}", str(canary.port)))
        assert "127" not in detail
        assert (canary.connections, names.asked) == (0, [])


@pytest.mark.parametrize("name", NAMED)
async def test_no_name_that_leads_inside_is_connected_to(name: str) -> None:
    async with Canary() as canary, Egress(lookup=canary_names()) as egress:
        for scheme in ("http", "https"):
            await refused(egress, f"{scheme}://{name}:{canary.port}/")
        assert canary.connections == 0


async def test_the_machines_own_resolver_leads_nowhere_inside_either() -> None:
    async with Canary() as canary, Egress() as egress:
        await refused(egress, f"http://localhost:{canary.port}/")
        assert canary.connections == 0


async def test_the_listener_would_notice() -> None:
    allow = Allow.parse("127.0.0.0/8,localhost")
    async with Canary() as canary, Egress(allow) as egress:
        await egress.request(Ask("GET", f"http://127.0.0.1:{canary.port}/"))
        await egress.request(Ask("GET", f"http://LocalHost:{canary.port}/"))
        assert canary.connections == 2


async def test_a_name_that_changes_its_address_leads_to_the_checked_one() -> None:
    """DNS rebinding: the address is asked for once for each connection, and that one is used."""

    async def closing(seen: Seen) -> bytes:
        return reply(200, b"{}", "Connection: close")

    names = canary_names({"rebinding.test": [["127.0.0.2"], ["127.0.0.1"]]})
    allow = Allow.parse("127.0.0.2")
    async with (
        Canary() as canary,
        Wire(closing, host="127.0.0.2", port=canary.port) as wire,
        Egress(allow, lookup=names) as egress,
    ):
        url = f"http://rebinding.test:{canary.port}/"
        answer = await egress.request(Ask("GET", url, plain=True))
        assert (answer.status, names.asked.count("rebinding.test")) == (200, 1)
        for _ in range(3):
            assert await refused(egress, url) == "address"
        assert (wire.connections, canary.connections) == (1, 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    async with Canary() as canary:

        async def away(seen: Seen) -> bytes:
            return reply(status, b"", f"Location: http://127.0.0.1:{canary.port}/")

        # Even where the redirect's address would be allowed it is not asked.
        async with Wire(away) as wire, Egress(Allow.parse("127.0.0.0/8")) as egress:
            answer = await egress.request(Ask("GET", f"http://127.0.0.1:{wire.port}/"))
            assert (answer.status, canary.connections) == (status, 0)


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Canary() as canary, Wire() as wire:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        async with Egress(Allow.parse("127.0.0.0/8")) as egress:
            await egress.request(Ask("GET", f"http://127.0.0.1:{wire.port}/"))
        assert (len(wire.seen), canary.connections) == (1, 0)


@pytest.mark.parametrize("port", PORTS)
async def test_ports_at_which_no_api_answers_are_refused(port: int) -> None:
    names = canary_names({"api.test": [["127.0.0.1"]]})
    async with Egress(Allow.parse("127.0.0.0/8,api.test"), lookup=names) as egress:
        assert await refused(egress, f"http://127.0.0.1:{port}/") == "port"
        assert await refused(egress, f"https://api.test:{port}/") == "port"
    assert names.asked == []


async def test_a_port_that_the_operator_names_is_open_for_that_host_alone() -> None:
    names = canary_names()
    allow = Allow.parse("127.0.0.0/8,cache.test:25,other.test,127.0.0.1:22")
    async with Egress(allow, lookup=names) as egress:
        with pytest.raises(EgressError) as raised:
            await egress.request(Ask("GET", "http://cache.test:25/"))
        assert (raised.value.kind, names.asked) == (EgressTrouble.UNREACHABLE, ["cache.test"])
        for url in ("http://cache.test:22/", "http://other.test:25/", "http://127.0.0.2:22/"):
            assert await refused(egress, url) == "port"
    assert refusal(parse_target("http://127.0.0.1:22/"), allow) is None


async def test_http_needs_the_operators_word() -> None:
    names = canary_names({"api.test": [["93.184.215.14"]]})
    async with Egress(lookup=names) as egress:
        with pytest.raises(EgressError) as raised:
            await egress.request(Ask("GET", "http://api.test/"))
    assert (raised.value.detail, names.asked) == ("not https", [])


@pytest.mark.parametrize(
    ("method", "headers", "detail"),
    [
        ("GE T", {}, "method"),
        ("CONNECT", {}, "method"),
        ("get", {}, "method"),
        ("GET", {"X-A": "a\r\nX-B: b"}, "header value"),
        ("GET", {"X-A": "a\nb"}, "header value"),
        ("GET", {"X-A": "a\0b"}, "header value"),
        ("GET", {"X-A": "a\x7fb"}, "header value"),
        ("GET", {"X-A": "a\x85b"}, "header value"),
        ("GET", {"X-A": "\ud800"}, "header value"),
        ("GET", {"X-A": "a" * 5_000}, "header value"),
        ("GET", {"X A": "a"}, "header name"),
        ("GET", {"X-A\r\nX-B": "a"}, "header name"),
        ("GET", {"": "a"}, "header name"),
        ("GET", {"Host": "other.test"}, "header name"),
        ("GET", {"Content-Length": "5"}, "header name"),
        ("GET", {"transfer-encoding": "chunked"}, "header name"),
        ("GET", {"Connection": "upgrade"}, "header name"),
    ],
)
async def test_what_would_be_another_request_is_refused(
    method: str, headers: dict[str, str], detail: str
) -> None:
    async with Canary() as canary, Egress(Allow.parse("127.0.0.0/8")) as egress:
        with pytest.raises(EgressError) as raised:
            await egress.request(Ask(method, f"http://127.0.0.1:{canary.port}/", headers))
        assert (raised.value.kind, raised.value.detail) == (EgressTrouble.REFUSED, detail)
        assert canary.connections == 0


async def test_nothing_is_asked_once_it_is_closed() -> None:
    async with Canary() as canary:
        async with Egress(Allow.parse("127.0.0.0/8")) as egress:
            pass
        assert await refused(egress, f"http://127.0.0.1:{canary.port}/") == "closed"
        assert canary.connections == 0


def test_there_are_enough_spellings() -> None:
    assert len(LITERALS) + 2 * len(NAMED) + 2 * len(PORTS) >= 60
    assert ok().startswith(b"HTTP/1.1 200")
