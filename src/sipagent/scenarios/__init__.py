"""Calls that are rehearsed: a scripted caller and model against the real service, offline.

A *scenario* is one call as a file has it: who calls when, what the caller and the model say, what
others' servers answer, and what is *expected* of it. A *stage* is the service beside the simulator
in an event loop whose clock hurries and whose network leads nowhere else. The *run* of a scenario
is what happened on the stage, the *verdict* what of it was not as expected.
"""
