"""What pages load besides HTML: files of the package, under names that say their content.

The files are read once, and each one's URL has a part of its hash. So browsers may keep them for
ever, and a page of a newer release runs no script that was kept from an older one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from fastapi import APIRouter, Request, Response

from sipagent.api.console.refusals import Refused

PREFIX: Final = "/static"
FOREVER: Final = "public, max-age=31536000, immutable"
TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
"""Other files of the folder are not served."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is served."""

    content: bytes = field(repr=False)
    media_type: str
    mark: str
    """The first 16 digits of its SHA-256."""


class Assets:
    """All files that pages load."""

    def __init__(self, folder: Traversable | None = None) -> None:
        root = folder or files("sipagent.api.console").joinpath("static")
        self._assets = dict(_read(root, ""))

    def url(self, name: str) -> str:
        """The URL of a file. Raises KeyError: a template names one that is not there."""
        return f"/console{PREFIX}/{self._assets[name].mark}/{name}"

    def router(self) -> APIRouter:
        routes = APIRouter()

        @routes.get(f"{PREFIX}/{{mark}}/{{name:path}}", include_in_schema=False)
        async def static(request: Request, mark: str, name: str) -> Response:
            asset = self._assets.get(name)
            if asset is None:
                raise Refused(404, "There is no such file.")
            # While replicas change their release, pages and files may come from different ones.
            keeps = FOREVER if asset.mark == mark else "no-store"
            headers = {"ETag": f'"{asset.mark}"', "Cache-Control": keeps}
            if request.headers.get("if-none-match") == headers["ETag"]:
                return Response(status_code=304, headers=headers)
            return Response(asset.content, media_type=asset.media_type, headers=headers)

        return routes


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, Asset]]:
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _read(entry, f"{name}/")
        elif (media_type := TYPES.get(name.rpartition(".")[2])) is not None:
            content = entry.read_bytes()
            yield name, Asset(content, media_type, sha256(content).hexdigest()[:16])
