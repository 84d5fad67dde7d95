"""What a process may use of its machine, from trees of files as kernels show them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweeps import machine

GIB = 2**30
TREES = {
    "version 2: the group around it has the limit": (
        {
            "proc/self/cgroup": "0::/slurm/job_7/step_0\n",
            "sys/fs/cgroup/slurm/job_7/step_0/memory.max": "max\n",
            "sys/fs/cgroup/slurm/job_7/memory.max": f"{2 * GIB}\n",
            "sys/fs/cgroup/slurm/job_7/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/slurm/cpu.max": "max 100000\n",
        },
        2 * GIB,
        2,
    ),
    "version 2 in a container: the group is the root": (
        {
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/memory.max": f"{GIB}\n",
            "sys/fs/cgroup/cpu.max": "100000 100000\n",
        },
        GIB,
        1,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "4:memory:/docker/a:b\n3:cpu,cpuacct:/docker/a:b\n0::/\n",
            "sys/fs/cgroup/memory/docker/a:b/memory.limit_in_bytes": f"{3 * GIB}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/a:b/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/a:b/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
        3 * GIB,
        1,
    ),
    "no limits": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000"}, 64 * GIB, 8),
    "no control groups": ({}, 64 * GIB, 8),
}


@pytest.mark.parametrize("case", TREES)
def test_the_least_limit_of_all_groups_counts(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, memory_bytes, cores = TREES[case]
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * GIB // 4096}.__getitem__)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert (machine.memory_bytes(), machine.cores()) == (memory_bytes, cores)
