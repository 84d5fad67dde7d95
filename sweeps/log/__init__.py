"""The log of a sweep: how it is written and read, and the folds over its records."""
