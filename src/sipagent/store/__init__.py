"""What is kept of calls. In this release: lines in the log and metrics, no database."""
