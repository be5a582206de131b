"""The upstreams that hold the calls' media, one package for each.

An *account* is one upstream project: where it is and what proves that we may speak for it.
A *delivery* is one signed webhook; verified and parsed, it is an *event*. *Call control* is what
is asked by REST (accept, reject, refer, hang up); the *sideband* is the call's socket: *server
events* come by it, which the machine takes, and *client events* go, which its commands become.
"""
