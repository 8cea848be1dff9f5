"""A lane: one backend variant in its own process, from a kept library's pool, seen from the parent.

The pool gives spawn, time limits and the news of a death; the lane adds what a conformance run needs of it: one case
under way at
a time, the backend imported under a limit of its own, and the last words of a process that died.
"""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pebble import ProcessExpired, ProcessPool

from convsuite import worker
from convsuite.spawn import Spawn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convsuite.case import Case

_STACK = re.compile(r"\s*(@\s+0x|#\d+ |\*\*\* )")
_WORDS = 600  # characters of a dying process' output that are quoted
_RECYCLE_BYTES = 6 << 30  # a worker that has grown beyond this is replaced between two cases


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How workers are run."""

    timeout_s: float = 60.0  # for one case, all its passes
    import_timeout_s: float = 180.0
    threads: int = 1
    probe: bool = False
    workdir: Path = Path()  # where workers' output goes; the caller removes it


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process died."""

    message: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The process was ended because it took too long."""

    message: str


Ended = worker.Failure | Crashed | TimedOut
Reply = worker.Answer | worker.Info | Ended


class State(Enum):
    """What a lane is ready for."""

    NEW = "new"  # its process has not imported the backend
    READY = "ready"
    CLOSED = "closed"  # absent, broken or at its end: takes no more cases


def thread_environment(threads: int) -> dict[str, str]:
    """Return the variables that fix the thread count of every library below a framework."""
    names = (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "CONVSUITE_THREADS",
    )
    return {name: str(threads) for name in names}


class Lane:
    """One backend variant on one device, in one process at a time."""

    def __init__(self, name: str, device: str, settings: Settings) -> None:
        self.name = name
        self.device = device
        self.state = State.NEW
        self.info: worker.Info | None = None
        self.closed_by: Ended | None = None  # why it takes no more cases, where its backend could not be imported anew
        self._settings = settings
        self._log = settings.workdir / f"{name.replace(':', '-')}.log"
        self._log_from = 0
        self._pids_from = 0
        self._limit_s = 0.0
        self._pool = self._new_pool()

    @property
    def version(self) -> str:
        """What computes, e.g. `torch 2.13.0`; "" before the import."""
        return " ".join(self.info.versions[0]) if self.info and self.info.versions else ""

    def open(self) -> Future[Any]:
        """Import the backend; the future's reply is an Info or says what went wrong."""
        return self._schedule(worker.open_backend, [self.name, self.device], self._settings.import_timeout_s)

    def opened_with(self, reply: Reply) -> bool:
        """Take what `open` brought: ready for cases (True), or closed, and why."""
        if isinstance(reply, worker.Info):
            self.info, self.state = reply, State.READY
            return True
        assert not isinstance(reply, worker.Answer)
        self.close()
        self.closed_by = reply
        return False

    def run(self, case: Case, operands: tuple[NDArray[np.generic], ...]) -> Future[Any]:
        """Run one case."""
        return self._schedule(
            worker.run_case, [self.name, self.device, case, operands, self._settings.probe], self._settings.timeout_s
        )

    def call(self, function: Callable[..., Any], args: list[Any]) -> Future[Any]:
        """Call any other function of ours in the lane's process, under the limit of a case."""
        return self._schedule(function, args, self._settings.timeout_s)

    def reply(self, future: Future[Any]) -> Reply:
        """Return what a finished future brought, whatever became of the process."""
        if not self._awaited(future):
            self._renew()
            return Crashed(f"{_exit_words(0)}{self._last_words()}")
        try:
            reply: Reply = future.result()
        except FutureTimeout:
            self.state = State.NEW
            return TimedOut(f"no answer after {self._limit_s:g} s; its process was ended")
        except ProcessExpired as expired:
            self.state = State.NEW
            return Crashed(f"{_exit_words(expired.exitcode)}{self._last_words()}")
        except BrokenProcessPool:
            self._renew()
            return Crashed(f"its process died before the case began{self._last_words()}")
        except Exception as error:  # the reply itself could not be brought over
            return worker.Failure(exception=type(error).__name__, message=f"its answer could not be read: {error}")
        if isinstance(reply, worker.Answer) and reply.rss_bytes > _RECYCLE_BYTES:
            self._renew()
        return reply

    def finished(self, future: Future[Any]) -> bool:
        """Return whether `reply` has an answer at once: the future is done, or its process is gone."""
        return future.done() or self._vanished()

    def close(self) -> None:
        """End the process at once."""
        self.state = State.CLOSED
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join(timeout=5)

    def _awaited(self, future: Future[Any]) -> bool:
        """Wait for a future; False where it will never be done: the pool takes an exit with status 0 for no death."""
        while not wait([future], timeout=0.25).done:
            if self._vanished() and not wait([future], timeout=0.5).done:
                return False
        return True

    def _vanished(self) -> bool:
        return any(not _alive(pid) for pid in self._pids()[self._pids_from :])

    def _pids(self) -> list[int]:
        """Return the processes that this lane has had, oldest first."""
        try:
            return [int(line) for line in Path(f"{self._log}.pids").read_text().split()]
        except OSError:
            return []

    def _renew(self) -> None:
        self.close()
        self._pool, self.state = self._new_pool(), State.NEW

    def _new_pool(self) -> ProcessPool:
        context: Any = Spawn(thread_environment(self._settings.threads), self._cores())
        return ProcessPool(max_workers=1, context=context, initializer=worker.begin, initargs=[str(self._log)])

    def _cores(self) -> tuple[int, ...]:
        """Return the cores that its processes keep to; none: to all that there are."""
        return ()

    def _schedule(self, function: Any, args: list[Any], limit_s: float) -> Future[Any]:
        self._log_from = self._log.stat().st_size if self._log.exists() else 0
        pids = self._pids()
        self._pids_from = len(pids) - 1 if pids and _alive(pids[-1]) else len(pids)
        self._limit_s = limit_s
        try:
            future: Future[Any] = self._pool.schedule(function, args=args, timeout=limit_s)
        except RuntimeError:  # the process died while it had nothing to do, which the pool takes for its own end
            self._renew()
            self._pids_from = len(self._pids())
            future = self._pool.schedule(function, args=args, timeout=limit_s)
        return future

    def _last_words(self) -> str:
        """Return the end of what the process wrote during its last case."""
        try:
            with self._log.open("rb") as log:
                log.seek(self._log_from)
                text = log.read().decode("utf-8", "backslashreplace").strip()
        except OSError:
            return ""
        # stacks are long, and their addresses differ each time: what was said before them is what a person needs
        text = text.split("Current thread", 1)[0].split("\nThread 0x", 1)[0]
        text = "\n".join(line for line in text.splitlines() if not _STACK.match(line)).strip()
        return f"; its last words: {text[-_WORDS:]}" if text else ""


def _alive(pid: int) -> bool:
    """Return whether a process of ours is there; one that the pool has reaped is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def close_all(lanes: Iterable[Lane], limit_s: float = 1.5) -> None:
    """End the processes of several lanes at the same time.

    Ctrl-C can hit the pool's queue in the middle of a step: one of its threads then waits for ever to be told to end.
    The process is gone by then, so the thread is not waited for beyond the limit.
    """
    closing = [threading.Thread(target=lane.close, daemon=True) for lane in lanes]
    for thread in closing:
        thread.start()
    deadline = time.monotonic() + limit_s
    for thread in closing:
        thread.join(max(0.0, deadline - time.monotonic()))


def _exit_words(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return f"its process died of {signal.Signals(-code).name}"
        except ValueError:
            return f"its process died of signal {-code}"
    return f"its process ended by itself with status {code}"
