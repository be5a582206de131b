"""One call, held from its claim to its outcome.

`machine` decides: events in, commands out, no I/O. A *runner* owns one call: it carries frames
and results in as events and carries commands out through the *ports*. The *supervisor* owns all
runners; a call that crashes harms no other.
"""
