"""What the pytest plugin collects, and the session that the items share. Imported with the first case file."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from convsuite import casefile, environment, run
from convsuite.backend import find, registered
from convsuite.case import DTYPES, LEVELS, Case, Origin, Outcome, Pass, Status
from convsuite.checking import choose
from convsuite.errors import CaseFileError, ConvsuiteError
from convsuite.known import KnownFailures, nearest
from convsuite.known import load as load_known
from convsuite.lane import Lane, Settings, State, close_all
from convsuite.operations import OPERATIONS
from convsuite.pytest_plugin import SuspectWarning
from convsuite.selectors import levels_up_to
from convsuite.terminal import Rerun

_PREFIX = "convsuite."  # of a report's properties
# marks that make pytest, or a plugin that many use, act: a tag of such a name marks nothing
_ACTING = ("filterwarnings", "flaky", "parametrize", "skip", "skipif", "timeout", "usefixtures", "xdist_group", "xfail")


class FindingError(Exception):
    """An item failed; the text is all there is to show."""


class CaseFile(pytest.File):
    """A YAML file of cases. One that is refused is a collection error, in the words of the refusal."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the items case by case: what the backends share of a case is then made once."""
        try:
            session = session_of(self.config)
            cases, known = session.cases(self.path), session.known(self.path)
        except ConvsuiteError as error:
            raise self.CollectError(str(error)) from None
        for case in cases:
            for backend in session.backends:
                yield CaseItem.from_parent(self, name=f"{case.id}[{backend}]", case=case, backend=backend, known=known)
        for backend, missing in session.absent.items() if cases else ():
            yield AbsentItem.from_parent(
                self, name=f"not installed[{backend}]", reason=_not_installed(backend, missing)
            )


class AbsentItem(pytest.Item):
    """Stands for a file's cases on a backend that is not installed, so that the gap is in the report."""

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._reason = reason

    def runtest(self) -> None:
        """Skip."""
        pytest.skip(self._reason)


class CaseItem(pytest.Item):
    """One case on one backend, all its passes."""

    def __init__(self, *, case: Case, backend: str, known: KnownFailures, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case, self.backend, self.known = case, backend, known
        for mark in ("convsuite", case.operation, case.dtype, case.level, *(p.value for p in case.passes), *case.tags):
            if mark not in _ACTING:
                self.add_marker(mark)

    def runtest(self) -> None:
        """Run the case, and raise what became of it as pytest has it."""
        outcomes = session_of(self.config).check(self)
        self.user_properties += _properties(self.case, outcomes)
        if findings := [o for o in outcomes if o.finding]:
            raise FindingError("\n".join([*_sentences(findings), *self._reruns(findings[0])]))
        if listed := [o.known for o in outcomes if o.status is Status.KNOWN_FAILURE]:
            raise pytest.xfail.Exception(_joined(listed))
        if all(o.status is Status.UNSUPPORTED for o in outcomes):
            pytest.skip(_joined(o.message for o in outcomes))
        for sentence in _sentences([o for o in outcomes if o.verdict and o.verdict.suspect]):
            self.warn(SuspectWarning(sentence))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the sentences alone: our traceback says nothing of a backend."""
        if isinstance(excinfo.value, FindingError | SuspectWarning):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where the case is written."""
        return self.path, self.case.origin.line - 1, self.name

    def _reruns(self, outcome: Outcome) -> list[str]:
        """Return the two commands that run this item again."""
        device = self.config.getoption("--convsuite-device")
        words = ["pytest", f"{_from_here(self.path)}::{self.name}", "--convsuite-backend", self.backend]
        words += ["--convsuite-level", self.case.level] if self.case.level not in ("smoke", "default") else []
        words += ["--convsuite-device", device] if device != "cpu" else []
        check = Rerun(cases=_cases([self.path]), device=device).line(outcome)
        return [f"rerun: {shlex.join(words)}", f"   or: {check}"]


class Session:
    """What all items of one pytest process share: the backends, their lanes, the lists of known failures."""

    def __init__(self, config: pytest.Config) -> None:
        """Choose the backends; raise BackendError where one that was named on the command line cannot be had."""
        self.backends, self.absent = _chosen(config)
        self._config = config
        self._marks: set[str] = set()
        self._known: dict[Path, KnownFailures] = {}
        self._origins: dict[str, Origin] = {}  # of each id, where it was read first
        self._lanes: dict[str, Lane] = {}
        self._broken: dict[str, tuple[Outcome, ...]] = {}  # what came of importing it
        self._one_by_one = run.OneByOne()
        self._workdir: tempfile.TemporaryDirectory[str] | None = None
        for what, names in {"operation": OPERATIONS, "dtype": DTYPES, "level": LEVELS, "pass": [*Pass]}.items():
            self._register(what, names)

    def cases(self, path: Path) -> list[Case]:
        """Return a file's cases up to the level asked for; raise CaseFileError where the file is refused."""
        level = self._config.getoption("--convsuite-level") or self._config.getini("convsuite_level")
        levels = levels_up_to(level)
        cases = [case for case in casefile.load([_from_here(path)], level).cases if case.level in levels]
        run.contradictions(cases)
        self._note(cases)
        self._register("tag", [tag for case in cases for tag in case.tags])
        return cases

    def _note(self, cases: Sequence[Case]) -> None:
        """Raise CaseFileError where an id is another file's already: reports and known failures go by it."""
        for case in cases:
            here, first = case.origin, self._origins.setdefault(case.id, case.origin)
            if first.file != here.file:
                twice = f"{case.id} is there twice; the first is at {first.file}:{first.line}"
                raise CaseFileError(f"{here.file}:{here.line}: {twice}")

    def known(self, path: Path) -> KnownFailures:
        """Return the known failures for a file's cases."""
        folder = nearest(path)
        if folder not in self._known:
            self._known[folder] = load_known([folder], environment.cpu_flags())
        return self._known[folder]

    def check(self, item: CaseItem) -> tuple[Outcome, ...]:
        """Run an item's case on its backend; skip where that turns out not to be installed."""
        if item.backend not in self._lanes:
            wanted = [other.backend for other in item.session.items if isinstance(other, CaseItem)]
            self._open([name for name in dict.fromkeys([item.backend, *wanted]) if name not in self._lanes])
        if item.backend in self._broken:
            return self._broken[item.backend]
        if self._lanes[item.backend].state is State.CLOSED:
            pytest.skip(_not_installed(item.backend))
        return self._one_by_one.check(item.case, self._lanes[item.backend], item.known).outcomes

    def _open(self, names: Sequence[str]) -> None:
        """Import backends, all at once."""
        option = self._config.getoption
        self._workdir = self._workdir or tempfile.TemporaryDirectory(prefix="convsuite-")
        settings = Settings(
            timeout_s=option("--convsuite-timeout"),
            threads=option("--convsuite-threads"),
            workdir=Path(self._workdir.name),
        )
        new = {name: Lane(name, option("--convsuite-device"), settings) for name in names}
        self._lanes |= new
        _, broken = run.start(list(new.values()))
        self._broken |= {report.outcomes[0].backend: report.outcomes for report in broken}

    def _register(self, what: str, names: Iterable[str]) -> None:
        """Make names known as marks; `--strict-markers` asks for that."""
        for name in names:
            if name not in self._marks:
                self._marks.add(name)
                self._config.addinivalue_line("markers", f"{name}: convsuite cases of this {what}")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Let a skip point at the case instead of at us: cases of one sweep with one reason become one line."""
        report = yield
        if isinstance(item, CaseItem) and isinstance(report.longrepr, tuple):
            report.longrepr = (str(item.path), item.case.origin.line, report.longrepr[2])
        return report

    def pytest_sessionfinish(self) -> None:
        """End the backends' processes."""
        close_all(self._lanes.values())
        if self._workdir:
            self._workdir.cleanup()


_SESSION = pytest.StashKey[Session]()


def session_of(config: pytest.Config) -> Session:
    """Return the session, made with the first call; raise BackendError as `Session` does."""
    if _SESSION not in config.stash:
        config.stash[_SESSION] = session = Session(config)
        config.pluginmanager.register(session, "convsuite-session")
    return config.stash[_SESSION]


def summary(reports: Sequence[pytest.TestReport], config: pytest.Config) -> Iterator[str]:
    """Yield the lines that tell what became of the checks; reports may have come from other processes."""
    counts: Counter[tuple[str, str]] = Counter()
    for report in reports:
        properties = dict(report.user_properties)
        backend = str(properties[f"{_PREFIX}backend"])
        counts.update((backend, str(value)) for name, value in properties.items() if name.endswith(".status"))
        counts[backend, "suspect"] += sum(name.endswith(".suspect") for name in properties)
    yield from _table(counts)
    if absent := _left_out(config):
        yield f"not installed: {', '.join(absent)}"
    cases = _cases([config.rootpath / report.location[0] for report in reports])
    words = [word for path in cases for word in ("--cases", path)]
    words += [word for backend in sorted({backend for backend, _ in counts}) for word in ("--backend", backend)]
    yield f"how far the backends agree: {shlex.join(['convsuite', 'check', *words])}"


def _chosen(config: pytest.Config) -> tuple[list[str], dict[str, str]]:
    """Return the backends to run on, and those of the ini file that are not installed, with what to install."""
    named: list[str] = config.getoption("--convsuite-backend")
    listed: list[str] = [] if named else config.getini("convsuite_backends")
    absent = {name: missing for name in listed if (missing := find(name).missing())}
    present = [name for name in named or listed if name not in absent]
    if absent and not present:
        return [], absent
    return [entry.name for entry in choose(present, config.getoption("--convsuite-all-variants"))], absent


def _left_out(config: pytest.Config) -> list[str]:
    """Return the backends that would have been run had they been installed; those named were reported one by one."""
    if config.getoption("--convsuite-backend") or config.getini("convsuite_backends"):
        return []
    return [entry.name for entry in registered().values() if entry.default and entry.missing()]


def _properties(case: Case, outcomes: Sequence[Outcome]) -> list[tuple[str, object]]:
    """Return what JUnit XML shall hold of an item: plain values, for they cross between processes."""
    first = outcomes[0]
    found: dict[str, object] = {"case": case.id, "backend": first.backend, "device": first.device}
    for o in outcomes:
        name = "import" if o.case_id == run.IMPORT else o.pass_.value
        found |= {f"{name}.{key}": value for key, value in _columns(o).items() if value not in (None, "", False)}
    return [(f"{_PREFIX}{name}", value) for name, value in found.items()]


def _columns(o: Outcome) -> dict[str, object]:
    columns: dict[str, object] = {
        "status": o.status.value,
        "support": o.support.level.value,
        "reason": o.support.reason,
    }
    columns |= {"message": o.message, "known": o.known, "digest": o.digest}
    columns |= {"reproducible": str(o.reproducible).lower() if o.reproducible is not None else ""}
    if (v := o.verdict) is not None:
        columns |= {"gate": v.gate, "compared": str(v.compared), "wrong": str(v.wrong), "unchecked": str(v.unchecked)}
        columns |= {"error_units": f"{v.error_units:.6g}", "guaranteed_share": f"{v.guaranteed_share:.6g}"}
        columns |= {"expected_share": f"{v.expected_share:.6g}", "suspect": v.suspect}
    if (n := o.numerics) is not None:
        columns |= {"accumulator": n.accumulator, "intermediate": n.intermediate, "tf32": str(n.tf32).lower()}
        columns |= {"intermediate_roundings": n.intermediate_roundings, "numerics_note": n.told}
    return columns


def _sentences(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a line for each thing that befell a case, with the passes that it befell."""
    passes: dict[tuple[str, str, str], list[str]] = {}
    for o in outcomes:
        where = f"{o.case_id} on {o.backend}" if o.case_id != run.IMPORT else o.backend
        passes.setdefault((o.status.value, where, o.message), []).append(o.pass_.value)
    return [f"{status}: {where} [{', '.join(names)}]: {message}" for (status, where, message), names in passes.items()]


def _table(counts: Counter[tuple[str, str]]) -> Iterator[str]:
    """Yield a row for each backend and a column for each status that occurred."""
    backends = sorted({backend for backend, _ in counts})
    columns = [s for s in (*(s.value for s in Status), "suspect") if any(counts[b, s] for b in backends)]
    rows = [["backend", *columns]] + [[b, *(str(counts[b, s] or "·") for s in columns)] for b in backends]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, *cells in rows:
        yield "  ".join([name.ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells, widths[1:], strict=True))])


def _cases(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return what `--cases` must name so that `convsuite check` reads these files; nothing for the shipped ones."""
    common = Path(os.path.commonpath([os.path.normpath(path) for path in paths]))
    shipped = files(casefile.BUILTIN)
    if isinstance(shipped, Path) and common.is_relative_to(shipped):
        return ()
    return (str(_from_here(common)),)


def _from_here(path: Path) -> Path:
    """Return a path as one would type it: relative where it lies below the current folder."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _not_installed(backend: str, missing: str = "") -> str:
    return f"{backend} is not installed" + (f": pip install {missing}" if missing else "")


def _joined(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))
