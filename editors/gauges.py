"""How much memory is free, and how much a piece of work took at its peak."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import torch

_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


class Gauge(Protocol):
    """Watches the memory of one device or several, always in the same order."""

    def free(self) -> Sequence[int]:
        """Bytes that can still be taken."""
        ...

    def start(self) -> None:
        """Begin to watch a piece of work."""
        ...

    def peak(self) -> Sequence[int]:
        """The most bytes that were taken since `start`, beside those that were taken then."""
        ...


def gauge_for(devices: Iterable[torch.device]) -> Gauge | None:
    """What watches the memory of some devices; None where nothing here can."""
    found = sorted(set(devices), key=str)
    accelerators = [device for device in found if device.type == "cuda"]
    if accelerators:
        return CudaGauge(accelerators)
    if [device.type for device in found] == ["cpu"] and HostGauge.works():
        return HostGauge()
    return None


class CudaGauge:
    """Watches CUDA devices by what torch's allocator counts, which waits for no kernel.

    The allocator has one peak per device; a watched piece of work begins it anew.
    """

    def __init__(self, devices: Sequence[torch.device]) -> None:
        """Watch some devices."""
        self._devices = tuple(devices)
        self._before = (0,) * len(self._devices)

    def free(self) -> list[int]:
        """What the driver has, and what the allocator holds of it without using it."""
        return [
            torch.cuda.mem_get_info(device)[0]
            + torch.cuda.memory_reserved(device)
            - torch.cuda.memory_allocated(device)
            for device in self._devices
        ]

    def start(self) -> None:
        """Begin to watch."""
        for device in self._devices:
            torch.cuda.reset_peak_memory_stats(device)
        self._before = tuple(map(torch.cuda.memory_allocated, self._devices))

    def peak(self) -> list[int]:
        """The most bytes of tensors beside those that were there."""
        return [
            max(0, torch.cuda.max_memory_allocated(device) - before)
            for device, before in zip(self._devices, self._before, strict=True)
        ]


class HostGauge:
    """Watches this process's resident memory on Linux, within the limit of its control group.

    What the process keeps after it was freed does not show when it is used again, so a later peak
    can be too small; see `BatchSizer` for what keeps that harmless.
    """

    def __init__(self, proc: Path = _PROC, cgroup: Path = _CGROUP) -> None:
        """Watch this process.

        Args:
            proc: Where the system tells of processes.
            cgroup: Where it tells of this process's control group.
        """
        self._proc, self._cgroup = proc, cgroup
        self._before = 0

    @classmethod
    def works(cls, proc: Path = _PROC) -> bool:
        """Whether the system tells what is needed, and lets the peak begin anew."""
        try:
            gauge = cls(proc)
            gauge.start()
            return gauge.peak()[0] >= 0 and gauge.free()[0] > 0
        except (OSError, KeyError, ValueError):
            return False

    def free(self) -> list[int]:
        """What the system can give without swapping, or what the control group has left."""
        found = [_bytes(self._proc / "meminfo", "MemAvailable")]
        try:
            limit = (self._cgroup / "memory.max").read_text().strip()
            used = (self._cgroup / "memory.current").read_text().strip()
        except OSError:
            return found
        return [min(found[0], max(0, int(limit) - int(used)))] if limit.isdecimal() else found

    def start(self) -> None:
        """Begin to watch."""
        # 5 is the kernel's word for: let the peak of resident memory begin anew (man 5 proc).
        (self._proc / "self" / "clear_refs").write_text("5")
        self._before = _bytes(self._proc / "self" / "status", "VmRSS")

    def peak(self) -> list[int]:
        """The most bytes resident beside those that were."""
        return [max(0, _bytes(self._proc / "self" / "status", "VmHWM") - self._before)]


def _bytes(file: Path, name: str) -> int:
    """A field that the kernel gives in kB."""
    for line in file.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return 1024 * int(value.split()[0])
    raise KeyError(name)
