"""What tests of calls need, ours and an operator's: a playbook, fakes of the ports, virtual time.

A *playbook* drives a call's machine alone: events in, expected commands out. The *fakes*
implement the ports in memory. On a *virtual* event loop time passes only when everybody waits,
so that a test of a deadline takes no time and never fails on a slow machine.
"""

from sipagent.testing.fakes import (
    SILENT,
    FakeConfiguration,
    FakeControl,
    FakeEngine,
    FakeProviders,
    FakeSideband,
    FakeSocket,
    FakeTap,
    FakeTools,
    a_forward,
    a_plan,
    a_profile,
    a_table,
)
from sipagent.testing.playbook import Playbook, Some
from sipagent.testing.records import MemoryRecords
from sipagent.testing.virtual import VirtualClock, VirtualTimeLoop

__all__ = [
    "SILENT",
    "FakeConfiguration",
    "FakeControl",
    "FakeEngine",
    "FakeProviders",
    "FakeSideband",
    "FakeSocket",
    "FakeTap",
    "FakeTools",
    "MemoryRecords",
    "Playbook",
    "Some",
    "VirtualClock",
    "VirtualTimeLoop",
    "a_forward",
    "a_plan",
    "a_profile",
    "a_table",
]
