"""How a call is timed: one method for every backend, and no framework in it.

A call computes and waits for its own result, so that what is timed is what a user waits for. Calls are timed in blocks
that are long against the clock's own cost; each block gives one sample, its seconds divided by its calls. On a device
that works by itself, launches are timed as well, with one wait after many. docs/bench.md tells the reasons.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, repeat
from statistics import median, quantiles
from typing import Any

Call = Callable[[], Any]
Clock = Callable[[], int]  # nanoseconds

_EARLY_SHARE = 0.2  # of a call, that reading a result may take longer at once than after a pause
_EARLY_S = 50e-6  # and at least this long
_EARLY_TRIES = 5
_KEPT = 200  # samples; of more, every so many-th is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How long to warm up, what to sample, and when it is enough. Times are in seconds."""

    warmup_calls: int = 10
    warmup_s: float = 0.3
    warmup_most_s: float = 3.0  # calls so slow that ten of them take longer are warm after fewer
    block_s: float = 1e-3  # a block at least; two readings of the clock, some 0.1 µs, are under 0.1 % of it
    samples: int = 20
    sampling_s: float = 0.5
    most_s: float = 5.0
    spread: float = 0.05  # IQR / median at which the samples say enough
    cold_samples: int = 25
    launches: int = 50  # on a device, of one wait, at least
    launches_s: float = 10e-3


STANDARD = Method()
BRIEF = Method(most_s=1.5)  # a look at everything in a minute: samples that differ are not waited out
QUICK = Method(warmup_calls=3, warmup_s=0.05, warmup_most_s=1.0, samples=10, sampling_s=0.1, most_s=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """What the clock said."""

    seconds: tuple[float, ...]  # of one call; one a block
    number: int  # calls a block
    warmups: int  # calls made before
    settled: bool  # the spread came below the method's

    @property
    def median(self) -> float:
        """Median of the samples, in seconds a call."""
        return median(self.seconds)


def once(call: Call, clock: Clock = time.perf_counter_ns) -> tuple[Any, float]:
    """Return what one call gives, and its seconds."""
    begun = clock()
    result = call()
    return result, (clock() - begun) / 1e9


def hot(call: Call, method: Method, clock: Clock = time.perf_counter_ns) -> Sampled:
    """Time a call over and over on the same operands: what they and it touch stays in the caches, if it fits."""
    with _undisturbed():
        warmups = _warm_up(repeat(call), method, clock)
        number = _number(lambda n: _block(call, n, clock), method.block_s)
        return _sampled(lambda: _block(call, number, clock), number, warmups, method.samples, method, clock)


def cold(calls: Sequence[Call], method: Method, clock: Clock = time.perf_counter_ns) -> Sampled:
    """Time calls that differ in their operands alone, one a sample, in turn.

    Together their operands must be twice the last cache or more: each is then read from memory when its turn comes.
    """
    with _undisturbed():
        turns = cycle(calls)
        warmups = _warm_up(turns, method, clock)
        return _sampled(lambda: _block(next(turns), 1, clock), 1, warmups, method.cold_samples, method, clock)


def launched(launch: Call, wait: Callable[[Any], None], method: Method, clock: Clock = time.perf_counter_ns) -> Sampled:
    """Time many launches and one wait at their end: the throughput of a device that works by itself.

    Results are given up as the next is launched, as in a loop of a user's own; the device works in order.
    """

    def finished() -> None:
        wait(launch())

    with _undisturbed():
        warmups = _warm_up(repeat(finished), method, clock)
        number = _number(lambda n: _launches(launch, wait, n, clock), method.launches_s, method.launches)
        return _sampled(lambda: _launches(launch, wait, number, clock), number, warmups, method.samples, method, clock)


def flushed(call: Call, flush: Call, method: Method, clock: Clock = time.perf_counter_ns) -> Sampled:
    """Time one call a sample, each behind a `flush` that empties the caches and is not timed."""

    def behind_flush() -> int:
        flush()
        return _block(call, 1, clock)

    with _undisturbed():
        warmups = _warm_up(repeat(call), method, clock)
        return _sampled(behind_flush, 1, warmups, method.cold_samples, method, clock)


def by_events(launch: Call, events: Callable[[Call, int], float], method: Method) -> Sampled:
    """Time launches by the device's own clock; `events(launch, n)` returns the seconds that n of them took there."""
    with _undisturbed():
        warmups = _warm_up(repeat(lambda: events(launch, 1)), method, time.perf_counter_ns)
        block = lambda: round(1e9 * events(launch, method.launches))  # noqa: E731
        return _sampled(block, method.launches, warmups, method.samples, method, time.perf_counter_ns)


def early_s(
    call: Call,
    read: Callable[[Any], Any],
    clock: Clock = time.perf_counter_ns,
    pause: Callable[[float], None] = time.sleep,
) -> float:
    """Return by how many seconds results were not there yet when the call and its wait had returned, 0 where they were.

    Of two results one is read into NumPy at once, the other after a pause as long as that reading was: reading one
    that is still being computed has to wait for it, and then takes longer by more than a fifth of a call. None is read
    twice: an array may keep what was copied from its device. Which of the two is read first takes turns: the second
    may be read into memory that the first has given back, which a large one is quicker by.
    """
    calls: list[float] = []

    def at_once() -> float:
        result, call_s = once(call, clock)
        calls.append(call_s)
        return once(partial(read, result), clock)[1]

    def rested(pause_s: float) -> float:
        later = call()
        pause(pause_s)
        return once(partial(read, later), clock)[1]

    excess, first_s = [], 0.0
    for number in range(_EARLY_TRIES):
        if number % 2:
            rested_s = rested(first_s)
            first_s = at_once()
        else:
            first_s = at_once()
            rested_s = rested(first_s)
        excess.append(first_s - rested_s)
        if excess[-1] <= _EARLY_S:  # of several the least counts: one that was disturbed says nothing
            return 0.0
    by = min(excess)
    return by if by > _EARLY_SHARE * median(calls) else 0.0


def spread(seconds: Sequence[float]) -> float:
    """Return IQR / median: 0 for one sample."""
    if len(seconds) < 2:
        return 0.0
    low, _, high = quantiles(seconds, n=4, method="inclusive")
    middle = median(seconds)
    return (high - low) / middle if middle > 0 else math.inf


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the garbage collector out: it would run in the middle of a sample, at a cost that is ours."""
    gc.collect()
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _warm_up(calls: Iterator[Call], method: Method, clock: Clock) -> int:
    """Call until threads, pools, caches and clocks are as they will be; return how often."""
    begun, made = clock(), 0
    while True:
        next(calls)()
        made += 1
        passed = (clock() - begun) / 1e9
        if passed >= method.warmup_most_s or (made >= method.warmup_calls and passed >= method.warmup_s):
            return made


def _number(block: Callable[[int], int], block_s: float, least: int = 1) -> int:
    """Return how many calls make a block: the fewest, within a tenth, that take as long as a block must."""
    number = least
    while True:
        passed = min(block(number), block(number)) / 1e9  # of two: one that was disturbed is too long
        if passed >= block_s:
            return number
        wanted = 1.1 * number * block_s / max(passed, 1e-9)
        number = max(number + 1, min(10 * number, math.ceil(wanted)))


def _sampled(block: Callable[[], int], number: int, warmups: int, least: int, method: Method, clock: Clock) -> Sampled:
    """Take samples until they are enough, and alike; or until the time is up."""
    samples = list[float]()
    begun = clock()
    look_at = 0.0  # sorting is ours to pay, outside the samples, so it is not done behind each of thousands
    settled = False
    while True:
        samples.append(block() / number / 1e9)
        passed = (clock() - begun) / 1e9
        if passed < look_at or len(samples) < 2:
            continue
        if len(samples) >= least and passed >= method.sampling_s:
            settled = spread(samples) <= method.spread
            look_at = passed + 0.05
        if settled or passed >= method.most_s:
            kept = tuple(samples[:: -(-len(samples) // _KEPT)])
            return Sampled(seconds=kept, number=number, warmups=warmups, settled=settled)


def _block(call: Call, number: int, clock: Clock) -> int:
    begun = clock()
    for _ in repeat(None, number):
        call()
    return clock() - begun


def _launches(launch: Call, wait: Callable[[Any], None], number: int, clock: Clock) -> int:
    begun = clock()
    for _ in repeat(None, number):
        result = launch()
    wait(result)
    return clock() - begun
