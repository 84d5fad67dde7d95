"""How close is close: every tolerance of the tests, in one place.

On a CPU a lane is a program of its own, so that a crowd changes no bit. Against another order of the same sums (the
reference, lanes side by side under vmap) float32 rounds differently, and training carries that along; Adam divides by
what may be small. Relative and absolute parts are those of `numpy.testing.assert_allclose`.
"""

from __future__ import annotations

from typing import Any

EXACT: dict[str, float] = {"rtol": 0.0, "atol": 0.0}
"""The same program on the same values."""

GRADIENT: dict[str, float] = {"rtol": 2e-5, "atol": 2e-6}
"""One gradient: the same sum in another order."""

FORMULA: dict[str, float] = {"rtol": 1e-5, "atol": 1e-6}
"""One value against its closed form in float64."""

TRAINED: dict[str, float] = {"rtol": 2e-4, "atol": 2e-5}
"""Parameters and losses after some tens of updates."""


def trained(optimizer: str) -> dict[str, Any]:
    """What training with an optimizer is held to: Adam's quotients amplify the last bit of a small gradient."""
    return {"rtol": 1e-3, "atol": 1e-4} if optimizer == "adam" else TRAINED
