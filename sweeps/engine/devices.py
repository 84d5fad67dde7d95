"""Which lanes go where: the lane policy of each backend.

CPU: every core takes lanes of its own, one after the other (mapped), because lanes side by side in one core fall out of
its cache; twice as many lanes as cores, so that a core works while the host looks at another lane's epoch. GPU: lanes
side by side (vmapped) in two lane groups a device that take turns, for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax

from sweeps import machine
from sweeps.config import SweepConfig
from sweeps.study.grid import most_trials

MOST_LANES = 256
"""Lanes of a GPU, unless the config says otherwise. By arithmetic an MLP of 100,000 parameters fills an H100 with about
90 lanes, and more of them only take longer together; and a sampler that learns has learnt nothing yet when it proposes
the first trial of each lane."""


class Policy(NamedTuple):
    """How a sweep uses its devices."""

    devices: tuple[jax.Device, ...]
    threads_per_device: int
    groups: int  # over all devices
    lanes_per_group: int | None  # None: mapped, one lane without a lane axis
    resident_bytes: int | None = None  # training rows that take more are streamed; None: none are
    memory_bytes: int | None = None  # of each device; None where it is not known

    @property
    def lanes(self) -> int:
        return self.groups * (self.lanes_per_group or 1)

    @property
    def is_mapped(self) -> bool:
        return self.lanes_per_group is None

    @property
    def lane_memory_bytes(self) -> int | None:
        """What a lane may take at most: the memory of its device, or of the machine; None where it is not known."""
        return machine.memory_bytes() if self.devices[0].platform == "cpu" else self.memory_bytes

    @property
    def device_names(self) -> list[str]:
        """Each device with its kind, such as `cuda:0 (NVIDIA H100)`."""
        return [f"{device} ({device.device_kind})" for device in self.devices]

    @property
    def groups_per_device(self) -> int:
        return -(-self.groups // len(self.devices))


def choose_policy(config: SweepConfig, lanes_before: Mapping[str, int] | None = None) -> Policy:
    """The policy for the accelerator that is there.

    `lanes_before` are those that `auto` chose in an earlier run of the sweep, by platform. They are kept on CPUs, where
    `auto` goes by the cores: what a sampler that learns proposes depends on them.
    """
    devices = tuple(jax.local_devices())
    if devices[0].platform == "cpu":
        return mapped_policy(devices[0], config, machine.cores(), (lanes_before or {}).get("cpu"))
    return vmapped_policy(devices, config)


def mapped_policy(device: jax.Device, config: SweepConfig, threads: int, lanes_before: int | None = None) -> Policy:
    """One lane at a time on each of so many threads, and as many more lanes waiting for their turn."""
    lanes = (lanes_before or 2 * threads) if config.lanes == "auto" else int(config.lanes)
    return Policy((device,), min(threads, lanes), lanes, None, resident_bytes(device))


def vmapped_policy(devices: tuple[jax.Device, ...], config: SweepConfig) -> Policy:
    """Never more lanes than trials. How many fit in memory is seen by each program: see `Programs.lane_count`."""
    bounds = (MOST_LANES * len(devices), config.budget.trials, most_trials(config))
    most = min(bound for bound in bounds if bound is not None)
    wanted = most if config.lanes == "auto" else int(config.lanes)
    groups = min(2 * len(devices), wanted)
    return Policy(devices, 1, groups, -(-wanted // groups), resident_bytes(devices[0]), memory(devices))


def resident_bytes(device: jax.Device) -> int | None:
    """What training rows may take: half of the device's memory, or of the machine's; None where it is not known."""
    limit = machine.memory_bytes() if device.platform == "cpu" else memory((device,))
    return None if limit is None else limit // 2


def memory(devices: tuple[jax.Device, ...]) -> int | None:
    """Bytes of the smallest device that are this process's to use; None where a device does not say, as CPUs do not."""
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in devices]
    known = [int(limit) for limit in limits if limit is not None]
    return min(known) if len(known) == len(limits) else None
