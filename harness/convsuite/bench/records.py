"""What a bench run is made of: cells, and the times of each in each process."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from convsuite.case import Pass

HOT, COLD = "hot", "cold"  # caches: the same operands again and again, or others each time
THROUGHPUT, DEVICE = "throughput", "device"  # of a GPU: many launches and one wait; by its own clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What has one time: a pass of a case on a backend, with so many threads, in a mode."""

    case_id: str
    pass_: Pass
    backend: str
    device: str
    threads: int
    mode: str  # hot, cold; on a device also throughput (many launches, one wait) and device (its own clock)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One cell in one process. Times are in seconds."""

    cell: Cell
    process: int  # from 0; all backends' processes of one number ran side by side, in turns
    first_s: float  # call 1: compilation, allocation
    second_s: float
    seconds: tuple[float, ...]  # samples: of one call, one a block
    number: int  # calls a block
    warmups: int
    settled: bool  # IQR / median came below 5 % before the time was up
    memory_bytes: int | None = None  # that the process grew by at most, while it was called
    workspace_bytes: int | None = None  # held at most by a call beyond operands and result, where that is counted
    others: float | None = None  # cores that others kept busy meanwhile
    clock: float | None = None  # a GPU's, right afterwards, over the highest that it has
    free_cores: int = 1  # beside those that this process was given

    @property
    def median(self) -> float:
        """Median of the samples."""
        return median(self.seconds)


def suite_of(case_id: str) -> str:
    """Return the suite of a case: the file that it is in."""
    parts = case_id.split("/")
    return parts[1] if len(parts) > 2 else case_id
