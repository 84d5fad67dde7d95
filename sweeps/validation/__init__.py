"""A config held against what it names, before anything trains."""
