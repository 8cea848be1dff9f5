"""The machine that a time was taken on: its cores, its caches, who else is busy, and how fast it can be at most."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SYSTEM = Path("/sys/devices/system/cpu")
_LAST_CACHE = 32 << 20  # bytes, where the platform does not tell
_GEMM = 1024  # a square of it is 4 MB in float32: beyond a core's own cache, and a product of 2 GFLOP
_COPY_BYTES = 128 << 20  # beyond the last cache of most machines; of others twice that cache
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """What this machine was measured to do at most, with a number of threads: NumPy's own product and copy."""

    threads: int
    dtype: str  # of the product
    flops: float  # FLOP/s of a large matrix product
    bytes: float  # bytes/s of a large copy, those read and those written together


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What else went on while samples were taken. None: the platform does not tell."""

    others: float | None  # cores that other processes kept busy, or that the host took away
    clock: float | None = None  # a GPU's clock right afterwards, over the highest that it has


def pinned_to(threads: int) -> tuple[int, ...]:
    """Return the cores for a process of so many threads: one of each physical core first, the last ones first.

    Core 0 is left for interrupts as long as possible. Empty where a process cannot be pinned.
    """
    if not hasattr(os, "sched_getaffinity"):
        return ()
    free = sorted(os.sched_getaffinity(0), reverse=True)
    firsts = [core for core in free if core == min(_siblings(core) & set(free), default=core)]
    rest = [core for core in free if core not in firsts]
    return tuple((firsts + rest)[:threads])


def _siblings(core: int) -> set[int]:
    """Return the hyper-threads of a core, itself among them."""
    listed = _read(_SYSTEM / f"cpu{core}/topology/thread_siblings_list")
    found = {core}
    for part in listed.split(",") if listed else ():
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def last_cache_bytes() -> int:
    """Return the size of the last-level cache."""
    sizes = [_bytes(_read(path)) for path in (_SYSTEM / "cpu0/cache").glob("index*/size")]
    return max(sizes, default=0) or _LAST_CACHE


def _bytes(text: str) -> int:
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(text[:-1]) * units[text[-1]] if text and text[-1] in units else int(text or 0)


class Watch:
    """Watches the machine from when it is made until `seen`: who else was busy, and a GPU's clock."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._busy, self._own, self._began = _busy_s(), time.process_time(), time.perf_counter()

    def seen(self) -> Disturbance:
        """Return what went on since."""
        clock = gpu_clock(self._device)  # first: an idle GPU slows down
        busy, own, passed = _busy_s(), time.process_time() - self._own, time.perf_counter() - self._began
        known = self._busy is not None and busy is not None and passed > 0.05  # the kernel counts in steps of 10 ms
        others = max(0.0, (busy - self._busy - own) / passed) if known else None  # type: ignore[operator]
        return Disturbance(others=others, clock=clock)


def gpu_clock(device: str) -> float | None:
    """Return an NVIDIA GPU's clock now over its highest, by nvidia-smi; None for a CPU, or where that is not told."""
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return None
    visible = (
        os.environ.get("CUDA_VISIBLE_DEVICES", "").replace(" ", "").split(",")
    )  # numbers or UUIDs, in CUDA's order
    nth = int(number or 0)
    asked = (
        "nvidia-smi",
        f"--id={visible[nth] if visible[0] and nth < len(visible) else nth}",
        "--query-gpu=clocks.sm,clocks.max.sm",
        "--format=csv,noheader,nounits",
    )
    try:
        told = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout
        now, most = map(float, told.split(","))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return now / most


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _busy_s() -> float | None:
    """Return the seconds that all cores together have been busy since the start, those that the host took included."""
    fields = _read(Path("/proc/stat")).partition("\n")[0].split()[1:]
    if len(fields) < 8:
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def peak_memory_bytes() -> int:
    """Return the most memory that this process has had since `forget_peak`, or since its start."""
    for line in _read(Path("/proc/self/status")).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10


def forget_peak() -> int:
    """Set the peak back to what the process has now, where the platform lets it, and return that, in bytes."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak_memory_bytes()


def measure_peaks(threads: int, dtypes: tuple[str, ...]) -> tuple[Peaks, ...]:
    """Measure what this process can do at most, with NumPy: a product in each dtype, and a copy on all its threads."""
    copied = _copy_rate(threads)
    return tuple(Peaks(threads=threads, dtype=d, flops=_product_rate(d), bytes=copied) for d in dtypes)


def _product_rate(dtype: str) -> float:
    import numpy as np

    a, b = (np.random.default_rng(seed).standard_normal((_GEMM, _GEMM)).astype(dtype) for seed in (0, 1))
    out = np.empty_like(a)
    return float(2 * _GEMM**3 / _least(lambda: np.matmul(a, b, out=out)))


def _copy_rate(threads: int) -> float:
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    size = max(_COPY_BYTES, 2 * last_cache_bytes()) // threads
    # the source is written: pages of zeros that nobody has written are one page, read from the cache
    pairs = [(np.empty(size, np.uint8), np.ones(size, np.uint8)) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        return 2 * size * threads / _least(lambda: list(pool.map(lambda pair: np.copyto(*pair), pairs)))


def _least(work: Callable[[], object]) -> float:
    work()
    return min(_timed(work) for _ in range(_TRIES))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
