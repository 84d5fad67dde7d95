"""How often JAX compiled the training program, as JAX itself reports it."""

from __future__ import annotations

import threading

import jax

from sweeps.engine.program import TRAINING_FUNCTION

_COMPILED = "/jax/core/compile/backend_compile_duration"
_RECALLED = "/jax/compilation_cache/cache_hits"
_lock = threading.Lock()
_thread = threading.local()
_count = 0


def training_compilations() -> int:
    """Compilations of the training program in this process since this module was imported.

    A program that JAX found in its persistent cache was not compiled.
    """
    return _count


def _listen(event: str, duration_secs: float, **details: str | int) -> None:
    global _count  # noqa: PLW0603  (JAX's listeners are global and cannot be taken back)
    del duration_secs
    if event == _COMPILED:
        recalled, _thread.recalled = getattr(_thread, "recalled", False), False
        if details.get("fun_name") == TRAINING_FUNCTION and not recalled:
            with _lock:
                _count += 1


def _listen_for_cache(event: str, **_: str | int) -> None:
    """JAX tells of a hit in the thread that would compile, and then of a compilation that took no time."""
    if event == _RECALLED:
        _thread.recalled = True


jax.monitoring.register_event_duration_secs_listener(_listen)
jax.monitoring.register_event_listener(_listen_for_cache)
