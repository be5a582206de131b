"""The provider's REST API by httpx, whose requests respx answers."""

import ssl
from collections.abc import Sequence

import httpx

from sipagent.providers.openai.rest import Body, Rest, RestAnswer, RestError

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class MockedRest(Rest):
    """Answers and failures as respx has them; what they mean is told as the real one tells it."""

    def __init__(self, context: ssl.SSLContext | None = None, proxy: str | None = None) -> None:
        super().__init__(context, proxy)
        self._client = httpx.AsyncClient(trust_env=False)

    async def post(
        self,
        url: str,
        headers: Sequence[tuple[bytes, bytes]],
        body: Body,
        *,
        within: float | None = None,
    ) -> RestAnswer:
        sent_with = [*headers, (b"Content-Type", body.kind.encode())]
        try:
            response = await self._client.post(url, headers=sent_with, content=body.content)
        except httpx.HTTPError as error:
            sent = not isinstance(error, _NOT_SENT)
            raise RestError(type(error).__name__, sent=sent) from error
        return RestAnswer(response.status_code, response.headers.raw, response.content)

    async def close(self) -> None:
        await super().close()
        await self._client.aclose()
