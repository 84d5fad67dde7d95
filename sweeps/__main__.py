"""`python -m sweeps`: the `sweep` command."""

from sweeps.cli import entry

if __name__ == "__main__":
    entry()
