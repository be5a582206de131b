"""The upstreams that hold the calls' media, one package for each.

An *account* is one upstream project: where it is and what proves that we may speak for it.
A *delivery* is one signed webhook; verified and parsed, it is an *event*. *Call control* is what
is asked by REST (accept, reject, refer, hang up); the *sideband* is the call's socket, and its
*codec* turns frames into the machine's events and commands into frames.
"""
