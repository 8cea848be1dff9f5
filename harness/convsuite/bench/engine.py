"""One bench: which cell is timed when, in which process; nothing is timed before its answer has been judged.

Rounds are outermost: each starts fresh processes, one for each backend and thread count, and gives every cell its turn.
Within a round the backends take turns on one cell after another, in an order that is drawn anew, so that what changes
on the machine meets all of them alike; and what differs from process to process is in the spread of the rounds.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convsuite import run, worker
from convsuite.bench import worker as far
from convsuite.bench.machine import Peaks, measure_peaks, pinned_to
from convsuite.bench.records import HOT, Cell, Timing, suite_of
from convsuite.case import Case, Outcome, Pass, Status
from convsuite.lane import Crashed, Ended, Lane, Settings, State, close_all
from convsuite.operands import fill
from convsuite.timing import BRIEF, QUICK, STANDARD, Method

if TYPE_CHECKING:
    from convsuite.known import KnownFailures

_Key = tuple[str, Pass, str, int]  # case id, pass, backend, threads: a cell in all its modes
PROCESSES = 5
SMOKE = "bench_smoke"  # the suite that is to say in a minute whether all works
_ENDED = Crashed("its process was ended")
_PEAK_DTYPES = ("float32", "float64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to time, and how."""

    cases: tuple[Case, ...]
    passes: tuple[Pass, ...]  # of each case those that it has, too
    backends: tuple[str, ...]
    device: str = "cpu"
    threads: tuple[int, ...] = (1,)
    modes: tuple[str, ...] = (HOT,)
    method: Method = STANDARD
    processes: int = PROCESSES
    timeout_s: float = 120.0
    seed: int = 0

    def steps(self, case: Case) -> tuple[Pass, ...]:
        """Return the passes of a case that are timed."""
        return tuple(p for p in case.passes if p in self.passes)

    @property
    def total(self) -> int:
        """How many times a cell gets its turn, over all rounds."""
        turns = sum(len(self.steps(case)) for case in self.cases) * len(self.backends)
        return turns * len(self.threads) * self.processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The processes of a round are there; `reports` are of those that are broken."""

    threads: int
    lanes: tuple[Lane, ...]
    reports: tuple[run.Report, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An answer that was judged: the first of its cell, or a later one that differs from it."""

    outcome: Outcome
    threads: int

    @property
    def right(self) -> bool:
        """True where the answer is right, if only against what a list of known failures says."""
        return self.outcome.status in (Status.PASSED, Status.FIXED_UPSTREAM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Untimed:
    """A cell without a time, and why; `wrong` where a person should look."""

    cell: Cell
    reason: str
    wrong: bool = False
    withdrawn: bool = False  # what other rounds timed of it, in any mode, is not to be believed either


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A cell had its turn in a round, whatever came of it."""

    case: Case
    pass_: Pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """A pass of a case has had all its turns."""

    case: Case
    pass_: Pass


def usual(cases: Sequence[Case], quick: bool) -> tuple[Method, int]:
    """Return how calls are timed, and in how many processes of each backend, unless something else is asked for."""
    if quick:
        return QUICK, 1
    return (BRIEF, 1) if all(suite_of(case.id) == SMOKE for case in cases) else (STANDARD, PROCESSES)


def why_closed(lane: Lane) -> str:
    """Return why a lane takes no more cells."""
    return _words(lane.closed_by or _ENDED)


Event = Started | Peaks | Judged | Timing | Untimed | Turn | Complete


def bench(plan: Plan, known: KnownFailures, workdir: Path) -> Generator[Event, None, None]:
    """Time all cells of a plan, round after round, and yield what happens as it does; closed, it ends its processes."""
    progress = _Progress(plan, known, random.Random(plan.seed))
    for number in range(plan.processes):
        for threads in plan.threads:
            yield from _round(progress, number, threads, workdir)


class PinnedLane(Lane):
    """A lane whose process keeps to cores of its own."""

    def _cores(self) -> tuple[int, ...]:
        return pinned_to(self._settings.threads) if self.device == "cpu" else ()


@dataclass(slots=True)
class _Progress:
    """What the rounds have in common."""

    plan: Plan
    known: KnownFailures
    random: random.Random
    right: dict[_Key, set[str]] = field(default_factory=dict)  # digests of right answers
    closed: set[_Key] = field(default_factory=set)  # cells that are not timed any more
    broken: set[Cell] = field(default_factory=set)  # could not be sampled, for which a whole time limit may have gone
    absent: set[str] = field(default_factory=set)  # backends that cannot be had here


def _round(progress: _Progress, number: int, threads: int, workdir: Path) -> Iterator[Event]:
    plan = progress.plan
    settings = Settings(timeout_s=plan.timeout_s, threads=threads, workdir=workdir)
    if plan.device == "cpu":
        yield from _peaks(threads, settings)
    lanes = [PinnedLane(name, plan.device, settings) for name in plan.backends if name not in progress.absent]
    try:
        ready, reports = run.start(lanes)
        progress.absent |= {lane.name for lane in lanes if lane not in ready}
        yield Started(threads=threads, lanes=tuple(lanes), reports=tuple(reports))
        for case in plan.cases if ready else ():
            yield from _case(progress, case, ready, number, threads)
    finally:
        close_all(lanes)


def _case(progress: _Progress, case: Case, ready: list[Lane], number: int, threads: int) -> Iterator[Event]:
    """Give all passes of a case their turns on all lanes; its arrays, which may be large, are gone at the end."""
    plan, work = progress.plan, run.Work(case, fill(case, progress.plan.steps(case)))
    for pass_ in plan.steps(case):
        for lane in progress.random.sample(ready, len(ready)):
            yield from _turn(progress, work, pass_, lane, number, threads)
            yield Turn(case=case, pass_=pass_)
        yield from repeat(Turn(case=case, pass_=pass_), len(plan.backends) - len(ready))
        if (number, threads) == (plan.processes - 1, plan.threads[-1]):
            yield Complete(case=case, pass_=pass_)


def _peaks(threads: int, settings: Settings) -> Iterator[Peaks]:
    """Measure the machine in a process of its own, before the others are there."""
    with closing(PinnedLane("machine", "cpu", settings)) as lane:
        found: Any = lane.reply(lane.call(measure_peaks, [threads, _PEAK_DTYPES]))
        yield from found if isinstance(found, tuple) else ()


def _turn(
    progress: _Progress, work: run.Work, pass_: Pass, lane: Lane, number: int, threads: int
) -> Iterator[Judged | Timing | Untimed]:
    """Give one cell its turn: the first calls, the judgement, the samples in each mode."""
    plan, key = progress.plan, (work.case.id, pass_, lane.name, threads)
    if key in progress.closed:
        return
    if not _is_open(lane):
        reply: Any = lane.closed_by or _ENDED
    else:
        arguments = [lane.name, lane.device, work.case, work.operands, pass_]
        reply = lane.reply(lane.call(far.first_calls, arguments))
    answer = reply.answer if isinstance(reply, far.First) else reply
    outcome = _judged(progress, work, pass_, lane, answer, key)
    if outcome is not None:
        judged = Judged(outcome=outcome, threads=threads)
        yield judged
        if not judged.right:
            progress.closed.add(key)
            return
    cell = Cell(case_id=work.case.id, pass_=pass_, backend=lane.name, device=lane.device, threads=threads, mode=HOT)
    if reply.early_s:
        progress.closed.add(key)
        said = f"the call returned {reply.early_s * 1e6:.0f} µs before its result was there"
        reason = f"{said}: its time would be wrong (see Backend.synchronize)"
        yield Untimed(cell=cell, reason=reason, wrong=True, withdrawn=True)
        return
    for mode in plan.modes:
        cell = replace(cell, mode=mode)
        if cell in progress.broken:
            continue
        found = _sampled(cell, reply, lane.reply(lane.call(far.sample, [mode, plan.method])), number)
        if isinstance(found, Untimed) and found.wrong:
            progress.broken.add(cell)
        yield found


def _judged(
    progress: _Progress,
    work: run.Work,
    pass_: Pass,
    lane: Lane,
    answer: Any,
    key: _Key,
) -> Outcome | None:
    """Judge an answer, unless the same bits were judged right before."""
    seen = isinstance(answer, worker.PassAnswer) and run.digest_of(answer) in progress.right.get(key, ())
    if seen and answer.reproducible:
        return None
    outcome = run.outcome_of(work, lane, pass_, answer, answer)
    outcome = progress.known.judge(outcome, lane.version.rpartition(" ")[2])
    if outcome.verdict is not None and outcome.verdict.right:
        progress.right.setdefault(key, set()).add(outcome.digest)
    return outcome


def _sampled(cell: Cell, first: far.First, reply: Any, number: int) -> Timing | Untimed:
    """Return a cell's time in one process, or why there is none."""
    match reply:
        case far.Measured():
            s = reply.sampled
            return Timing(
                cell=cell,
                process=number,
                first_s=first.first_s,
                second_s=first.second_s,
                seconds=s.seconds,
                number=s.number,
                warmups=s.warmups,
                settled=s.settled,
                memory_bytes=first.memory_bytes,
                workspace_bytes=first.workspace_bytes,
                others=reply.disturbance.others,
                clock=reply.disturbance.clock,
                free_cores=reply.free_cores,
            )
        case far.Untimed():
            return Untimed(cell=cell, reason=reply.reason)
    return Untimed(cell=cell, reason=_words(reply), wrong=True)


def _words(reply: Ended) -> str:
    """Return what befell a process, or what its backend raised."""
    return f"{reply.exception}: {reply.message}" if isinstance(reply, worker.Failure) else reply.message


def _is_open(lane: Lane) -> bool:
    """Return whether a lane can take a cell; one whose process died gets a new one first."""
    if lane.state is State.NEW:
        lane.opened_with(lane.reply(lane.open()))
    return lane.state is State.READY
