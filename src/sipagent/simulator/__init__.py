"""The carrier and the provider, faked well enough for the official openai SDK.

A *call* is placed by a test or by `sipagent simulate call`; its signed webhook is *delivered*;
whoever answers it *accepts* the call by REST and *attaches* to its socket. A *script* says what
the caller and the simulated model say; *faults* say what goes wrong. What follows what is decided
in pure code (`conversation`, `responses`, `caller`, `call`); `switchboard`, `provider`, `control`
and `server` do the input and output.

The service never imports this package, and this package imports nothing of the service.
"""

from sipagent.simulator.server import Simulator, running_simulator

__all__ = ["Simulator", "running_simulator"]
