"""The first page: what a run came to, in one sentence and in numbers, and what is otherwise than the time before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from convsuite.changes import Changes
from convsuite_reports import svg
from convsuite_reports.gathered import Finding, Gathered, Known
from convsuite_reports.marks import FOUND, Mark
from convsuite_reports.runinfo import Run
from convsuite_reports.verdict import more, verdict

_FINDINGS, _KNOWN = 25, 8  # told on this page
_BAR, _BAR_HIGH = 160.0, 12.0
_PARTS = (
    ("native", (Mark.NATIVE,)),
    ("composed", (Mark.COMPOSED, Mark.UNDECLARED)),
    ("unsupported", (Mark.UNSUPPORTED,)),
    ("known", (Mark.KNOWN,)),
    ("found", FOUND),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendLine:
    """What one backend came to."""

    name: str
    version: str
    bar: Markup
    checks: int
    native: int
    composed: int
    unsupported: int
    known: int
    found: int
    suspect: int
    torn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All of the page."""

    verdict: str
    more: str
    backends: tuple[BackendLine, ...]
    findings: tuple[Finding, ...]
    more_findings: int
    stale: tuple[str, ...]  # listed known failures that match no case
    known: tuple[Known, ...]
    known_kinds: int
    changes: Changes | None


def overview_of(run: Run, gathered: Gathered, changes: Changes | None) -> Overview:
    """Return the first page of a run."""
    known = sorted(gathered.known.values(), key=lambda k: -k.count)
    versions = {b.name: b.version for b in run.backends}
    return Overview(
        verdict=verdict(gathered),
        more=more(gathered),
        backends=tuple(_lines(gathered, versions)),
        findings=tuple(gathered.findings[:_FINDINGS]),
        more_findings=max(0, len(gathered.findings) + gathered.hidden - _FINDINGS),
        stale=gathered.stale,
        known=tuple(known[:_KNOWN]),
        known_kinds=len(known),
        changes=changes,
    )


def _lines(gathered: Gathered, versions: dict[str, str]) -> Iterator[BackendLine]:
    for name in gathered.backends:
        counts = gathered.counts[name]
        yield BackendLine(
            name=name,
            version=versions.get(name, ""),
            bar=_bar(name, {part: sum(counts[m] for m in marks) for part, marks in _PARTS}),
            checks=sum(counts.values()),
            native=counts[Mark.NATIVE],
            composed=counts[Mark.COMPOSED] + counts[Mark.UNDECLARED],
            unsupported=counts[Mark.UNSUPPORTED],
            known=counts[Mark.KNOWN],
            found=sum(counts[mark] for mark in FOUND),
            suspect=gathered.suspects[name],
            torn=gathered.torn[name],
        )


def _bar(name: str, parts: dict[str, int]) -> Markup:
    """Return the shares as a bar; what there is at all is seen."""
    total = sum(parts.values()) or 1
    x, pieces = 0.0, []
    for part, n in parts.items():
        width = max(2.0, _BAR * n / total) if n else 0.0
        pieces += [svg.tag("rect", x=x, y=0, width=width, height=_BAR_HIGH, class_=f"share-{part}")] if n else []
        x += width
    said = ", ".join(f"{n} {part}" for part, n in parts.items() if n)
    return svg.drawing(_BAR + 8, _BAR_HIGH, f"{name}: {said}", *pieces, class_="chart shares")
