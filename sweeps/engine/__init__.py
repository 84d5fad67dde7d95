"""From trials to lanes that train: programs, the lanes of each device, and the scheduler. See README.md beside this."""
