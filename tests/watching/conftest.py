"""`records_url` gives a test an empty database, once on SQLite and once on PostgreSQL."""

from tests.databases import postgresql_url as postgresql_url
from tests.databases import records_url as records_url
from tests.databases import server_url as server_url
from tests.databases import sqlite_url as sqlite_url
