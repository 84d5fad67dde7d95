"""The life of a run, from the config to the last record of the log. See README.md beside this."""
