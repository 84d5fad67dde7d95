"""Tools that end a running sweep at every possible place, and judge what the next run makes of it."""
