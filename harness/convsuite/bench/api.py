"""Times for another program to hand on: the same engine as `convsuite bench`, its samples as asv takes them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

from convsuite import casefile, checking, environment, known
from convsuite.bench import engine
from convsuite.bench.records import Cell, Timing
from convsuite.case import Pass

_EACH = 20  # samples of a process: neighbours are alike, and more of them would only make asv's intervals too narrow

Key = tuple[str, str, str]  # case id, pass, backend


@dataclass(frozen=True, slots=True)
class Timed:
    """Samples of one cell, over all its processes."""

    samples: tuple[float, ...]  # seconds a call, one a block
    number: int  # calls a block


def asv_samples(
    case_ids: Sequence[str],
    backends: Sequence[str],
    passes: Sequence[str],
    *,
    device: str = "cpu",
    threads: int = 1,
    quick: bool = False,
) -> dict[Key, Timed | str]:
    """Time cases that convsuite ships; return the samples of each case, pass and backend, or why there are none.

    Every backend has processes of its own, fresh and pinned, in rounds in which the backends take turns; `quick` is one
    process and short samples. Nothing whose answer is wrong has a time.
    """
    wanted = set(case_ids)
    cases = tuple(case for case in casefile.builtin(globs=tuple(case_ids)).cases if case.id in wanted)
    method, processes = engine.usual(cases, quick)
    plan = engine.Plan(
        cases=cases,
        passes=tuple(Pass(name) for name in passes),
        backends=tuple(backends),
        device=device,
        threads=(threads,),
        method=method,
        processes=processes,
    )
    failures = known.load(checking.known_folders(()), environment.cpu_flags())
    times, reasons = dict[Key, list[Timing]](), dict[Key, str]()
    with (
        tempfile.TemporaryDirectory(prefix="convsuite-") as workdir,
        closing(engine.bench(plan, failures, Path(workdir))) as events,
    ):
        for event in events:
            match event:
                case Timing():
                    times.setdefault(_key(event.cell), []).append(event)
                case engine.Untimed():
                    reasons[_key(event.cell)] = event.reason
                    if event.withdrawn:
                        times.pop(_key(event.cell), None)
                case engine.Judged() if not event.right:
                    o = event.outcome
                    reasons[o.case_id, o.pass_.value, o.backend] = f"{o.status.value}: {o.message or o.known}"
                    times.pop((o.case_id, o.pass_.value, o.backend), None)
                case engine.Started():
                    reasons |= _broken(plan, event)
    return reasons | {key: _merged(timings) for key, timings in times.items()}


def _key(cell: Cell) -> Key:
    return cell.case_id, cell.pass_.value, cell.backend


def _broken(plan: engine.Plan, started: engine.Started) -> dict[Key, str]:
    """Return why backends that could not be started have no times."""
    absent = {lane.name: engine.why_closed(lane) for lane in started.lanes if lane.info is None}
    cells = [(case.id, pass_.value) for case in plan.cases for pass_ in plan.steps(case)]
    return {(case_id, pass_, name): why for name, why in absent.items() for case_id, pass_ in cells}


def _merged(timings: Sequence[Timing]) -> Timed:
    samples = [s for t in timings for s in t.seconds[:: -(-len(t.seconds) // _EACH)]]
    return Timed(samples=tuple(samples), number=median_low(t.number for t in timings))
