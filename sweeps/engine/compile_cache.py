"""Compiled programs are kept in a folder of the user's, so that a sweep that is run again starts sooner.

JAX's own persistent cache does the work. Where the user has set it up, or switched it off, it stays as it is
(`JAX_COMPILATION_CACHE_DIR`, `JAX_ENABLE_COMPILATION_CACHE`).
"""

from __future__ import annotations

import contextlib
import os
import platform
import zlib
from pathlib import Path
from typing import Any

import jax

MOST_BYTES = 2**30
"""The oldest entries make room beyond this."""


def keep_compiled() -> None:
    """Let JAX look in the folder for every program that it is to compile, and leave there what it compiles."""
    settings: Any = jax.config
    if settings.jax_compilation_cache_dir is not None or not settings.jax_enable_compilation_cache:
        return
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        make_room(folder)
    except OSError:
        return  # a home folder that cannot be written only costs the time
    if os.access(folder, os.W_OK):
        settings.update("jax_compilation_cache_dir", str(folder))
        settings.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        settings.update("jax_persistent_cache_min_entry_size_bytes", -1)


def cache_folder() -> Path:
    """One folder a kind of processor: a program compiled for one may stop another with an illegal instruction."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "sweep" / "compiled" / f"{platform.machine()}-{zlib.crc32(_processor()):08x}"


def make_room(folder: Path, most_bytes: int = MOST_BYTES) -> None:
    """Delete the oldest entries until the others take at most so many bytes."""
    entries = sorted(((entry.stat().st_mtime, entry) for entry in folder.iterdir() if entry.is_file()), reverse=True)
    total = 0
    for _, entry in entries:
        total += entry.stat().st_size
        if total > most_bytes:
            with contextlib.suppress(FileNotFoundError):
                entry.unlink()


def _processor() -> bytes:
    """The instruction sets of this machine's processor where Linux lists them, else its name."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
        return b"".join(sorted({line for line in lines if line.startswith((b"flags", b"Features"))}))
    return platform.processor().encode()
