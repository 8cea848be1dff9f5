"""What times come to, on noise of our own making: rates of false and of missed calls, and every reason for doubt."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from convsuite.bench.estimate import Verdict, estimate, mean_ratio, ratio, ratio_of_runs, verdict
from convsuite.bench.records import HOT, Cell, Timing
from convsuite.case import Pass

CELL = Cell(case_id="conv/a/b", pass_=Pass.FORWARD, backend="x", device="cpu", threads=1, mode=HOT)
PROCESSES = 5


def timing(seconds: Sequence[float], process: int = 0, **more: float) -> Timing:
    samples = tuple(map(float, seconds))
    return Timing(
        cell=CELL, process=process, first_s=0.5, second_s=2e-3, seconds=samples, number=1, warmups=10, settled=True,
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


def noisy(
    rng: np.random.Generator,
    scale: float = 1.0,
    apart: float = 0.02,
    rounds: Sequence[float] = (),
) -> list[Timing]:
    """Return times of five processes: each off by some 2 %, its samples by 3 %, and now and then by much more."""
    times = []
    for process in range(PROCESSES):
        middle = 1e-3 * scale * math.exp(rng.normal(0, apart)) * (rounds[process] if len(rounds) else 1)
        samples = middle * np.exp(rng.normal(0, 0.03, 60))
        samples[rng.integers(60, size=3)] *= rng.uniform(1.2, 4, 3)
        times.append(timing(samples.tolist(), process))
    return times


def test_the_figure_is_the_median_of_the_processes_medians() -> None:
    times = [timing([1, 2, 3], 0), timing([5, 6, 7], 1), timing([2, 3, 100], 2)]
    found = estimate(times)
    assert (found.median, found.minimum, found.samples, found.processes) == (3, 1, 9, 3)
    assert (found.first_s, found.second_s) == (0.5, 2e-3)


def test_the_interval_holds_the_figure_and_is_the_same_each_time() -> None:
    times = noisy(np.random.default_rng(0))
    low, high = estimate(times).interval
    assert low < estimate(times).median < high
    assert estimate(times) == estimate(times)


def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    """The truth is 1 ms. With five processes the interval is at most their range: 94 % at best."""
    rng = np.random.default_rng(1)
    held = sum(low < 1.001e-3 and high > 0.999e-3 for low, high in (estimate(noisy(rng)).interval for _ in range(300)))
    assert held >= 0.88 * 300


def test_of_one_process_there_is_no_interval_and_no_verdict() -> None:
    one, other = [timing([1.0, 1.01, 1.02])], [timing([2.0, 2.01, 2.02])]
    assert all(math.isnan(bound) for bound in estimate(one).interval)
    assert ratio(one, other).verdict is Verdict.ONE_PROCESS
    assert ratio_of_runs(one, other).verdict is Verdict.ONE_PROCESS


@pytest.mark.parametrize("compare", [ratio, ratio_of_runs])
def test_a_backend_against_itself_is_almost_never_called_different(compare: object) -> None:
    rng = np.random.default_rng(2)
    calls = [compare(noisy(rng), noisy(rng)).verdict for _ in range(400)]  # type: ignore[operator]
    assert sum(v in (Verdict.FASTER, Verdict.SLOWER) for v in calls) <= 4


def test_a_slowdown_of_ten_percent_is_called() -> None:
    rng = np.random.default_rng(3)
    calls = [ratio(noisy(rng, 1.1), noisy(rng)).verdict for _ in range(200)]
    judged = [v for v in calls if v is not Verdict.NOISY]
    assert len(judged) >= 190
    assert sum(v is Verdict.SLOWER for v in judged) >= 0.95 * len(judged)


def test_what_meets_a_whole_round_cancels_in_a_ratio() -> None:
    rng = np.random.default_rng(4)
    rounds = [1.0, 1.06, 0.97, 1.05, 1.02]
    within = ratio(noisy(rng, 1.2, apart=0.002, rounds=rounds), noisy(rng, apart=0.002, rounds=rounds))
    apart = ratio_of_runs(noisy(rng, 1.2, apart=0.002, rounds=rounds), noisy(rng, apart=0.002, rounds=rounds))
    width = [high - low for low, high in (within.interval, apart.interval)]
    assert within.verdict is Verdict.SLOWER
    assert width[0] < width[1] / 2


@pytest.mark.parametrize(
    ("value", "interval", "said"),
    [
        (1.2, (1.1, 1.3), Verdict.SLOWER),
        (0.8, (0.7, 0.9), Verdict.FASTER),
        (1.2, (0.99, 1.4), Verdict.UNSURE),
        (1.04, (1.03, 1.045), Verdict.SAME),
        (1.04, (1.03, 1.06), Verdict.UNSURE),
        (0.97, (0.96, 0.98), Verdict.SAME),
        (1.0, (0.9, 1.1), Verdict.UNSURE),
        (1 / 1.2, (1 / 1.3, 1 / 1.1), Verdict.FASTER),
    ],
)
def test_faster_is_said_of_what_is_sure_and_more_than_five_percent(
    value: float, interval: tuple[float, float], said: Verdict
) -> None:
    assert verdict(value, interval) is said


STEADY = [1.0, 1.01, 1.02, 1.01, 1.0]


@pytest.mark.parametrize(
    ("times", "why"),
    [
        ([timing([1, 1.3, 1.6, 1.3, 1], p) for p in range(3)], "samples spread by"),
        ([timing(STEADY, 0), timing(STEADY, 1), timing([1.3 * s for s in STEADY], 2)], "processes differ by 30%"),
        ([timing(STEADY, p, others=1.7, free_cores=1) for p in range(3)], "others kept 1.7 cores busy, of 1 free"),
        ([timing([1 + 0.17 * i / 59 for i in range(60)], p) for p in range(3)], "times drifted by +11% from the first"),
        ([timing(STEADY, p, clock=0.6) for p in range(3)], "the GPU was throttled to 60%"),
    ],
)
def test_a_time_that_cannot_be_trusted_says_why(times: list[Timing], why: str) -> None:
    (said,) = estimate(times).unstable
    assert why in said
    steady = [timing(STEADY, p) for p in range(3)]
    assert ratio(times, steady).verdict is Verdict.NOISY
    assert ratio(steady, times).verdict is Verdict.NOISY


def test_one_disturbed_process_of_three_is_outvoted() -> None:
    times = [timing(STEADY, p, others=2.5 if p == 1 else 0.2) for p in range(3)]
    assert estimate(times).unstable == ()


def test_a_steady_time_is_stable() -> None:
    assert estimate([timing(STEADY, p, others=1.1, free_cores=1) for p in range(5)]).unstable == ()


def test_the_mean_of_ratios_is_geometric() -> None:
    steady = [timing(STEADY, p) for p in range(5)]
    half, double = ([timing([k * s for s in STEADY], p) for p in range(5)] for k in (0.5, 2.0))
    found = mean_ratio([(half, steady), (double, steady)])
    assert found.value == pytest.approx(1.0)
    assert found.verdict is Verdict.SAME


def test_the_mean_of_mostly_noisy_ratios_is_noisy() -> None:
    steady = [timing(STEADY, p) for p in range(5)]
    wild = [timing([2, 3, 4, 2, 3], p) for p in range(5)]
    assert mean_ratio([(wild, steady), (wild, steady), (steady, steady)]).verdict is Verdict.NOISY


def test_processes_that_one_side_lacks_are_left_out() -> None:
    ours, theirs = [timing(STEADY, p) for p in (0, 1, 3)], [timing([2 * s for s in STEADY], p) for p in (1, 2, 3)]
    assert ratio(ours, theirs).value == pytest.approx(0.5)
    assert math.isnan(ratio(ours[:1], theirs).value)
