"""`python -m sipagent`: the same as the `sipagent` command."""

from sipagent.cli import main

if __name__ == "__main__":
    main()
