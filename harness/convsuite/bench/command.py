"""One `convsuite bench` from its options to its exit code."""

from __future__ import annotations

import shlex
import sys
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from convsuite import checking, environment, known, run, terminal
from convsuite.bench import engine, exports, live, rows, table
from convsuite.bench.choice import plan_of
from convsuite.bench.estimate import is_unstable
from convsuite.bench.machine import Peaks
from convsuite.bench.records import HOT, Cell, Timing
from convsuite.bench.summary import Row, Times
from convsuite.case import Pass, Status
from convsuite.operations import of
from convsuite.store import Store, open_store
from convsuite.wording import counted

if TYPE_CHECKING:
    from rich.console import Console

    from convsuite.bench.choice import Request
    from convsuite.case import Case
    from convsuite.lane import Lane

_UNTIMED_SHOWN = 20


@dataclass(slots=True, kw_only=True)
class _Session:
    """A bench under way."""

    request: Request
    plan: engine.Plan
    base: str
    console: Console
    store: Store
    number: int
    times: Times
    judged: set[tuple[str, Pass, str]] = field(default_factory=set)
    ready: list[Lane] | None = None  # the backends that take part, once they have started
    untimed: dict[engine.Untimed, None] = field(default_factory=dict)  # each once, though every round says so
    wrong: list[str] = field(default_factory=list)


def run_bench(request: Request) -> int:
    """Do it all and return the exit code: 0, 1 where an answer was wrong, 130 interrupted; bad input raises."""
    checking.must_be_seconds(request.timeout_s)
    plan, base = plan_of(request)
    console = terminal.console_for(sys.stderr if request.as_json else sys.stdout)
    with ExitStack() as stack:
        store = stack.enter_context(closing(open_store(request.db)))
        workdir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="convsuite-")))
        stack.enter_context(checking.ended_as_by_ctrl_c())
        here = environment.observe(plan.threads[0], checking.folder_of(request.folders))
        problems = [rows.problem_of(case, of(case).work(case)) for case in plan.cases]
        number = store.begin(here, request.command)
        store.add_rows(rows.ADD_PROBLEM, [rows.problem_row(number, p) for p in problems])
        if here.kernels:
            terminal.line(console, f"set here, and decides which kernels are timed: {' '.join(here.kernels)}")
        session = _Session(
            request=request, plan=plan, base=base, console=console, store=store, number=number, times=Times(problems)
        )
        state = _recorded(session, workdir)
    return 130 if state == "interrupted" else int(bool(session.wrong))


def _recorded(session: _Session, workdir: Path) -> str:
    state = "stopped"
    try:
        state = checking.interruptible(session.console, lambda: _run(session, workdir))
    finally:
        session.store.finish(session.number, state)
        _summarize(session, state)
    return state


def _run(session: _Session, workdir: Path) -> None:
    plan, console = session.plan, session.console
    failures = known.load(checking.known_folders(session.request.folders), environment.cpu_flags())
    turns = "1 process" if plan.processes == 1 else f"{plan.processes} processes"
    line = f"{counted(len(plan.cases), 'problem')}, {turns} of each of {', '.join(plan.backends)}"
    terminal.line(console, line)
    for pass_ in plan.passes:
        having = sum(pass_ in case.passes for case in plan.cases)
        if having < len(plan.cases):
            terminal.line(
                console, f"{pass_.value}: {having} of them have it; `passes:` in a case file says which are there"
            )
    bench = engine.bench(plan, failures, workdir)
    with closing(bench), live.view(console, plan.total) as view:
        for event in bench:
            _take(session, event, view)


def _take(session: _Session, event: engine.Event, view: live.View) -> None:
    """Record an event, and show what it completes."""
    store, number = session.store, session.number
    match event:
        case engine.Started():
            _started(session, event)
        case Peaks():
            session.times.peaks.append(event)
            store.add_rows(rows.ADD_PEAK, [rows.peak_row(number, event)])
        case Timing():
            session.times.add(event)
            store.add_rows(rows.ADD_TIMING, [rows.timing_row(number, event)])
        case engine.Untimed():
            _untimed(session, event)
        case engine.Judged():
            _judged(session, event)
        case engine.Turn():
            view.advance(len(session.wrong))
            view.show(lambda: table.so_far(_rows(session, event.case, event.pass_), session.base))
        case engine.Complete():
            _show(session, event.case, event.pass_)


def _started(session: _Session, event: engine.Started) -> None:
    """Record who takes part, once, and in any round whose process is broken: it takes no part in those after."""
    request, console = session.request, session.console
    for report in event.reports:
        session.store.add(session.number, report)
        for outcome in report.outcomes:
            session.wrong.append(outcome.message)
            terminal.line(console, f"{outcome.backend}: {outcome.status.value}: {outcome.message}")
    if session.ready is not None:
        return
    session.store.add_lanes(session.number, list(event.lanes))
    session.ready = [lane for lane in event.lanes if lane.info is not None]
    named = (*request.backends, *((request.base,) if request.base else ()))
    checking.tell_absent(named, request.device, console, event.lanes, session.ready)
    if session.ready:
        terminal.line(console, ", ".join(f"{lane.name} ({lane.version})" for lane in session.ready))


def _judged(session: _Session, event: engine.Judged) -> None:
    """Record an answer that was judged; of a cell the first, and any that is wrong is told."""
    outcome = event.outcome
    key = (outcome.case_id, outcome.pass_, outcome.backend)
    if key not in session.judged:
        session.judged.add(key)
        session.store.add(session.number, run.Report(case=None, outcomes=(outcome,)))
    if event.right:
        session.wrong += [outcome.message] if outcome.finding else []  # right, where a list says that it is not
        return
    cell = Cell(
        case_id=outcome.case_id, pass_=outcome.pass_, backend=outcome.backend, device=outcome.device,
        threads=event.threads, mode=HOT,
    )  # fmt: skip
    said = f"{outcome.status.value}: {outcome.message or outcome.known}"
    answered = outcome.status in (Status.MISMATCH, Status.KNOWN_FAILURE)
    _untimed(session, engine.Untimed(cell=cell, reason=said, wrong=outcome.finding, withdrawn=answered))


def _untimed(session: _Session, event: engine.Untimed) -> None:
    """Record why a cell has no time; where its answer was wrong, or late, it loses those of other rounds."""
    if event in session.untimed:
        return
    session.untimed[event] = None
    session.store.add_rows(rows.ADD_UNTIMED, [rows.untimed_row(session.number, event)])
    if event.wrong:
        session.wrong.append(event.reason)
    if event.withdrawn:
        session.times.take_back(event.cell)
        session.store.add_rows(rows.TAKE_BACK, [rows.taken_back(session.number, event.cell)])


def _show(session: _Session, case: Case, pass_: Pass) -> None:
    """Print the table of a pass of a problem that has had all its turns."""
    shown = _rows(session, case, pass_)
    if shown and not session.request.as_json:
        table.print_problem(session.console, shown, session.base)


def _rows(session: _Session, case: Case, pass_: Pass) -> list[Row]:
    """Return what there is so far of a pass of a problem."""
    return _ordered(session, [row for row in session.times.rows(session.base, case.id) if row.cell.pass_ is pass_])


def _ordered(session: _Session, shown: list[Row]) -> list[Row]:
    names = session.plan.backends
    return sorted(shown, key=lambda row: (row.cell.threads, row.cell.mode != HOT, names.index(row.cell.backend)))


def _summarize(session: _Session, state: str) -> None:
    """Tell what the run came to, or has come to so far."""
    console, times = session.console, session.times
    if session.request.as_json:
        for row in times.rows(session.base):
            print(exports.json_row(row, session.base))  # noqa: T201 - standard output is what --json is for
    elif times.cells:
        names = session.plan.backends
        totals = sorted(times.totals(session.base), key=lambda t: (t.suite, t.cell.pass_, names.index(t.cell.backend)))
        table.print_totals(console, totals, session.base)
    _tell_untimed(session)
    unstable = sum(map(is_unstable, times.cells.values()))
    ended = "" if state == "finished" else f"{state}: "
    parts = [f"{counted(len(times.cells), 'time')}, {unstable} unstable"]
    parts += [counted(len(session.wrong), "finding")] if session.wrong else []
    style = "red" if session.wrong else "yellow" if ended or unstable or not times.cells else "green"
    console.print()
    console.print(ended + ", ".join(parts), style=style, highlight=False, soft_wrap=True)
    db = shlex.quote(str(session.request.db))
    again = f"convsuite bench compare {session.number} OTHER" + ("" if db == "convsuite.db" else f" --db {db}")
    more = f"   compare with another run: {again}" if times.cells else ""
    terminal.line(console, f"run {session.number} in {db}{more}")


def _tell_untimed(session: _Session) -> None:
    """Print why cells have no time: each reason once, wrong answers first, with the command that looks into them."""
    reasons: dict[tuple[bool, str, str], list[Cell]] = {}
    for untimed in session.untimed:
        key = (not untimed.wrong, untimed.cell.backend, untimed.reason)
        reasons.setdefault(key, []).append(untimed.cell)
    if reasons:
        terminal.line(session.console, "\nWithout a time, in one process or in all")
    for (right, backend, reason), cells in sorted(reasons.items())[:_UNTIMED_SHOWN]:
        terminal.line(session.console, f"  {backend}: {counted(len(cells), 'cell')}: {reason}")
        if not right:
            rerun = terminal.Rerun(cases=tuple(map(str, session.request.folders)), device=session.request.device)
            terminal.line(session.console, f"    look: {rerun.check(cells[0].case_id, backend)}")
    if len(reasons) > _UNTIMED_SHOWN:
        more = counted(len(reasons) - _UNTIMED_SHOWN, "more reason")
        terminal.line(session.console, f"  … and {more}: in the database")
