"""What the commands share of the process: exit codes and limits."""

import contextlib
import resource
from typing import Final

FINDINGS: Final = 1
"""Findings, or a call that was not answered."""

USAGE: Final = 2
UNREACHABLE: Final = 3
"""The service could not start, or a server that is needed was not reached."""

BAD_CONFIGURATION: Final = 78
"""EX_CONFIG of sysexits.h: settings or agents.yaml cannot be used."""


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard one: each held call is one socket."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems call "no limit" too much
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
