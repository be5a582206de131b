"""The control API, version 1."""
