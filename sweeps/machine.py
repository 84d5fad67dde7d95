"""What this process may use of its machine: memory and cores, also where a container or a batch system allows less.

Such limits are in control groups: a file for each limit, in the process's own group and in every group around it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def memory_bytes() -> int | None:
    """Bytes of memory; None where the system does not say."""
    known = [*_physical(), *_of_groups("memory", "memory.max", "memory.limit_in_bytes"), *_of_process()]
    return min(known, default=None)


def cores() -> int:
    """Cores, at least one. A quota of a core and a half is two, which take turns."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *map(math.ceil, _quotas())]))


def _physical() -> Iterator[int]:
    if hasattr(os, "sysconf"):
        yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _of_process() -> Iterator[int]:
    """What `ulimit -v` says."""
    try:
        import resource  # does not exist on Windows
    except ImportError:
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield soft


def _of_groups(controller: str, name: str, old_name: str) -> Iterator[int]:
    """The limits that are numbers: `max` is none, and so is what no machine has."""
    for folder in _groups(controller):
        for text in map(_read, (folder / name, folder / old_name)):
            if text.isdecimal():
                yield int(text)


def _quotas() -> Iterator[float]:
    """Cores, by the time that the process may take of each period."""
    for folder in _groups("cpu"):
        old = f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}"
        for quota, _, period in (text.partition(" ") for text in (_read(folder / "cpu.max"), old)):
            if quota.isdecimal() and period.isdecimal() and int(period) > 0:
                yield int(quota) / int(period)


def _groups(controller: str) -> Iterator[Path]:
    """The folders of the process's control group and of those around it, of both versions of the kernel's interface."""
    mounted = ROOT / "sys" / "fs" / "cgroup"
    for line in _read(ROOT / "proc" / "self" / "cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if controllers and controller not in controllers.split(","):
            continue
        own = PurePosixPath(path.lstrip("/"))
        for folder in (mounted / controllers, *(() if controllers else (mounted / "unified",))):
            yield from (folder / group for group in (own, *own.parents))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
