"""What an agent can do beyond its call: the executors of effects.

A *tool* is what a model may use; its *effect* is a request, a function or a message. *Egress* is
the one way out to servers of the operator's and of tenants': it decides by *target* (what a URL
asks for), by the *allow* list and by the *address* that a name has come to, and it connects to that
address alone. The *toolbox* runs whatever a call asks for, within its time.
"""
