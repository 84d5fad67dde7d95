"""Adapters: a model of any library as two pure functions. One file a library, which imports it when it is called."""
