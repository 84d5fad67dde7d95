"""Models to copy: each file is one model, written as a user would write it."""
