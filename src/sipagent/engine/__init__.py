"""Who holds which call. One process alone needs no more than its own memory: `embedded`."""
