"""Requests over real sockets."""

import asyncio
import socket
import ssl

import pytest

from sipagent.providers.openai.rest import Body, Rest, environment_proxy


@pytest.mark.parametrize("by_proxy", [False, True])
async def test_whether_a_request_that_ran_out_of_time_was_sent(by_proxy: bool) -> None:
    body = Body(b"{}")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        # A proxy that does not answer has not even connected us.
        proxy, target = (url, "https://api.test/x") if by_proxy else (None, f"{url}/x")
        async with Rest(ssl.create_default_context(), proxy) as rest:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await rest.post(target, (), body)
    assert body.begun is not by_proxy


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://:1", "http://h:70000"])
def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(ValueError, match=r"proxies|[Pp]ort"):
        environment_proxy("https://api.test/v1")
