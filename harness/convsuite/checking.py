"""One `convsuite check` from its options to its exit code."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from convsuite import casefile, environment, known, run, selectors, terminal
from convsuite.backend import Registered, find, registered
from convsuite.errors import BackendError, StoreError
from convsuite.exports import check_junit, json_outcome, json_summary, write_junit
from convsuite.lane import Lane, Settings, close_all
from convsuite.sources import KNOWN_FAILURES
from convsuite.store import Store, open_store
from convsuite.tally import Tally

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
    command: str


def run_check(request: Request) -> int:
    """Do it all and return the exit code: 0 nothing found, 1 findings, 130 interrupted; bad input raises."""
    console = terminal.console_for(sys.stderr if request.as_json else sys.stdout)
    suite = casefile.load(request.folders) if request.folders else casefile.builtin()
    cases = selectors.select(suite.cases, request.selectors, request.level)
    run.contradictions(cases)
    entries = choose(request.backends, request.all_variants)
    failures = known.load([*_known_folders(request.folders), *request.lists], environment.cpu_flags())
    tally = Tally()
    tally.stale.extend(failures.unmatched(suite.cases))
    if request.junit is not None:
        check_junit(request.junit)
    store = open_store(request.db)
    with ExitStack() as stack:
        stack.callback(store.close)
        observed = environment.observe(request.threads, request.folders[0] if request.folders else _builtin_folder())
        number = store.begin(observed, request.command)
        settings = Settings(
            timeout_s=request.timeout_s, threads=request.threads, probe=request.probe,
            workdir=Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="convsuite-"))),
        )  # fmt: skip
        lanes = [Lane(entry.name, request.device, settings) for entry in entries]
        stack.callback(close_all, lanes)
        state = "interrupted"
        try:
            try:
                _run(request, console, cases, lanes, failures, store, number, tally)
                state = "finished"
            except KeyboardInterrupt:
                console.print("interrupted; what was finished is kept", style="yellow")
                close_all(lanes)
            store.finish(number, state)
        except StoreError:
            close_all(lanes)
            _summarize(request, console, tally, number, "stopped")
            raise
        _summarize(request, console, tally, number, state)
        if request.junit is not None:
            write_junit(store, number, request.junit, tally.stale)
    return 130 if state == "interrupted" else int(tally.found > 0)


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


def _run(
    request: Request, console: Console, cases: Sequence[Case], lanes: list[Lane], failures: known.KnownFailures,
    store: Store, number: int, tally: Tally,
) -> None:  # fmt: skip
    names = ", ".join(lane.name for lane in lanes)
    with console.status(escape(f"importing {names}")) if console.is_terminal else ExitStack():
        ready, broken = run.start(lanes)
    store.add_lanes(number, lanes)
    for report in broken:
        store.add(number, report)
        tally.add(report)
    _refuse_absent(request, lanes, ready, broken)
    with terminal.progress(console, len(cases)) as advance:
        for report in run.check(cases, ready, failures) if ready else ():
            store.add(number, report)
            tally.add(report)
            advance(tally.found)
            if request.as_json:
                for outcome in report.outcomes:
                    print(json_outcome(outcome))  # noqa: T201 - standard output is what --json is for


def _refuse_absent(request: Request, lanes: list[Lane], ready: list[Lane], broken: list[run.Report]) -> None:
    """Raise BackendError where a backend that was named turns out not to be installed."""
    seen = {lane.name for lane in ready} | {o.backend for report in broken for o in report.outcomes}
    for lane in lanes:
        if lane.name not in seen and lane.name in request.backends:
            raise BackendError(f"{lane.name}: its framework is not installed (see `convsuite list backends`)")


def _summarize(request: Request, console: Console, tally: Tally, number: int, state: str) -> None:
    """Tell what the run came to, or has come to so far."""
    terminal.print_tally(console, tally, _rerun(request))
    if request.as_json:
        print(json_summary(tally, number, state))  # noqa: T201
    console.print()
    console.print(terminal.verdict(tally), style="red" if tally.found else "green", highlight=False, soft_wrap=True)
    console.print(f"run {number} in {request.db}", markup=False, highlight=False, soft_wrap=True)


def _rerun(request: Request) -> terminal.Rerun:
    """Return what a single case needs to come to the same again."""
    options = [word for path in request.lists for word in ("--known-failures", str(path))]
    usual = Settings()
    if request.timeout_s != usual.timeout_s:
        options += ["--timeout", f"{request.timeout_s:g}"]
    if request.threads != usual.threads:
        options += ["--threads", str(request.threads)]
    return terminal.Rerun(cases=tuple(map(str, request.folders)), device=request.device, options=tuple(options))


def _known_folders(folders: Sequence[Path]) -> list[Traversable]:
    if not folders:
        return [files(casefile.BUILTIN) / KNOWN_FAILURES]
    return [known.nearest(folder) for folder in folders]


def _builtin_folder() -> Path | None:
    """Return the folder of the cases that convsuite ships, where it is a folder."""
    folder = files(casefile.BUILTIN)
    return folder if isinstance(folder, Path) else None
