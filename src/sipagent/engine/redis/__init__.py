"""Who holds which call among many replicas: Redis Streams (Redis from 6.2 on, or Valkey)."""
