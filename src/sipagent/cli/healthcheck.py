"""`sipagent healthcheck`: whether the service on this machine lives, for a container.

Only the standard library is imported: it runs every few seconds beside live calls.
"""

import http.client
import os
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_DEADLINE: Final = 3.0
_PATH: Final = "/healthz"
_UNHEALTHY: Final = 1
_ANY_ADDRESS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def run(url: str | None) -> int:
    """Ask `/healthz` once, and say in one line what came. Returns the exit code: 0 or 1.

    Without a URL it is the service that HOST and PORT of the environment describe, or the files
    that HOST_FILE and PORT_FILE name.
    """
    asked = url or "this service"
    try:
        asked = url or _own_url()
        status = _status(asked)
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"unhealthy: {asked}: {str(error) or type(error).__name__}", file=sys.stderr)
        return _UNHEALTHY
    if status != http.HTTPStatus.OK:
        print(f"unhealthy: {asked}: answered {status}", file=sys.stderr)
        return _UNHEALTHY
    print(f"healthy: {asked}")
    return 0


def _own_url() -> str:
    host = _variable("HOST")
    host = _ANY_ADDRESS.get(host, host)
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{_variable('PORT') or 8000}{_PATH}"


def _variable(name: str) -> str:
    """What the service's settings read: `NAME`, else the contents of the file of `NAME_FILE`."""
    value, path = os.environ.get(name, ""), os.environ.get(f"{name}_FILE")
    return value if value or not path else Path(path).read_text("utf-8").strip()


def _status(url: str) -> int:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not the URL of a service")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=_DEADLINE)
    try:
        connection.request("GET", parts.path or _PATH)
        return connection.getresponse().status
    finally:
        connection.close()
