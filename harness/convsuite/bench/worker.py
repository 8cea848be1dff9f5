"""The far side of a bench: one backend in a pinned process; it makes the first calls of a cell, then samples it.

As in `convsuite.worker`, nothing heavy is imported at the top.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from convsuite import timing, worker
from convsuite.bench import machine
from convsuite.bench.records import COLD, DEVICE, HOT, THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from convsuite.backend import Backend, Native
    from convsuite.case import Case, Operand, Pass
    from convsuite.timing import Call, Method, Sampled

_MOST_COPIES = 2000  # of a cell's operands


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The first calls of a cell, and the answer, which is judged before anything is timed."""

    answer: worker.PassAnswer
    first_s: float = 0.0
    second_s: float = 0.0
    memory_bytes: int | None = None
    workspace_bytes: int | None = None
    early_s: float = 0.0  # by which the result was not there when the call had returned


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The samples of a cell, and what else went on."""

    sampled: Sampled
    disturbance: machine.Disturbance
    free_cores: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Untimed:
    """Why a cell has no time in a mode, though its answer is right."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A cell that is ready to be called."""

    backend: Backend
    case: Case
    pass_: Pass
    operands: tuple[NDArray[np.generic], ...]
    launch: Call

    def call(self) -> Native:
        """Compute, and wait for the result."""
        result = self.launch()
        self.backend.synchronize(result)
        return result

    def read(self, result: Native) -> Any:
        """Bring a result to NumPy."""
        return self.backend.to_numpy(result, self.pass_.role, self.case)

    def another(self) -> _Prepared:
        """Return the same cell on operands of its own."""
        return _prepared(self.backend, self.case, self.pass_, self.operands)


_cell: _Prepared | None = None


def first_calls(
    name: str, device: str, case: Case, operands: tuple[NDArray[np.generic], ...], pass_: Pass
) -> First | worker.Failure:
    """Prepare a cell and call it; bring back the times of the first two calls, the answer, and whether it was there."""
    global _cell
    _cell = None  # what the last cell held is given up first
    backend = worker.opened(name, device)
    if isinstance(backend, worker.Failure):
        return backend
    support, failure = worker.declared_support(backend, case, pass_)
    if failure or support.level == "unsupported":
        return First(answer=worker.PassAnswer(pass_=pass_, support=support, failure=failure))
    try:
        cell = _prepared(backend, case, pass_, operands)
        before = machine.forget_peak()
        (first, first_s), (second, second_s) = timing.once(cell.call), timing.once(cell.call)
        grown = machine.peak_memory_bytes() - before
        answer = worker.answered(backend, case, pass_, support, (first, second), ())
        early = timing.early_s(cell.call, cell.read)
        workspace = None if early else backend.workspace_bytes(cell.call)  # a result that is not there has no size
    except BaseException as error:
        return First(answer=worker.PassAnswer(pass_=pass_, support=support, failure=worker.failure_of(error)))
    _cell = cell
    return First(
        answer=answer, first_s=first_s, second_s=second_s, memory_bytes=grown, workspace_bytes=workspace, early_s=early
    )


def sample(mode: str, method: Method) -> Measured | Untimed | worker.Failure:
    """Sample the cell that `first_calls` prepared last."""
    cell = _cell
    if cell is None:
        return Untimed(reason="its process died between the first calls and the timing")
    try:
        call = _MODES[mode](cell, method)
        if isinstance(call, Untimed):
            return call
        watch = machine.Watch(cell.backend.device)
        sampled = call()
        seen = watch.seen()
    except BaseException as error:
        return worker.failure_of(error)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    free = (os.cpu_count() or cores) - cores if cell.backend.device == "cpu" else os.cpu_count() or 1
    return Measured(sampled=sampled, disturbance=seen, free_cores=free)


def _hot(cell: _Prepared, method: Method) -> Callable[[], Sampled]:
    return lambda: timing.hot(cell.call, method)


def _cold(cell: _Prepared, method: Method) -> Callable[[], Sampled] | Untimed:
    """Time the cell on one copy of its operands after another, twice the last cache of them in all."""
    if cell.backend.device != "cpu":
        return _flushed(cell, method)
    held = sum(a.nbytes for _, a in _taken(cell.case, cell.pass_, cell.operands))
    wanted = 2 * machine.last_cache_bytes() // max(held, 1) + 2
    if wanted > _MOST_COPIES:
        return Untimed(reason=f"its operands are {held} bytes: {wanted} copies would be needed to leave the caches")
    calls = [cell.call, *(cell.another().call for _ in range(wanted - 1))]
    return lambda: timing.cold(calls, method)


def _flushed(cell: _Prepared, method: Method) -> Callable[[], Sampled] | Untimed:
    flush = cell.backend.cache_flush()
    if flush is None:
        return Untimed(reason="the backend has no way to empty its device's cache (Backend.cache_flush)")
    return lambda: timing.flushed(cell.call, flush, method)


def _throughput(cell: _Prepared, method: Method) -> Callable[[], Sampled] | Untimed:
    if cell.backend.device == "cpu":
        return Untimed(reason="on a CPU a call is timed with its wait; launches alone would overlap")
    return lambda: timing.launched(cell.launch, cell.backend.synchronize, method)


def _device(cell: _Prepared, method: Method) -> Callable[[], Sampled] | Untimed:
    clock = cell.backend.device_clock()
    if clock is None:
        return Untimed(reason="the backend has no events to time its device by (Backend.device_clock)")
    return lambda: timing.by_events(cell.launch, clock, method)


_MODES: dict[str, Callable[[_Prepared, Method], Callable[[], Sampled] | Untimed]] = {
    HOT: _hot,
    COLD: _cold,
    THROUGHPUT: _throughput,
    DEVICE: _device,
}


def _taken(
    case: Case, pass_: Pass, operands: Sequence[NDArray[np.generic]]
) -> list[tuple[Operand, NDArray[np.generic]]]:
    """Return what a pass takes of a case's operands: without a gradient there is no gradient of the output."""
    pairs = zip(case.operands, operands, strict=False)  # without a gradient it may not even have been made
    return [(o, a) for o, a in pairs if pass_.gradient or o.role != "grad_output"]


def _prepared(backend: Backend, case: Case, pass_: Pass, operands: Sequence[NDArray[np.generic]]) -> _Prepared:
    """Return a cell ready to be called: operands in the framework's own arrays, written, and laid out as it takes them.

    The function is compiled once for all copies of its operands.
    """
    native = [backend.to_native(a.copy(), o, case) for o, a in _taken(case, pass_, operands)]
    if pass_.gradient:
        bind = worker.compiled(f"timed_{pass_.value}", case, lambda: backend.gradient_of(case, pass_))
        launch = bind(native[:-1], native[-1])
    else:
        function = worker.compiled(pass_.role, case, lambda: backend.forward(case, worker.method_of(case, pass_)))
        launch = partial(function, *native)
    return _Prepared(backend, case, pass_, tuple(operands), launch)
