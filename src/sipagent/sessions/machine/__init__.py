"""What a call does next: many small machines, each a frozen state and a pure `step`.

`lifecycle` answers, attaches and ends. `greeting` has the first words heard and hands the turn to
the caller, `disclosure` knows what has been disclosed. `responses` alone asks the model to speak.
`playback` knows what has been heard. `transcript` collects both sides. `forwarding` sends on a call
that no agent answers, `transfer` one that its agent sends to somebody. `spending` adds up what is
billed, `recovery` knows what is tried when the model fails, `attendance` whether anybody is there,
`silence` when nobody speaks, `duration` when the time is up. `toolcalls` has tools run, `outputs`
brings the model what they have come to, `fillers` bridges their time, `approvals` sees to tools
that the provider asks; of the call's own, `leaving` hangs up, `speech` changes agent and language,
`digits` collects keys. `deadlines` keeps the times. None reads another's state: they speak by the
internal events of `signals`, passed round by `call` until none is left.

Times are seconds since the call began, on a clock that only goes forward.
"""

from sipagent.sessions.machine.adoption import Past, adopted
from sipagent.sessions.machine.call import CallState, begin, resume, step

__all__ = ["CallState", "Past", "adopted", "begin", "resume", "step"]
