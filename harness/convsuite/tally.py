"""What a run has come to so far: counts, agreement between backends, and the findings. Memory stays bounded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from convsuite.case import Case, Level, Outcome, Pass, Status
from convsuite.run import Report

_KEPT = 500  # findings kept with their text; all are counted, and all are in the database
_KEPT_SUSPECTS = 10
_KEPT_KNOWN = 10


@dataclass(slots=True)
class Pair:
    """How well two backends agree."""

    compared: int = 0
    identical: int = 0
    units: float = 0.0  # the largest difference, in u·B
    worst_case: str = ""

    def add(self, identical: bool, units: float, case_id: str) -> None:
        """Count one comparison."""
        self.compared += 1
        self.identical += identical
        if units > self.units:
            self.units, self.worst_case = units, case_id


@dataclass(frozen=True, slots=True)
class Finding:
    """What one case came to on one backend, where a person should look."""

    case: Case | None
    outcome: Outcome
    passes: tuple[Pass, ...]  # that came to the same


@dataclass(slots=True)
class Tally:
    """A run's sums."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # (operation, backend, status)
    suspects: Counter[tuple[str, str]] = field(default_factory=Counter)  # (operation, backend)
    irreproducible: Counter[str] = field(default_factory=Counter)  # by backend
    unchecked: Counter[str] = field(default_factory=Counter)  # elements of which nothing could be said, by backend
    works_now: Counter[tuple[str, str]] = field(
        default_factory=Counter
    )  # (backend, reason): declared unsupported, and right
    pairs: defaultdict[tuple[str, str], Pair] = field(default_factory=lambda: defaultdict(Pair))
    known: Counter[tuple[str, str]] = field(default_factory=Counter)  # (backend, reason and link)
    lacks: Counter[tuple[str, str]] = field(default_factory=Counter)  # (backend, reason): unsupported
    versions: list[tuple[str, str]] = field(default_factory=list)  # (backend, what computes), of those that take part
    findings: list[Finding] = field(default_factory=list)
    suspected: list[Finding] = field(default_factory=list)  # no findings, but named: the first few
    as_listed: list[Finding] = field(default_factory=list)  # known failures: the first few
    stale: list[str] = field(default_factory=list)  # known-failure entries that match no case
    cases: int = 0

    def add(self, report: Report) -> None:
        """Count a report."""
        self.cases += report.case is not None
        for o in report.outcomes:
            self._count(o)
        for found in _together(report.case, (o for o in report.outcomes if o.finding)):
            if len(self.findings) < _KEPT:
                self.findings.append(found)
        for suspect in _together(report.case, (o for o in report.outcomes if o.verdict and o.verdict.suspect)):
            if len(self.suspected) < _KEPT_SUSPECTS:
                self.suspected.append(suspect)
        if len(self.as_listed) < _KEPT_KNOWN:
            known = (o for o in report.outcomes if o.status is Status.KNOWN_FAILURE)
            self.as_listed += _together(report.case, known)
        for a in report.agreements:
            self.pairs[a.left, a.right].add(a.identical, a.units, a.case_id)

    def _count(self, o: Outcome) -> None:
        self.counts[o.operation, o.backend, o.status.value] += 1
        if o.verdict and o.verdict.suspect:
            self.suspects[o.operation, o.backend] += 1
        if o.verdict and o.verdict.unchecked:
            self.unchecked[o.backend] += o.verdict.unchecked
        if o.reproducible is False:
            self.irreproducible[o.backend] += 1
        if o.status is Status.KNOWN_FAILURE:
            self.known[o.backend, o.known] += 1
        if o.status is Status.UNSUPPORTED:
            self.lacks[o.backend, o.message] += 1
        if o.status is Status.PASSED and o.support.level is Level.UNSUPPORTED:
            self.works_now[o.backend, o.support.reason] += 1

    def total(self, *statuses: Status) -> int:
        """Return the number of outcomes of some statuses, or of all where none is named."""
        wanted = {s.value for s in statuses}
        return sum(n for (_, _, status), n in self.counts.items() if not wanted or status in wanted)

    @property
    def found(self) -> int:
        """Number of outcomes and list entries that a person should look at."""
        return len(self.stale) + self.total(
            Status.MISMATCH, Status.ERROR, Status.CRASH, Status.TIMEOUT, Status.FIXED_UPSTREAM
        )


def _together(case: Case | None, outcomes: Iterable[Outcome]) -> list[Finding]:
    """Put passes of one backend together that came to the same status and message, judged by the same arithmetic."""
    groups: dict[tuple[str, Status, str, str], list[Outcome]] = {}
    for o in outcomes:
        under = o.numerics.narrowing if o.numerics else ""
        groups.setdefault((o.backend, o.status, o.message, under), []).append(o)
    return [Finding(case, same[0], tuple(o.pass_ for o in same)) for same in groups.values()]
