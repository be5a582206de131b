"""OpenAI's Realtime API over SIP.

`webhooks` verifies and parses deliveries, `codec` reads and writes frames (both pure);
`control` speaks REST, `sideband` holds sockets, `preflight` asks before the first call.
"""
