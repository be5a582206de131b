"""YAML as operators mean it: text to a tree in which every key and value knows its place, and the
tree to plain data. Scalars are read by the core schema of YAML 1.2, within limits."""
