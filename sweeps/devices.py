"""Which lanes go where: the lane policy of each backend.

CPU: every core takes lanes of its own, one after the other (mapped), because lanes side by side in one core fall out of
its cache; twice as many lanes as cores, so that a core works while the host looks at another lane's epoch. GPU: lanes
side by side (vmapped) in two populations a device that take turns, for the same reason.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import jax

from sweeps.config import SweepConfig

VMAPPED_LANES = 64
"""Lanes of a vmapped population unless the config says otherwise."""


class Policy(NamedTuple):
    """How a sweep uses its devices."""

    devices: tuple[jax.Device, ...]
    threads_per_device: int
    populations: int  # over all devices
    lanes_per_population: int | None  # None: mapped, one lane without a lane axis

    @property
    def lanes(self) -> int:
        return self.populations * (self.lanes_per_population or 1)


def choose_policy(config: SweepConfig) -> Policy:
    """The policy for the accelerator that is there."""
    devices = tuple(jax.local_devices())
    if devices[0].platform == "cpu":
        return mapped_policy(devices[0], config, cores())
    return vmapped_policy(devices, config)


def mapped_policy(device: jax.Device, config: SweepConfig, threads: int) -> Policy:
    lanes = 2 * threads if config.lanes == "auto" else int(config.lanes)
    return Policy((device,), min(threads, lanes), lanes, None)


def vmapped_policy(devices: tuple[jax.Device, ...], config: SweepConfig) -> Policy:
    wanted = min(VMAPPED_LANES, config.budget.trials or VMAPPED_LANES) if config.lanes == "auto" else int(config.lanes)
    populations = min(2 * len(devices), wanted)
    return Policy(devices, 1, populations, -(-wanted // populations))


def cores() -> int:
    """The cores that this process may use, which a batch system may have made fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
