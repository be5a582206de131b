"""`postgresql_url` gives a test an empty database of a real PostgreSQL server."""

from tests.databases import postgresql_url, server_url

__all__ = ["postgresql_url", "server_url"]
