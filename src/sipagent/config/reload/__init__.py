"""The configuration in force and how it changes while calls are held.

A *version* is one usable configuration with the texts that it was made from. A *pin* keeps a stored
version in force over the files (`sipagent rollback`). *Orders* are the operator's red button.
Everything here may block on the disk and is called from threads; `live` and `reloader` swap.
"""
