"""What processes cost, as the kernel counts it: CPU time and memory, read from ``/proc``."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of a process, all its threads, its living children and those it has waited for."""
    fields = _stat(_PROC / str(pid))
    # utime, stime, cutime and cstime: fields 14 to 17 of proc(5); the state is field 3.
    own_s = sum(map(int, fields[11:15])) / _TICKS_PER_S
    return own_s + sum(tree_cpu_s(child) for child in _children(pid))


def machine_cpu_s() -> float:
    """CPU seconds of all processes, and those that other guests of the same hardware took. Interrupts
    are left out: most are the network's, which no process is billed for."""
    user, nice, system, _idle, _wait, _irq, _softirq, stolen = (
        int(field) for field in (_PROC / "stat").read_text().split(None, 9)[1:9]
    )
    return (user + nice + system + stolen) / _TICKS_PER_S


def thread_cpu_s(pid: int) -> dict[str, float]:
    """CPU seconds of the living threads by what they do: the event loop in the main thread, the other
    threads of Python (mostly those that poll Kafka), and librdkafka's own."""
    found = {"the event loop": 0.0, "other Python threads": 0.0, "librdkafka": 0.0}
    for task in (_PROC / str(pid) / "task").iterdir():
        spent_s = int((task / "schedstat").read_text().split()[0]) / 1e9
        if task.name == str(pid):
            found["the event loop"] += spent_s
        elif (task / "comm").read_text().startswith("rdk:"):
            found["librdkafka"] += spent_s
        else:
            found["other Python threads"] += spent_s
    return found


def peak_memory_mb(pid: int) -> float:
    """The most resident memory a process ever had, in units of 10^6 bytes."""
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise LookupError(f"process {pid} has no memory")


def _stat(folder: Path) -> list[str]:
    """The fields behind the name, which may hold blanks and brackets itself."""
    return (folder / "stat").read_text().rpartition(")")[2].split()


def _children(pid: int) -> list[int]:
    tasks = (_PROC / str(pid) / "task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
