"""`/docs`: the API's description as one page, made here. It asks nobody for anything: there is
neither a script nor a style, an image or a font of another's."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

from fastapi.responses import HTMLResponse, Response

_STYLE: Final = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:60rem;margin:0 auto;padding:1rem}
code,pre{font:.875rem/1.5 ui-monospace,monospace}
pre{overflow-x:auto;padding:.75rem;border:1px solid;border-radius:.25rem}
details{border-top:1px solid;padding:.5rem 0}
summary{cursor:pointer}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.25rem .5rem .25rem 0}
"""

_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class _Written:
    description: bytes
    page: str


class Description:
    """The description and its page, made once, and in a thread: half a second in which no call
    waits. `make` gives the description."""

    def __init__(self, make: Callable[[], Mapping[str, Any]]) -> None:
        self._make = make
        self._lock = asyncio.Lock()
        self._written: _Written | None = None

    async def json(self) -> Response:
        return Response((await self._made()).description, media_type="application/json")

    async def page(self) -> Response:
        return HTMLResponse((await self._made()).page, headers=_HEADERS)

    async def _made(self) -> _Written:
        async with self._lock:
            if self._written is None:
                self._written = await asyncio.to_thread(_write, self._make)
            return self._written


def _write(make: Callable[[], Mapping[str, Any]]) -> _Written:
    description = make()
    return _Written(json.dumps(description).encode(), "".join(_page(description)))


def _page(description: Mapping[str, Any]) -> Iterator[str]:
    info = description["info"]
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body><main>"
    yield f"<h1>{escape(info['title'])} {escape(info['version'])}: control API</h1>"
    for paragraph in info.get("description", "").split("\n\n"):
        yield f"<p>{escape(paragraph)}</p>"
    yield '<p>The whole description: <a href="/openapi.json">/openapi.json</a></p>'
    for tag in description.get("tags", ()):
        yield f"<h2>{escape(tag['name'])}</h2><p>{escape(tag.get('description', ''))}</p>"
        yield from _operations(description, tag["name"])
    yield "</main></body></html>"


def _operations(description: Mapping[str, Any], tag: str) -> Iterator[str]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            if tag in operation.get("tags", ()):
                yield from _operation(description, f"{method.upper()} {path}", operation)


def _operation(
    description: Mapping[str, Any], name: str, operation: Mapping[str, Any]
) -> Iterator[str]:
    yield f'<details id="{escape(operation["operationId"])}">'
    yield f"<summary><code>{escape(name)}</code> {escape(operation.get('summary', ''))}</summary>"
    yield f"<p>{escape(operation.get('description', ''))}</p>"
    rows = [*_parameters(operation), *_fields(description, operation)]
    if rows:
        yield "<table><thead><tr><th>Name</th><th>In</th><th>What it is</th></tr></thead><tbody>"
        yield from rows
        yield "</tbody></table>"
    yield "<p>Answers:</p><ul>"
    for status, response in operation["responses"].items():
        yield f"<li><code>{escape(status)}</code> {escape(response['description'])}</li>"
    yield "</ul></details>"


def _parameters(operation: Mapping[str, Any]) -> Iterator[str]:
    for one in operation.get("parameters", ()):
        yield _row(one["name"], one["in"], one.get("description", ""))


def _fields(description: Mapping[str, Any], operation: Mapping[str, Any]) -> Iterator[str]:
    """The fields of the body."""
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    for one in (schema, *schema.get("anyOf", ())):
        name = one.get("$ref", "").rpartition("/")[2]
        model = description.get("components", {}).get("schemas", {}).get(name, {})
        for field, told in model.get("properties", {}).items():
            example = told.get("examples", [None])[0]
            shown = "" if example is None else f" (as {json.dumps(example)})"
            yield _row(field, "body", told.get("description", "") + shown)


def _row(name: str, place: str, what: str) -> str:
    cells = "".join(f"<td>{escape(cell)}</td>" for cell in (place, what))
    return f"<tr><td><code>{escape(name)}</code></td>{cells}</tr>"
