"""Calls as traces, for OpenTelemetry, by its conventions for generative AI.

A *trace* is a call: its id follows from the call's, so that replicas that take calls over from each
other write one trace. Its *spans* are the call (`invoke_workflow`), each agent that has it
(`invoke_agent`), each response of the model (`generate_content`) and each tool (`execute_tool`),
and the steps on the way: accept, attach, transfer.

`story` makes spans of what happens, and is pure; `records` hears of it; `outgoing` holds what is to
be sent, and `otlp` knows the SDK, which is there where the extra `otel` is installed.
"""
