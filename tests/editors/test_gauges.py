from __future__ import annotations

from pathlib import Path

import pytest
import torch

from editors.gauges import CudaGauge, HostGauge, gauge_for

GIB = 2**30


def system(folder: Path, *, available: int = 4 * GIB, limit: str | None = None) -> HostGauge:
    proc, group = folder / "proc", folder / "cgroup"
    (proc / "self").mkdir(parents=True)
    group.mkdir()
    (proc / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable:   {available // 1024} kB\n")
    (proc / "self" / "status").write_text("Name:\tpython\nVmHWM:\t  300 kB\nVmRSS:\t  100 kB\n")
    if limit is not None:
        (group / "memory.max").write_text(f"{limit}\n")
        (group / "memory.current").write_text(f"{GIB}\n")
    return HostGauge(proc, group)


@pytest.mark.parametrize(
    ("limit", "free"), [(None, 4), ("max", 4), (str(3 * GIB), 2), (str(9 * GIB), 4), ("5", 0)]
)
def test_free_memory_is_what_system_and_control_group_have_left(
    limit: str | None, free: int, tmp_path: Path
) -> None:
    assert system(tmp_path, limit=limit).free() == [free * GIB]


def test_the_peak_is_beside_what_was_there(tmp_path: Path) -> None:
    gauge = system(tmp_path)
    gauge.start()
    assert (tmp_path / "proc" / "self" / "clear_refs").read_text() == "5"
    assert gauge.peak() == [200 * 1024]


def test_a_system_that_tells_nothing_has_no_gauge(tmp_path: Path) -> None:
    assert not HostGauge.works(tmp_path / "none")
    assert gauge_for([torch.device("meta")]) is None
    assert gauge_for([]) is None


@pytest.mark.skipif(not HostGauge.works(), reason="the system does not tell of memory")
def test_a_peak_of_this_process_is_seen_though_it_is_over() -> None:
    gauge = gauge_for([torch.device("cpu")])
    assert gauge is not None
    gauge.start()
    held = torch.ones(64 * 2**20, dtype=torch.uint8)
    del held
    assert 60 * 2**20 < gauge.peak()[0] < 200 * 2**20
    assert gauge.free()[0] > 0


def test_cuda_counts_every_device_and_what_the_allocator_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free = {"cuda:0": 100, "cuda:1": 50}
    used = {"cuda:0": 7, "cuda:1": 9}
    most = {"cuda:0": 20, "cuda:1": 9}
    begun: list[str] = []
    fakes = {
        "mem_get_info": lambda d: (free[str(d)], 1000),
        "memory_reserved": lambda d: 30,
        "memory_allocated": lambda d: used[str(d)],
        "max_memory_allocated": lambda d: most[str(d)],
        "reset_peak_memory_stats": lambda d: begun.append(str(d)),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    gauge = gauge_for(map(torch.device, ("cuda:1", "cpu", "cuda:0", "cuda:1")))
    assert isinstance(gauge, CudaGauge)
    gauge.start()
    assert begun == ["cuda:0", "cuda:1"]
    assert gauge.free() == [123, 71]
    assert gauge.peak() == [13, 0]
