"""The name by which docs/data.md and users' scripts know `tabular.preprocessing.apply`."""

from __future__ import annotations

from sweeps.datasets.tabular.preprocessing import apply

__all__ = ["apply"]
