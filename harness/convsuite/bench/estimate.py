"""What times come to: one figure with its interval, whether it can be trusted, and how two of them compare.

A figure is the median of the processes' medians. Its interval is a bootstrap's: processes are drawn with replacement,
and of each process' samples as many as there are, 2,000 times (Efron and Tibshirani, An Introduction to the Bootstrap,
chapters 8 and 13: clustered data, percentile interval). With one process nothing is known of how processes differ,
which is most of the noise: then there is no interval, and nothing is said to be faster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from convsuite.timing import spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convsuite.bench.records import Timing

UNSTABLE_SPREAD = 0.10  # IQR / median
UNSTABLE_PROCESSES = 0.15  # (largest − smallest process median) / median
UNSTABLE_DRIFT = 0.10  # last third of the samples over the first
UNSTABLE_CLOCK = 0.75  # of a GPU's highest
DIFFERENCE = 0.05  # what is less is not called a difference, however sure it is
_LOAD_SLACK = 0.15  # of a core: what a machine does for itself
_DRAWS = 2000
_DRAWS_EACH = 200  # of one process' median
_LEVEL = 0.95
_NONE = (math.nan, math.nan)


class Verdict(StrEnum):
    """What may be said of a ratio."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"  # no more than 5 % apart, by the whole interval
    UNSURE = "unsure"  # the interval does not decide it
    NOISY = "noisy"  # one of the two times is unstable
    ONE_PROCESS = "one process"  # nothing is known of how processes differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The time of a cell, over all its processes. Times are in seconds a call."""

    median: float  # of the processes' medians
    minimum: float  # of all samples
    spread: float  # IQR / median, the median over the processes
    processes: int
    samples: int
    interval: tuple[float, float]  # 95 %, of the median; NaN for one process
    first_s: float  # median over the processes
    second_s: float
    memory_bytes: int | None
    workspace_bytes: int | None
    unstable: tuple[str, ...]  # why it cannot be trusted; empty where it can


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """One time divided by another, the base."""

    value: float
    interval: tuple[float, float]
    verdict: Verdict


def middle(timings: Sequence[Timing]) -> float:
    """Return the median of the processes' medians, in seconds a call."""
    return median(t.median for t in timings)


def estimate(timings: Sequence[Timing]) -> Estimate:
    """Return what a cell's times, one a process, come to."""
    memory = [t.memory_bytes for t in timings if t.memory_bytes is not None]
    workspace = [t.workspace_bytes for t in timings if t.workspace_bytes is not None]
    return Estimate(
        median=middle(timings),
        minimum=min(min(t.seconds) for t in timings),
        spread=median(spread(t.seconds) for t in timings),
        processes=len(timings),
        samples=sum(len(t.seconds) for t in timings),
        interval=_interval(_draws(timings, _rng(timings))) if len(timings) > 1 else _NONE,
        first_s=median(t.first_s for t in timings),
        second_s=median(t.second_s for t in timings),
        memory_bytes=max(memory, default=None),
        workspace_bytes=max(workspace, default=None),
        unstable=tuple(_why_unstable(timings)),
    )


def ratio(timings: Sequence[Timing], base: Sequence[Timing]) -> Ratio:
    """Compare times that were taken in turns: process by process, so that what changed meanwhile cancels."""
    theirs = {t.process: t for t in base}
    pairs = [(t, theirs[t.process]) for t in timings if t.process in theirs]
    if not pairs:
        return Ratio(value=math.nan, interval=_NONE, verdict=Verdict.UNSURE)
    value = median(a.median / b.median for a, b in pairs)
    if len(pairs) < 2:
        return Ratio(value=value, interval=_NONE, verdict=Verdict.ONE_PROCESS)
    rng = _rng(timings)
    each = np.array([_own_draws(a, rng) / _own_draws(b, rng) for a, b in pairs])
    return _judged(value, _interval(_over_processes(each, rng)), timings, base)


def ratio_of_runs(timings: Sequence[Timing], base: Sequence[Timing]) -> Ratio:
    """Compare times of two runs, which have no process in common."""
    value = middle(timings) / middle(base)
    if min(len(timings), len(base)) < 2:
        return Ratio(value=value, interval=_NONE, verdict=Verdict.ONE_PROCESS)
    rng = _rng(timings)
    return _judged(value, _interval(_draws(timings, rng) / _draws(base, rng)), timings, base)


def mean_ratio(ratios: Sequence[tuple[Sequence[Timing], Sequence[Timing]]]) -> Ratio:
    """Return the geometric mean of many cells' ratios, process by process, with its interval over the processes.

    A cell that lacks processes which others have, because it failed there, is left out.
    """
    logs = [_log_ratios(timings, base) for timings, base in ratios]
    most = max((len(log) for log in logs), default=0)
    logs = [log for log in logs if len(log) == most]
    numbers = set.intersection(*(set(log) for log in logs)) if logs else set()
    if not numbers:
        return Ratio(value=math.nan, interval=_NONE, verdict=Verdict.UNSURE)
    each = np.array([[math.exp(sum(log[n] for log in logs) / len(logs))] for n in sorted(numbers)])
    value = float(np.median(each))
    if len(numbers) < 2:
        return Ratio(value=value, interval=_NONE, verdict=Verdict.ONE_PROCESS)
    interval = _interval(_over_processes(each, np.random.default_rng(0)))
    noisy = sum(is_unstable(timings) or is_unstable(base) for timings, base in ratios)
    told = Verdict.NOISY if 2 * noisy > len(ratios) else verdict(value, interval)
    return Ratio(value=value, interval=interval, verdict=told)


def is_unstable(timings: Sequence[Timing]) -> bool:
    """Return whether a cell's time cannot be trusted."""
    return bool(_why_unstable(timings))


def verdict(value: float, interval: tuple[float, float]) -> Verdict:
    """Return what a ratio says: a difference must be sure, and more than 5 %."""
    low, high = interval
    if low > 1 and value > 1 + DIFFERENCE:
        return Verdict.SLOWER
    if high < 1 and value < 1 / (1 + DIFFERENCE):
        return Verdict.FASTER
    if low >= 1 / (1 + DIFFERENCE) and high <= 1 + DIFFERENCE:
        return Verdict.SAME
    return Verdict.UNSURE


def _judged(value: float, interval: tuple[float, float], timings: Sequence[Timing], base: Sequence[Timing]) -> Ratio:
    noisy = is_unstable(timings) or is_unstable(base)
    return Ratio(value=value, interval=interval, verdict=Verdict.NOISY if noisy else verdict(value, interval))


def _why_unstable(timings: Sequence[Timing]) -> list[str]:
    why = []
    wide = median(spread(t.seconds) for t in timings)
    if wide > UNSTABLE_SPREAD:
        why.append(f"samples spread by {wide:.0%} (IQR / median)")
    middles = [t.median for t in timings]
    apart = (max(middles) - min(middles)) / median(middles)
    if apart > UNSTABLE_PROCESSES:
        why.append(f"processes differ by {apart:.0%}")
    crowded = [t.others for t in timings if t.others is not None and t.others > t.free_cores + _LOAD_SLACK]
    if 2 * len(crowded) > len(timings):
        why.append(f"others kept {median(crowded):.1f} cores busy, of {timings[0].free_cores} free")
    drifted = [drift for t in timings if abs(drift := _drift(t)) > UNSTABLE_DRIFT]
    if 2 * len(drifted) > len(timings):
        why.append(f"times drifted by {median(drifted):+.0%} from the first third of the samples to the last")
    slow = [t.clock for t in timings if t.clock is not None and t.clock < UNSTABLE_CLOCK]
    if 2 * len(slow) > len(timings):
        why.append(f"the GPU was throttled to {median(slow):.0%} of its highest clock")
    return why


def _drift(timing: Timing) -> float:
    """Return by how much the last third of a process' samples is above the first, as when a clock slows down."""
    third = len(timing.seconds) // 3
    return median(timing.seconds[-third:]) / median(timing.seconds[:third]) - 1 if third else 0.0


def _log_ratios(timings: Sequence[Timing], base: Sequence[Timing]) -> dict[int, float]:
    theirs = {t.process: t.median for t in base}
    return {t.process: math.log(t.median / theirs[t.process]) for t in timings if t.process in theirs}


def _draws(timings: Sequence[Timing], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return medians of processes' medians, both drawn anew."""
    return _over_processes(np.array([_own_draws(t, rng) for t in timings]), rng)


def _own_draws(timing: Timing, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return medians of one process' samples, drawn anew."""
    samples = np.array(timing.seconds)
    drawn = samples[rng.integers(len(samples), size=(_DRAWS_EACH, len(samples)))]
    return np.asarray(np.median(drawn, axis=1))


def _over_processes(each: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw processes, and of each one of its own draws, (processes, draws); return the medians."""
    processes, draws = each.shape
    chosen = rng.integers(processes, size=(_DRAWS, processes))
    return np.asarray(np.median(each[chosen, rng.integers(draws, size=chosen.shape)], axis=1))


def _interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(draws, (tail, 1 - tail))
    return float(low), float(high)


def _rng(timings: Sequence[Timing]) -> np.random.Generator:
    """Return a generator that gives the same interval for the same times, whenever they are looked at."""
    return np.random.default_rng(len(timings))
