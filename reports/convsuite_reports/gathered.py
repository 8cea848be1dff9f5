"""One walk over a run's outcomes, in the order in which they lie: all that the pages count, in memory that is bounded.

The database may hold a million outcomes. What leaves the walk is sums, the first findings, and, file by file of cases,
a letter for each outcome, which is written away before the next file is read.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from typing import TYPE_CHECKING

from convsuite.case import Status
from convsuite.run import IMPORT
from convsuite_reports.budget import Budget
from convsuite_reports.marks import FOUND, Mark, State, mark_of, state_of

if TYPE_CHECKING:
    import sqlite3

    from convsuite.store import Store

KEPT = 2000  # findings that get a page; all are counted, and all are in the database
_KEPT_CASES = 100  # of a known failure
_KEPT_REASONS = 40  # different ones, of a cell
_OUTCOMES = """SELECT o.case_id, o.pass, o.backend, o.operation, o.dtype, o.status, o.support, o.reason, o.message,
    o.gate, o.error_units, o.guaranteed_share, o.expected_share, o.suspect, o.reproducible, o.known, t.terms
    FROM outcome AS o LEFT JOIN terms AS t USING (run, case_id, pass) WHERE o.run = ?
    ORDER BY o.case_id, o.pass, o.backend"""
BY = ("feature", "dtype", "pass")  # what the matrix' rows may be, beside the operation


@dataclass(slots=True)
class Cell:
    """What an operation and feature come to on one backend."""

    counts: Counter[str] = field(default_factory=Counter)  # by mark
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)  # (mark, reason)

    def add(self, mark: Mark, reason: str) -> None:
        """Count an outcome."""
        self.counts[mark] += 1
        if reason and (len(self.reasons) < _KEPT_REASONS or (mark, reason) in self.reasons):
            self.reasons[mark, reason] += 1

    @property
    def state(self) -> State:
        """What they come to."""
        return state_of(self.counts)

    @property
    def right(self) -> int:
        """Number of right answers."""
        return self.counts[Mark.NATIVE] + self.counts[Mark.COMPOSED] + self.counts[Mark.UNDECLARED]

    @property
    def total(self) -> int:
        """Number of outcomes."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A case and a backend where a person should look."""

    case_id: str
    backend: str
    status: str  # of the first pass
    message: str
    passes: tuple[str, ...]

    @property
    def page(self) -> str:
        """The name of its page: readable, safe in an address and as a file, and no other's."""
        return page_of(self.case_id, self.backend)


@dataclass(slots=True)
class Known:
    """All known failures of one backend with one reason."""

    backend: str
    reason: str
    count: int = 0
    cases: dict[str, None] = field(default_factory=dict)  # the first
    passes: dict[str, None] = field(default_factory=dict)

    def add(self, case_id: str, pass_: str) -> None:
        """Count one more."""
        self.count += 1
        self.passes[pass_] = None
        if len(self.cases) < _KEPT_CASES:
            self.cases[case_id] = None

    @property
    def page(self) -> str:
        """The name of its page: that of its first case on the backend."""
        return page_of(next(iter(self.cases)), self.backend)


@dataclass(slots=True)
class File:
    """The outcomes of one file of cases: a row for each pass of each case, a letter for each backend."""

    operation: str
    name: str
    page: str  # its name
    backends: tuple[str, ...]
    rows: list[tuple[str, str, str, tuple[int, ...]]] = field(default_factory=list)  # case, pass, letters, reasons
    reasons: dict[str, int] = field(default_factory=dict)  # each once: its index
    pages: set[tuple[str, str]] = field(default_factory=set)  # (case, backend) that have one


@dataclass(slots=True)
class Gathered:
    """What a run comes to."""

    backends: tuple[str, ...]
    files: dict[tuple[str, str], str] = field(default_factory=dict)  # operation, file of cases: the name of its page
    cases: int = 0
    matrix: dict[str, dict[tuple[str, str], dict[str, Cell]]] = field(
        default_factory=lambda: {by: defaultdict(lambda: defaultdict(Cell)) for by in BY}
    )
    counts: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # backend → mark
    suspects: Counter[str] = field(default_factory=Counter)  # by backend
    torn: Counter[str] = field(default_factory=Counter)  # not reproducible, by backend
    budgets: defaultdict[tuple[str, str, int], Budget] = field(
        default_factory=lambda: defaultdict(Budget)
    )  # backend, dtype, log2 K or −1
    findings: list[Finding] = field(default_factory=list)
    found: int = 0  # outcomes that are findings
    hidden: int = 0  # findings without a page
    known: dict[tuple[str, str], Known] = field(default_factory=dict)
    stale: tuple[str, ...] = ()  # listed known failures that match no case

    @property
    def all_found(self) -> int:
        """Number of outcomes and list entries that a person should look at."""
        return self.found + len(self.stale)

    @property
    def checks(self) -> int:
        """Number of outcomes."""
        return sum(self.total().values())

    def total(self) -> Counter[str]:
        """Return the outcomes by mark, of all backends."""
        return sum(self.counts.values(), Counter())


def gather(store: Store, run: int, gathered: Gathered) -> Iterator[File]:
    """Walk over a run's outcomes; yield each file of cases, and fill `gathered` on the way."""
    gathered.stale = store.stale(run)
    place = {backend: i for i, backend in enumerate(gathered.backends)}
    rows = store.rows(_OUTCOMES, (run,))
    for (operation, name), of_file in groupby(rows, key=lambda row: _file_of(row["case_id"])):
        page = gathered.files[operation, name] = _page(gathered, operation, name)
        file = File(operation, name, page, gathered.backends)
        for case_id, of_case in groupby(of_file, key=lambda row: row["case_id"]):
            gathered.cases += case_id != IMPORT
            outcomes = list(of_case)
            for row in outcomes:
                _count(gathered, name, row)
            _find(gathered, file, outcomes)
            _add_rows(file, outcomes, place)
        yield file


def backends_of(store: Store, run: int) -> tuple[str, ...]:
    """Return the backends that took part in a run, by name."""
    query = "SELECT name FROM backend WHERE run = ? AND state = 'ready' UNION SELECT backend FROM outcome WHERE run = ?"
    return tuple(sorted(row[0] for row in store.rows(query, (run, run))))


def page_of(case_id: str, backend: str) -> str:
    """Return the name of the page on a case and a backend."""
    digest = blake2b(f"{case_id} {backend}".encode(), digest_size=4).hexdigest()
    return f"findings/{safe(case_id)[:80]}--{safe(backend)[:30]}-{digest}"


def safe(text: str) -> str:
    """Return a text as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-.") or "x"


def _file_of(case_id: str) -> tuple[str, str]:
    """Return operation and file of an id, `operation/file/name`; what is of another form stands for itself."""
    parts = case_id.split("/", 2)
    return (parts[0], parts[1]) if len(parts) > 2 else (case_id, "")


def _page(gathered: Gathered, operation: str, name: str) -> str:
    """Return a name that no other page has, even where only signs differ that a file's name cannot have."""
    page = f"cases/{safe(f'{operation}-{name}')[:100]}"
    taken = set(gathered.files.values())
    return page if page not in taken else f"{page}-{len(taken)}"


def _count(gathered: Gathered, feature: str, row: sqlite3.Row) -> None:
    backend, mark = row["backend"], mark_of(row["status"], row["support"])
    gathered.counts[backend][mark] += 1
    reason = _reason(mark, row)
    for by, of in zip(BY, (feature, row["dtype"], row["pass"]), strict=True):
        gathered.matrix[by][row["operation"], of][backend].add(mark, reason)
    if row["suspect"]:
        gathered.suspects[backend] += 1
    if row["reproducible"] == 0:
        gathered.torn[backend] += 1
    if row["gate"] == "guaranteed" and row["status"] == Status.PASSED and row["expected_share"] is not None:
        size = row["terms"].bit_length() - 1 if row["terms"] else -1
        budget = gathered.budgets[backend, row["dtype"], size]
        budget.add(row["case_id"], row["error_units"] or 0.0, row["guaranteed_share"] or 0.0, row["expected_share"])
    if mark is Mark.KNOWN:
        key = backend, row["known"]
        gathered.known.setdefault(key, Known(*key)).add(row["case_id"], row["pass"])


def _reason(mark: Mark, row: sqlite3.Row) -> str:
    """Return why an outcome is what it is; nothing for what is native and right."""
    if mark in (Mark.COMPOSED, Mark.UNDECLARED):
        return str(row["reason"])
    if mark is Mark.KNOWN:
        return str(row["known"])
    return str(row["message"]) if mark is not Mark.NATIVE else ""


def _find(gathered: Gathered, file: File, outcomes: list[sqlite3.Row]) -> None:
    """Note the findings of one case, one for each backend, and which of the case's backends have a page."""
    found: dict[str, list[sqlite3.Row]] = {}
    for row in outcomes:
        mark = mark_of(row["status"], row["support"])
        if mark in FOUND:
            found.setdefault(row["backend"], []).append(row)
        elif mark is Mark.KNOWN and next(iter(gathered.known[row["backend"], row["known"]].cases)) == row["case_id"]:
            file.pages.add((row["case_id"], row["backend"]))
    for backend, rows in found.items():
        gathered.found += len(rows)
        if len(gathered.findings) >= KEPT:
            gathered.hidden += 1
            continue
        first = rows[0]
        file.pages.add((first["case_id"], backend))
        gathered.findings.append(
            Finding(
                case_id=first["case_id"], backend=backend, status=first["status"], message=first["message"],
                passes=tuple(row["pass"] for row in rows),
            )
        )  # fmt: skip


def _add_rows(file: File, outcomes: list[sqlite3.Row], place: dict[str, int]) -> None:
    """Add a case's rows; a blank stands for a backend that has no outcome, −1 for no reason."""
    for pass_, rows in groupby(outcomes, key=lambda row: row["pass"]):
        letters, reasons = [" "] * len(place), [-1] * len(place)
        for row in rows:
            at, mark = place[row["backend"]], mark_of(row["status"], row["support"])
            letters[at] = mark
            if reason := _reason(mark, row):
                reasons[at] = file.reasons.setdefault(reason, len(file.reasons))
        told = tuple(reasons) if any(r >= 0 for r in reasons) else ()
        file.rows.append((outcomes[0]["case_id"], pass_, "".join(letters), told))
