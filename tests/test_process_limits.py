"""What the operating system lets the process use: read from made-up /proc and /sys/fs/cgroup folders."""

from pathlib import Path

import pytest

from diabolo import _core

GB = 10**9


@pytest.fixture
def machine(tmp_path: Path) -> "FakeMachine":
    return FakeMachine(tmp_path)


class FakeMachine:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("proc/meminfo", "MemTotal: 9000000 kB\nMemFree: 100 kB\nMemAvailable:    8000000 kB\n")

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def memory(self) -> int | None:
        return _core.available_memory(str(self.root))

    def quota(self) -> float | None:
        return _core.cgroup_cpu_quota(str(self.root))


def test_the_machine_alone(machine: FakeMachine) -> None:
    assert machine.memory() == 8_000_000 * 1024
    assert machine.quota() is None
    (machine.root / "proc/meminfo").unlink()
    assert machine.memory() is None


@pytest.mark.parametrize("version", [1, 2])
def test_pages_of_files_are_free(machine: FakeMachine, version: int) -> None:
    if version == 2:
        machine.write("proc/self/cgroup", "0::/system.slice/mine\n")
        folder, names = "sys/fs/cgroup/system.slice/mine", ("memory.max", "memory.current")
        stat = "anon 300000000\nfile 600000000\ninactive_file 500000000\nactive_file 100000000\n"
    else:
        machine.write("proc/self/cgroup", "7:cpuset:/\n4:cpu,memory:/mine\n0::/\n")
        folder, names = "sys/fs/cgroup/memory/mine", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        stat = "cache 1\ninactive_file 7\ntotal_inactive_file 500000000\ntotal_active_file 100000000\n"
    machine.write(f"{folder}/{names[0]}", f"{GB}\n")
    machine.write(f"{folder}/{names[1]}", "900000000\n")
    assert machine.memory() == 100_000_000
    machine.write(f"{folder}/memory.stat", stat)
    assert machine.memory() == 700_000_000
    machine.write(f"{folder}/{names[1]}", f"{2 * GB}\n")
    assert machine.memory() == 0


def test_the_tightest_of_nested_groups_counts(machine: FakeMachine) -> None:
    machine.write("proc/self/cgroup", "0::/a/b\n")
    machine.write("sys/fs/cgroup/a/b/memory.max", "max\n")
    machine.write("sys/fs/cgroup/a/memory.max", f"{3 * GB}\n")
    machine.write("sys/fs/cgroup/a/memory.current", f"{GB}\n")
    machine.write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n")
    machine.write("sys/fs/cgroup/a/cpu.max", "150000 100000\n")
    machine.write("sys/fs/cgroup/cpu.max", "400000 100000\n")
    assert machine.memory() == 2 * GB
    assert machine.quota() == 1.5
