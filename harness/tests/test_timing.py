"""How a call is timed, on a clock of our own: what is inside a sample, how many there are, and when it ends."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from itertools import cycle

import pytest

from convsuite import timing
from convsuite.timing import Method

MS = 1_000_000  # nanoseconds
STANDARD = timing.STANDARD


class Machine:
    """A clock that only moves when work is done on it, and by a little when it is read."""

    def __init__(self, *costs_ns: int) -> None:
        self.now = 0
        self.readings = 0
        self.calls = 0
        self._costs = cycle(costs_ns)

    def clock(self) -> int:
        self.readings += 1
        self.now += 50
        return self.now

    def call(self) -> None:
        self.calls += 1
        self.now += next(self._costs)


def test_a_sample_is_the_seconds_of_one_call() -> None:
    machine = Machine(20_000)
    sampled = timing.hot(machine.call, STANDARD, machine.clock)
    assert sampled.median == pytest.approx(20e-6, rel=1e-3)


def test_a_block_is_as_long_as_the_clock_needs() -> None:
    machine = Machine(20_000)
    sampled = timing.hot(machine.call, STANDARD, machine.clock)
    assert STANDARD.block_s <= sampled.number * 20e-6 <= 1.2 * STANDARD.block_s


def test_nothing_is_in_a_block_but_the_calls_and_one_reading_of_the_clock() -> None:
    machine = Machine(20_000)
    calls: list[int] = []

    def call() -> None:
        calls.append(machine.readings)
        machine.call()

    sampled = timing.hot(call, STANDARD, machine.clock)
    last = calls[-sampled.number :]
    readings = [last[0], machine.readings]
    assert len(set(last)) == 1  # the clock is not read between the calls of a block
    assert readings[1] - readings[0] <= 2


@pytest.mark.parametrize("call_ns", [1_000, 50_000, 3 * MS, 60 * MS])
def test_it_is_warmed_up_for_ten_calls_and_long_enough(call_ns: int) -> None:
    machine = Machine(call_ns)
    warmups = timing.hot(machine.call, STANDARD, machine.clock).warmups
    assert warmups >= 10
    assert warmups * call_ns >= 0.9 * 0.3e9


def test_slow_calls_are_warm_after_three_seconds() -> None:
    machine = Machine(800 * MS)
    assert timing.hot(machine.call, STANDARD, machine.clock).warmups == 4


def test_alike_samples_end_after_half_a_second() -> None:
    machine = Machine(5 * MS)
    sampled = timing.hot(machine.call, STANDARD, machine.clock)
    assert sampled.settled
    assert 0.5 <= sum(sampled.seconds) * sampled.number <= 0.6
    assert len(sampled.seconds) >= 20


def test_unlike_samples_go_on_for_five_seconds() -> None:
    machine = Machine(30 * MS, 45 * MS, 60 * MS)
    sampled = timing.hot(machine.call, STANDARD, machine.clock)
    assert not sampled.settled
    assert 5.0 <= sum(sampled.seconds) <= 5.1


def test_slow_calls_end_in_time_with_what_there_is() -> None:
    machine = Machine(2_000 * MS)
    sampled = timing.hot(machine.call, STANDARD, machine.clock)
    assert len(sampled.seconds) == 3
    assert not sampled.settled


def test_of_very_many_samples_some_are_kept() -> None:
    machine = Machine(3_000, 9_000, 4_000)
    sampled = timing.cold([machine.call, machine.call], STANDARD, machine.clock)
    assert 100 <= len(sampled.seconds) <= 200


def test_cold_calls_take_turns_and_each_is_a_sample() -> None:
    machine, seen = Machine(5 * MS), list[int]()

    def on(copy: int) -> Callable[[], None]:
        def call() -> None:
            seen.append(copy)
            machine.call()

        return call

    sampled = timing.cold([on(copy) for copy in range(7)], STANDARD, machine.clock)
    assert sampled.number == 1
    assert len(sampled.seconds) >= 25
    assert seen == [at % 7 for at in range(len(seen))]


def test_launches_are_waited_for_once_a_sample() -> None:
    machine, waits = Machine(1_000), list[int]()

    def wait(_: object) -> None:
        waits.append(machine.calls)
        machine.now += 40_000

    sampled = timing.launched(machine.call, wait, STANDARD, machine.clock)
    assert sampled.number >= 50
    assert waits[-1] - waits[-2] == sampled.number
    assert sampled.median == pytest.approx(1e-6 + 40e-6 / sampled.number, rel=0.01)
    assert sampled.median * sampled.number >= STANDARD.launches_s


def test_a_block_that_was_disturbed_while_calls_were_counted_does_not_make_blocks_short() -> None:
    even = Machine(20_000)
    warmups = timing.hot(even.call, STANDARD, even.clock).warmups
    machine = Machine(20_000)

    def call() -> None:
        machine.call()
        machine.now += 4 * MS if machine.calls == warmups + 1 else 0

    assert timing.hot(call, STANDARD, machine.clock).number >= 50


def test_a_flush_is_not_timed() -> None:
    machine = Machine(2 * MS)

    def flush() -> None:
        machine.now += 30 * MS

    assert timing.flushed(machine.call, flush, STANDARD, machine.clock).median == pytest.approx(2e-3, rel=1e-3)


def test_events_are_asked_for_many_launches_at_once() -> None:
    asked = list[int]()

    def events(launch: Callable[[], None], number: int) -> float:
        asked.append(number)
        time.sleep(0.001)
        return number * 7e-6

    method = Method(warmup_s=0.01, sampling_s=0.05)
    sampled = timing.by_events(lambda: None, events, method)
    assert sampled.median == pytest.approx(7e-6)
    assert asked[-1] == method.launches


class Device:
    """Answers at once and computes afterwards; reading waits, if it is honest about it."""

    def __init__(self, machine: Machine, left_ns: int, jitter_ns: tuple[int, ...] = (0,)) -> None:
        self.machine, self.left_ns, self.pending = machine, left_ns, 0
        self._jitter = cycle(jitter_ns)

    def call(self) -> None:
        self.machine.call()
        self.pending = self.left_ns

    def read(self, _: object) -> None:
        self.machine.now += self.pending + 2_000 + next(self._jitter)
        self.pending = 0

    def pause(self, seconds: float) -> None:
        self.machine.now += round(seconds * 1e9)
        self.pending = max(0, self.pending - round(seconds * 1e9))


def test_a_call_that_returns_before_its_result_is_there_is_caught() -> None:
    machine = Machine(10_000)
    device = Device(machine, left_ns=3 * MS)
    assert timing.early_s(device.call, device.read, machine.clock, device.pause) == pytest.approx(3e-3)


def test_an_array_that_keeps_its_copy_is_not_taken_for_early() -> None:
    """As JAX's on a GPU: read again, it has nothing to copy."""
    machine, kept = Machine(200_000), list[object]()

    def read(result: object) -> None:
        if not any(result is one for one in kept):
            kept.append(result)
            machine.now += 5 * MS

    def call() -> object:
        machine.call()
        return object()

    assert timing.early_s(call, read, machine.clock, lambda _: None) == 0


def test_a_reading_that_is_slow_every_other_time_is_not_taken_for_early() -> None:
    """As that of a large result is, whose copy takes new pages and leaves them for the next."""
    machine = Machine(1 * MS)
    device = Device(machine, left_ns=0, jitter_ns=(2 * MS, 0))
    assert timing.early_s(device.call, device.read, machine.clock, device.pause) == 0


@pytest.mark.parametrize("jitter", [(0,), (0, 0, 9 * MS, 0), (500_000, 0, 0, 0, 700_000, 0)])
def test_a_call_whose_result_is_there_is_not(jitter: tuple[int, ...]) -> None:
    machine = Machine(200_000)
    device = Device(machine, left_ns=0, jitter_ns=jitter)
    assert timing.early_s(device.call, device.read, machine.clock, device.pause) == 0


def test_the_garbage_collector_is_kept_out_and_let_in_again() -> None:
    machine, seen = Machine(2 * MS), list[bool]()

    def call() -> None:
        seen.append(gc.isenabled())
        machine.call()
        if machine.calls == 500:
            raise RuntimeError("out of memory")

    gc.enable()
    with pytest.raises(RuntimeError):
        timing.hot(call, Method(warmup_s=2.0), machine.clock)
    assert not any(seen)
    assert gc.isenabled()


def test_a_known_sleep_is_never_timed_as_less() -> None:
    """What the system adds to a sleep is its own affair; it never takes any off."""
    method = Method(warmup_calls=1, warmup_s=0, samples=5, sampling_s=0.02, most_s=0.1)
    sampled = timing.hot(lambda: time.sleep(0.004), method)
    assert min(sampled.seconds) >= 0.004
    assert sampled.number == 1


def test_spread_is_the_interquartile_range_over_the_median() -> None:
    assert timing.spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 3)
    assert timing.spread([1.0]) == 0
