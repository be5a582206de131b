"""JSON as everything here passes it on."""

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]
"""A JSON object that nobody changes after it has been built."""
