"""From an agent's `tools`, `keys`, `silence` and `languages` to what its calls can do."""
