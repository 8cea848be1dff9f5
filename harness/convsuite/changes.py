"""Two runs of `convsuite check` side by side: what began to fail, what ceased to, what else is otherwise.

Both are read in the order of their keys and merged, so that memory does not grow with them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from convsuite import runs
from convsuite.case import Status
from convsuite.store import Store, read_store

FAILING = frozenset(
    {Status.MISMATCH.value, Status.ERROR.value, Status.CRASH.value, Status.TIMEOUT.value, Status.KNOWN_FAILURE.value}
)
KEPT = 200  # changes of a kind that are kept whole; all are counted
_ABOUT = ("platform", "python", "numpy", "convsuite", "cpu", "isa", "threads", "cases_revision")
_OUTCOMES = """SELECT case_id, pass, backend, status, support, message, digest, error_units FROM outcome
    WHERE run = ? ORDER BY case_id, pass, backend"""


class Kind(StrEnum):
    """What became of a check from one run to the other."""

    BEGAN = "began to fail"
    CEASED = "ceased to fail"
    OTHERWISE = "fails otherwise"
    GAINED = "is supported now"
    LOST = "is no longer supported"
    BITS = "has other bits"  # right in both
    ONLY_BEFORE = "only in the first"
    ONLY_AFTER = "only in the second"

    @property
    def plural(self) -> str:
        """What is said of several checks: `2 fail otherwise`."""
        return _PLURAL.get(self, self.value)


_PLURAL = {
    Kind.OTHERWISE: "fail otherwise",
    Kind.GAINED: "are supported now",
    Kind.LOST: "are no longer supported",
    Kind.BITS: "have other bits",
}
COUNTED_ONLY = (Kind.BITS, Kind.ONLY_BEFORE, Kind.ONLY_AFTER)  # there may be as many as checks, and each says little


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One outcome, as far as runs are compared by it."""

    case_id: str
    pass_: str
    backend: str
    status: str
    support: str
    message: str
    digest: str
    error_units: float | None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells checks of a run apart."""
        return self.case_id, self.pass_, self.backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One check that is not the same in both runs; None where a run does not have it."""

    kind: Kind
    before: Found | None
    after: Found | None

    @property
    def either(self) -> Found:
        """The later one that there is."""
        found = self.after or self.before
        assert found is not None
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two runs."""

    name: str
    started: str
    about: dict[str, str]  # what may explain a difference: platform, versions


@dataclass(slots=True)
class Changes:
    """All that differs: counted whole, and of each kind the first few."""

    before: Side
    after: Side
    common: int = 0  # checks in both
    counts: Counter[Kind] = field(default_factory=Counter)
    backends: Counter[tuple[Kind, str]] = field(default_factory=Counter)
    kept: dict[Kind, list[Change]] = field(default_factory=dict)

    def add(self, change: Change) -> None:
        """Count a change."""
        self.counts[change.kind] += 1
        self.backends[change.kind, change.either.backend] += 1
        kept = self.kept.setdefault(change.kind, [])
        if len(kept) < KEPT:
            kept.append(change)

    @property
    def about(self) -> list[tuple[str, str, str]]:
        """What may explain them: (name, before, after) of all that differs."""
        was, now = self.before.about, self.after.about
        names = [*was, *(name for name in now if name not in was)]
        return [(n, was.get(n) or "–", now.get(n) or "–") for n in names if was.get(n) != now.get(n)]


def between(before: str, after: str, db: Path) -> Changes:
    """Compare two runs by name: a number, `last`, or FILE:NUMBER. Raise StoreError where there is no such run."""
    with ExitStack() as stack:
        sides: list[tuple[Store, int, str]] = []
        for text in (before, after):
            path, name = runs.split(text, db)
            store = stack.enter_context(closing(read_store(path)))
            number = runs.check(name, store)
            sides.append((store, number, f"run {number}" if path == db else f"{path}:{number}"))
        return changes(sides[0], sides[1])


def changes(before: tuple[Store, int, str], after: tuple[Store, int, str]) -> Changes:
    """Compare two runs, each a store, a run's number and what it is to be called."""
    found = Changes(_side(*before), _side(*after))
    for one, other in merged(outcomes(*before[:2]), outcomes(*after[:2])):
        found.common += one is not None and other is not None
        if kind := kind_of(one, other):
            found.add(Change(kind=kind, before=one, after=other))
    return found


def outcomes(store: Store, run: int) -> Iterator[Found]:
    """Yield a run's outcomes in the order of their keys."""
    for r in store.rows(_OUTCOMES, (run,)):
        yield Found(
            case_id=r[0], pass_=r[1], backend=r[2], status=r[3], support=r[4], message=r[5], digest=r[6],
            error_units=r[7],
        )  # fmt: skip


def merged(before: Iterable[Found], after: Iterable[Found]) -> Iterator[tuple[Found | None, Found | None]]:
    """Yield what two ordered streams have of each key; None where one has nothing."""
    ours, theirs = iter(before), iter(after)
    one, other = next(ours, None), next(theirs, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one.key < other.key):
            yield one, None
            one = next(ours, None)
        elif one is None or other.key < one.key:
            yield None, other
            other = next(theirs, None)
        else:
            yield one, other
            one, other = next(ours, None), next(theirs, None)


def kind_of(before: Found | None, after: Found | None) -> Kind | None:
    """Return what became of a check; None where nothing did."""
    if before is None:  # a case that is new and fails, a backend that can no longer be imported
        found = after is not None and after.status in FAILING and after.status != Status.KNOWN_FAILURE
        return Kind.BEGAN if found else Kind.ONLY_AFTER
    if after is None:
        return Kind.ONLY_BEFORE
    fails, failed = after.status in FAILING, before.status in FAILING
    if fails != failed:
        return Kind.BEGAN if fails else Kind.CEASED
    if fails:
        return Kind.OTHERWISE if _failure(before) != _failure(after) else None
    if before.status != after.status and Status.UNSUPPORTED in (before.status, after.status):
        return Kind.LOST if after.status == Status.UNSUPPORTED else Kind.GAINED
    return Kind.BITS if before.digest != after.digest else None


def _failure(found: Found) -> tuple[str, str]:
    """Return how it fails. A known failure that is no longer listed, or is now, fails as before."""
    return ("" if found.status in (Status.KNOWN_FAILURE, Status.MISMATCH) else found.status), found.digest


def _side(store: Store, run: int, name: str) -> Side:
    (row,) = store.rows("SELECT * FROM run WHERE id = ?", (run,))
    about = {key: str(row[key]) for key in _ABOUT}
    about |= json.loads(row["variables"] or "{}")
    for backend in store.rows("SELECT name, versions FROM backend WHERE run = ? ORDER BY name", (run,)):
        about[backend["name"]] = ", ".join(f"{k} {v}" for k, v in json.loads(backend["versions"]).items())
    return Side(name=name, started=row["started"], about=about)
