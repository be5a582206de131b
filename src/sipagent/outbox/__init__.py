"""Telling tenants of their calls: signed webhooks, from the outbox to their endpoints.

The *payload* is what an event tells (pure), the *schedule* when it is tried again (pure), the
*post* the way out, the *courier* the task that carries. What is to be told stands in the database
(`store.outbox`), and is put there by whoever records it (`store.announcing`).
"""
