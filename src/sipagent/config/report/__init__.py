"""What people are told of a configuration: warnings, differences in meaning, who would answer and
why, the whole of it as YAML, and its JSON Schema. Nothing that takes calls depends on it, but for
the log's line of what a reload has changed."""
