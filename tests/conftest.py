"""Strictness for every test: JAX refuses silent promotion, and random examples are the same in every run."""

from __future__ import annotations

import os

# Set before anything can import JAX, which reads them once.
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")
