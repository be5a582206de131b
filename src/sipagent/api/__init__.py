"""HTTP only: what comes in is checked and translated here, and decided elsewhere."""
