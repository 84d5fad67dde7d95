"""How often JAX compiled the training program, as JAX itself reports it."""

from __future__ import annotations

import threading

import jax

from sweeps.training.program import TRAINING_FUNCTION

_EVENT = "/jax/core/compile/backend_compile_duration"
_lock = threading.Lock()
_count = 0


def training_compilations() -> int:
    """Compilations of the training program in this process since this module was imported."""
    return _count


def _listen(event: str, duration_secs: float, **details: str | int) -> None:
    global _count  # noqa: PLW0603  (JAX's listeners are global and cannot be taken back)
    del duration_secs
    if event == _EVENT and details.get("fun_name") == TRAINING_FUNCTION:
        with _lock:
            _count += 1


jax.monitoring.register_event_duration_secs_listener(_listen)
