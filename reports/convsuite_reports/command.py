"""`convsuite report`: one run of a database as pages."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from convsuite.changes import Changes, Kind, changes
from convsuite.diff import described
from convsuite.errors import ConvsuiteError
from convsuite.store import read_store
from convsuite_reports.needed import needed

if TYPE_CHECKING:
    from convsuite.store import Store
    from convsuite_reports.gathered import File, Gathered, Known
    from convsuite_reports.runinfo import Run
    from convsuite_reports.site import Folder, SingleFile

    Site = Folder | SingleFile

FOLDER, FILE = Path("convsuite-report"), Path("convsuite-report.html")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for."""

    db: Path
    out: Path | None
    single_file: bool
    run: int | None
    folders: tuple[Path, ...]  # of cases


def run_report(request: Request) -> Path:
    """Write the pages and return the file to open. Raise ConvsuiteError where they cannot be made."""
    needed("jinja2", "convsuite report")
    from convsuite_reports import gathered as walk
    from convsuite_reports import runinfo

    for folder in request.folders:
        if not folder.exists():
            raise ConvsuiteError(f"{folder}: no such file or folder of cases")
    with closing(read_store(request.db)) as store, _told(request):
        run = runinfo.run_of(store, runinfo.chosen(store, request.run))
        site = _site(request, run)
        site.prepare()
        gathered = walk.Gathered(walk.backends_of(store, run.number))
        for file in walk.gather(store, run.number, gathered):
            _add_cases(site, file)
        earlier = runinfo.before(store, run.number)
        latest = _changes(store, earlier, run.number) if earlier is not None else None
        _add_pages(site, store, run, gathered, latest)
        _add_findings(site, store, run, gathered, request.folders)
        _add_performance(site, store, run, request.db)
        return site.close()


@contextmanager
def _told(request: Request) -> Iterator[None]:
    """Say in a sentence where nothing can be written."""
    try:
        yield
    except OSError as error:
        out = request.out or (FILE if request.single_file else FOLDER)
        name = error.filename or out
        raise ConvsuiteError(f"{name}: cannot be written: {error.strerror}; name another place with -o") from None


def _site(request: Request, run: Run) -> Site:
    from convsuite_reports.marks import FOUND, Mark, State
    from convsuite_reports.site import Folder, SingleFile

    shared: dict[str, Any] = {
        "version": version("convsuite"), "kinds": list(Kind), "described": described, "states": list(State),
        "marks": list(Mark), "found": FOUND, "words": {str(mark): mark.words for mark in Mark}, "sign_of": _signs,
    }  # fmt: skip
    if request.single_file:
        file = request.out or FILE
        return SingleFile(file, run, shared | {"dashboard": _dashboard(file.absolute().parent)})
    folder = request.out or FOLDER
    return Folder(folder, run, shared | {"dashboard": _dashboard(folder)})


def _changes(store: Store, before: int, after: int) -> Changes:
    return changes((store, before, f"run {before}"), (store, after, f"run {after}"))


_LEGEND = {
    "native": "native: by the framework's own option",
    "composed": "composed of several of its calls",
    "unsupported": "unsupported",
    "partly": "some cases unsupported",
    "known": "a known failure",
    "wrong": "a finding",
}


def _add_pages(site: Site, store: Store, run: Run, gathered: Gathered, latest: Changes | None) -> None:
    from convsuite_reports.agreeing import agreement_of, short
    from convsuite_reports.history import history_of
    from convsuite_reports.matrix import matrix_of
    from convsuite_reports.overview import overview_of

    agreement = agreement_of(store, run.number, gathered)
    site.add("index", "Overview", "index.html", overview_of(run, gathered, latest))
    site.add("matrix", "Matrix", "matrix.html", matrix_of(gathered), legend=_LEGEND)
    link = site.link("agreement")
    pages = {f"{operation}/{name}": link(page, q="") for (operation, name), page in gathered.files.items()}
    site.add(
        "agreement", "Agreement", "agreement.html", agreement, pairs=_pairs_data(agreement, pages), short=short,
        to_case=lambda case_id: pages.get("/".join(case_id.split("/")[:2]), "#") + quote(case_id),
    )  # fmt: skip
    site.add("findings", "Findings", "findings.html", _FindingsPage.of(gathered))
    site.add("history", "History", "history.html", history_of(store, latest))


def _add_performance(site: Site, store: Store, run: Run, db: Path) -> None:
    from convsuite_reports import calls, runinfo
    from convsuite_reports.performance import performance_of

    number = runinfo.newest_bench(store, run.number)
    page = performance_of(store, number) if number is not None else None
    bench = runinfo.run_of(store, number) if number is not None else None
    site.add(
        "performance", "Performance", "performance.html", page, bench=bench, db=str(db),
        numbered=lambda names: tuple(enumerate(names)), call_signs=_call_signs, call_words=calls.WORDS,
    )  # fmt: skip


def _dashboard(folder: Path) -> str:
    """Return where asv's pages are, seen from the report's folder; "" where none are, here or beside it."""
    for base in (Path.cwd(), folder.absolute().parent):
        pages = base / ".asv/html/index.html"  # as asv.conf.json has it
        if pages.is_file():
            return quote(Path(os.path.relpath(pages, folder)).as_posix())
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FindingsPage:
    findings: tuple[Any, ...]
    hidden: int
    stale: tuple[str, ...]
    known: tuple[Known, ...]

    @staticmethod
    def of(gathered: Gathered) -> _FindingsPage:
        known = sorted(gathered.known.values(), key=lambda k: (k.backend, -k.count))
        return _FindingsPage(
            findings=tuple(gathered.findings), hidden=gathered.hidden, stale=gathered.stale, known=tuple(known)
        )


def _add_findings(site: Site, store: Store, run: Run, gathered: Gathered, folders: tuple[Path, ...]) -> None:
    """Add a page for each finding, and one for each kind of known failure: that of its first case."""
    from convsuite_reports import found

    known = {k.page: k for k in gathered.known.values()}
    wanted = {f.page: (f.case_id, f.backend) for f in gathered.findings}
    wanted |= {page: (next(iter(k.cases)), k.backend) for page, k in known.items()}
    cases = found.Cases.of(folders or found.folders_of(run.command), [case_id for case_id, _ in wanted.values()])
    for name, (case_id, backend) in wanted.items():
        page = found.page_on(store, run.number, name, case_id, backend, cases, known.get(name))
        site.add(name, case_id, "finding.html", page)


@dataclass(frozen=True, slots=True, kw_only=True)
class _CasesPage:
    operation: str
    name: str
    backends: tuple[str, ...]
    rows: Sequence[Any]
    letters: str  # that there are in them
    data: dict[str, Any]


def _add_cases(site: Site, file: File) -> None:
    """Add the page of one file of cases; its rows are data, which the page's script shows as they are asked for."""
    from convsuite_reports.gathered import page_of
    from convsuite_reports.marks import Mark

    link, seen = site.link(file.page), list(dict.fromkeys(pass_ for _, pass_, _, _ in file.rows))
    front = f"{file.operation}/{file.name}/"
    front = front if all(case_id.startswith(front) for case_id, _, _, _ in file.rows) else ""
    rows = [_row(seen, row, len(front)) for row in file.rows]
    data = {
        "front": front, "backends": file.backends, "passes": seen, "rows": rows, "reasons": list(file.reasons),
        "pages": {f"{case_id} {backend}": link(page_of(case_id, backend)) for case_id, backend in sorted(file.pages)},
        "words": {str(mark): mark.words for mark in Mark},
    }  # fmt: skip
    letters = "".join({letter: None for _, _, letters, _ in file.rows for letter in letters})
    page = _CasesPage(
        operation=file.operation, name=file.name, backends=file.backends, rows=rows, letters=letters, data=data
    )
    site.add(file.page, f"{file.operation} {file.name}", "cases.html", page)


def _row(passes: list[str], row: tuple[str, str, str, tuple[int, ...]], skipped: int) -> list[Any]:
    case_id, pass_, letters, reasons = row
    return [case_id[skipped:], passes.index(pass_), letters, *([reasons] if reasons else [])]


def _pairs_data(agreement: Any, pages: dict[str, str]) -> dict[str, Any]:
    """Return the pairs for the page's script; an infinite difference, which JSON has not, is null."""
    names, operations, passes = agreement.backends, agreement.operations, agreement.passes
    rows = [
        [names.index(p.left), names.index(p.right), operations.index(p.operation), passes.index(p.pass_), p.compared,
         p.identical, p.max_units if p.max_units < float("inf") else None, p.worst_case]
        for p in agreement.pairs
    ]  # fmt: skip
    return {"backends": names, "operations": operations, "passes": passes, "rows": rows, "pages": pages}


def _call_signs(kinds: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Yield kinds of call with their sign, for a legend."""
    from convsuite_reports import calls, svg

    for kind in kinds:
        yield kind, svg.tag("svg", calls.sign(kind, 7, 7), width=14, height=14, aria_hidden="true")


def _signs(series: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str, Any]]:
    """Yield series with their sign in a plot, for a legend."""
    from convsuite_reports import svg

    for number, name in series:
        yield number, name, svg.tag("svg", svg.marker(7, 7, number), width=14, height=14, aria_hidden="true")
