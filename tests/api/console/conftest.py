"""`records_url` gives a test an empty database, once on SQLite and once on PostgreSQL."""

from tests.databases import postgresql_url, records_url, server_url, sqlite_url

__all__ = ["postgresql_url", "records_url", "server_url", "sqlite_url"]
