"""Compiled programs, the lanes that they train, and the threads that advance them."""
