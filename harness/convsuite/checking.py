"""One `convsuite check` from its options to its exit code."""

from __future__ import annotations

import math
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from convsuite import casefile, environment, known, run, selectors, terminal
from convsuite.backend import Registered, find, registered
from convsuite.errors import BackendError, ConvsuiteError
from convsuite.exports import check_junit, json_outcome, json_summary, write_junit
from convsuite.lane import Lane, Settings, close_all
from convsuite.sources import KNOWN_FAILURES
from convsuite.store import Store, open_store
from convsuite.tally import Tally
from convsuite.wording import counted
from convsuite.worker import Failure

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from rich.console import Console

    from convsuite.case import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for, as the command line understood it."""

    selectors: tuple[str, ...]
    folders: tuple[Path, ...]
    backends: tuple[str, ...]
    lists: tuple[Path, ...]
    all_variants: bool
    device: str
    level: str
    db: Path
    junit: Path | None
    as_json: bool
    timeout_s: float
    threads: int
    probe: bool
    verbose: bool
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What a run is made of, all of it checked before anything runs."""

    cases: tuple[Case, ...]
    entries: list[Registered]
    failures: known.KnownFailures
    stale: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """A run under way: what was asked for, and where its results go."""

    request: Request
    plan: _Plan
    console: Console
    store: Store
    number: int  # of the run in the store
    tally: Tally


def run_check(request: Request) -> int:
    """Do it all and return the exit code: 0 nothing found, 1 findings, 130 interrupted; bad input raises."""
    must_be_seconds(request.timeout_s)
    plan = _plan(request)
    console = terminal.console_for(sys.stderr if request.as_json else sys.stdout)
    with ExitStack() as stack:
        store = stack.enter_context(closing(open_store(request.db)))
        workdir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="convsuite-")))
        here = environment.observe(request.threads, folder_of(request.folders))
        stack.enter_context(ended_as_by_ctrl_c())
        number = store.begin(here, request.command)
        store.add_stale(number, plan.stale)
        tally = Tally(stale=list(plan.stale))
        session = _Session(request=request, plan=plan, console=console, store=store, number=number, tally=tally)
        state = _recorded(session, workdir)
        if request.junit is not None:
            write_junit(store, number, request.junit)
    return 130 if state == "interrupted" else int(tally.found > 0)


def must_be_seconds(timeout_s: float) -> None:
    """Raise ConvsuiteError where a time limit is none."""
    if not 0 < timeout_s < math.inf:  # NaN, too
        raise ConvsuiteError(f"--timeout {timeout_s:g}: give a number of seconds above 0")


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """Take SIGTERM, which a cancelled job sends, for Ctrl-C: what was finished is kept, and told."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interruptible(console: Console, work: Callable[[], None]) -> str:
    """Do some work and return how it ended: finished, or interrupted by Ctrl-C, which is told."""
    try:
        work()
    except KeyboardInterrupt:
        console.print("interrupted; what was finished is kept", style="yellow")
        return "interrupted"
    except BrokenPipeError:  # of --json: who read it is gone
        terminal.end_quietly()
    return "finished"


def _recorded(session: _Session, workdir: Path) -> str:
    """Run; whatever ends it, record how it ended, and tell what it came to."""
    lanes = list[Lane]()
    state = "stopped"
    try:
        state = _interruptible(session, lanes, workdir)
    finally:  # a backend that is refused, a disk that is full, a reader that is gone: what was finished is kept
        close_all(lanes)
        try:
            session.store.finish(session.number, state)
        finally:
            if session.tally.counts or state != "stopped":
                _summarize(session, state)
    return state


def _plan(request: Request) -> _Plan:
    entries = choose(request.backends, request.all_variants)
    if request.junit is not None:
        check_junit(request.junit, request.db)
    suite, cases = casefile.selected(request.folders, request.selectors, request.level)
    run.contradictions(cases)
    own = known_folders(request.folders)
    failures = known.load([*own, *request.lists], environment.cpu_flags())
    # who names a list says that it is about these cases; one that was found may be about files that were not read
    partly = not request.folders and selectors.globs_of(request.selectors)  # then not all files were read
    whole = [] if partly else [path for path in own if _covers(request.folders, path)]
    stale = failures.unmatched(suite.cases, [*whole, *request.lists])
    return _Plan(cases=cases, entries=entries, failures=failures, stale=stale)


def folder_of(folders: Sequence[Path]) -> Path | None:
    """Return the folder whose git revision a run's environment has."""
    return folders[0] if folders else _builtin()


def _lanes(request: Request, plan: _Plan, workdir: Path) -> list[Lane]:
    settings = Settings(timeout_s=request.timeout_s, threads=request.threads, probe=request.probe, workdir=workdir)
    return [Lane(entry.name, request.device, settings) for entry in plan.entries]


def _interruptible(session: _Session, lanes: list[Lane], workdir: Path) -> str:
    """Open the lanes, run, and return how it ended."""

    def opened() -> None:
        lanes.extend(_lanes(session.request, session.plan, workdir))
        _run(session, lanes)

    return interruptible(session.console, opened)


def choose(names: Sequence[str], all_variants: bool) -> list[Registered]:
    """Return the variants to run: those named, else the default one of each backend whose framework is installed."""
    for name in names:
        entry = find(name)
        missing = entry.missing()
        if missing:
            raise BackendError(f"{name} is not installed: pip install {missing}")
    everything = registered()
    if all_variants:
        families = {name.partition(":")[0] for name in names}
        return [e for e in everything.values() if (not names or e.family in families) and not e.missing()]
    if names:
        return [everything[name] for name in dict.fromkeys(names)]
    return [entry for entry in everything.values() if entry.default and not entry.missing()]


def _run(session: _Session, lanes: list[Lane]) -> None:
    console, store, tally, plan = session.console, session.store, session.tally, session.plan
    names = ", ".join(lane.name for lane in lanes)
    with console.status(escape(f"importing {names}")) if console.is_terminal else ExitStack():
        ready, broken = run.start(lanes)
    store.add_lanes(session.number, lanes)
    for report in broken:
        store.add(session.number, report)
        tally.add(report)
    tell_absent(session.request.backends, session.request.device, console, lanes, ready)
    tally.versions.extend((lane.name, lane.version) for lane in ready)
    terminal.print_versions(console, tally)
    with terminal.progress(console, len(plan.cases)) as advance:
        for report in run.check(plan.cases, ready, plan.failures) if ready else ():
            store.add(session.number, report)
            tally.add(report)
            advance(tally.found)
            if session.request.as_json:
                for outcome in report.outcomes:
                    print(json_outcome(outcome))  # noqa: T201 - standard output is what --json is for


def tell_absent(
    named: Sequence[str], device: str, console: Console, lanes: Sequence[Lane], ready: Sequence[Lane]
) -> None:
    """Say which backends cannot take part here. Raise BackendError where one of them was named, or none is left."""
    absent = [(lane, r.message) for lane in lanes if isinstance(r := lane.closed_by, Failure) and r.missing]
    for lane, message in absent:
        if lane.name in named:
            raise BackendError(f"{lane.name}: {message} (see `convsuite list backends`)")
        console.print(f"{lane.name} is left out: {message}", markup=False, highlight=False, soft_wrap=True)
    if len(absent) == len(lanes) and not ready:
        raise BackendError(f"no backend can compute on {device} here")


def _summarize(session: _Session, state: str) -> None:
    """Tell what the run came to, or has come to so far."""
    request, console, tally = session.request, session.console, session.tally
    terminal.print_tally(console, tally, _rerun(request), request.verbose)
    if request.as_json:
        print(json_summary(tally, session.number, state))  # noqa: T201
    console.print()
    all_ = counted(len(session.plan.cases), "case")
    ended = "" if state == "finished" else f"{state} after {tally.cases} of {all_}: "
    style = "red" if tally.found else "yellow" if ended else "green"
    console.print(ended + terminal.verdict(tally), style=style, highlight=False, soft_wrap=True)
    console.print(f"run {session.number} in {request.db}", markup=False, highlight=False, soft_wrap=True)


def _rerun(request: Request) -> terminal.Rerun:
    """Return what a single case needs to come to the same again."""
    options = [word for path in request.lists for word in ("--known-failures", str(path))]
    usual = Settings()
    if request.timeout_s != usual.timeout_s:
        options += ["--timeout", f"{request.timeout_s:g}"]
    if request.threads != usual.threads:
        options += ["--threads", str(request.threads)]
    return terminal.Rerun(cases=tuple(map(str, request.folders)), device=request.device, options=tuple(options))


def known_folders(folders: Sequence[Path]) -> list[Traversable]:
    """Return where the known failures of folders of cases lie, or of the cases that convsuite ships."""
    if not folders:
        return [files(casefile.BUILTIN) / KNOWN_FAILURES]
    return [known.nearest(folder) for folder in folders]


def _covers(folders: Sequence[Path], lists: Traversable) -> bool:
    """Return whether all of the suite that a folder of lists lies beside has been read."""
    if not folders or not isinstance(lists, Path):
        return True  # the suite that convsuite ships
    return any(lists.parent.resolve().is_relative_to(folder.resolve()) for folder in folders)


def _builtin() -> Path | None:
    """Return the folder of the cases that convsuite ships, where it is a folder."""
    folder = files(casefile.BUILTIN)
    return folder if isinstance(folder, Path) else None
