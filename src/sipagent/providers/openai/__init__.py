"""OpenAI's Realtime API over SIP.

`webhooks` verifies and parses deliveries, `server_events` reads frames and `client_events` writes
them (all pure); `control` speaks REST, `sideband` holds sockets, `preflight` asks before the first
call.
"""
