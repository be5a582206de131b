"""`python -m benchmarks.records`: reading a million stored calls, on SQLite and PostgreSQL.

Calls are made by a seeded generator and written in bulk into a temporary folder; then the queries
of `sipagent.store.reading` are timed as the commands and the API call them, through SQLAlchemy.
"""
