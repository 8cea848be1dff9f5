"""What was found live in today's releases, as a page: made from the lists of known failures.

    python -m convsuite.findings > docs/findings.md

Entries with the same smallest case and the same link are one defect, whether they speak of other cases, other variants
or another backend: two frameworks on one library, or Keras and what it computes with. It is told where it is seen
first, and named in the other backends' sections.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files

from convsuite import known
from convsuite.casefile import BUILTIN
from convsuite.known import KnownFailure, Listed
from convsuite.sources import KNOWN_FAILURES

_HEAD = """# Findings

What convsuite found in today's releases: {count} defects, each with the smallest case that shows it. This page is made
from the lists of known failures (`python -m convsuite.findings > docs/findings.md`), which every run checks: a defect
that is fixed upstream fails the run as `fixed_upstream`, and its entry goes. *Not reported*: no report was found.

The command of a finding runs its smallest case, and tells it as a known failure; `convsuite show CASE` draws it. All
was seen on Linux on x86-64. Where only the kernels for some processors fail, `where` has the flags of `/proc/cpuinfo`
that these need.

| framework | seen with | defects | not reported | shared with a framework above |
| --- | --- | --- | --- | --- |
"""
_LAST = ("keras",)  # what computes by others comes after them
_BECAME = {
    "mismatch": "a wrong answer",
    "error": "an exception",
    "crash": "the process dies",
    "timeout": "no answer",
}


@dataclass(frozen=True, slots=True)
class Defect:
    """All entries on one defect, of any backend, in the order in which backends are told."""

    entries: tuple[Listed, ...]

    @property
    def primary(self) -> KnownFailure:
        """The first entry that covers the smallest case and says what came of it; else the first."""
        own = (one.entry for one in self.entries if one.entry.covers(one.entry.smallest) and one.entry.gave)
        return next(own, self.entries[0].entry)

    @property
    def backends(self) -> tuple[str, ...]:
        """Whose lists it is in; the first of them tells it."""
        return tuple(dict.fromkeys(one.backend for one in self.entries))

    @property
    def variants(self) -> tuple[str, ...]:
        """Where it is seen; `backend (all)` stands for all variants of one."""
        return tuple(dict.fromkeys(v for one in self.entries for v in one.entry.variants or (f"{one.backend} (all)",)))

    @property
    def reported(self) -> bool:
        """Whether there is a report upstream."""
        return self.primary.link != "not reported"


def page() -> str:
    """Return the page on the lists that convsuite ships."""
    found = defects(known.load([files(BUILTIN) / KNOWN_FAILURES], frozenset()).listed)
    backends = dict.fromkeys(b for defect in found for b in defect.backends)
    ordered = sorted(backends, key=lambda backend: backend in _LAST)
    rows = [_row(backend, found) for backend in ordered]
    sections = [_section(backend, found) for backend in ordered]
    return _HEAD.format(count=len(found)) + "\n".join(rows) + "\n\n" + "\n\n".join(sections) + "\n"


def defects(listed: Iterable[Listed]) -> tuple[Defect, ...]:
    """Return the entries that name a smallest case, those of one defect together."""
    together: dict[tuple[str, str], list[Listed]] = {}
    for one in sorted(listed, key=lambda one: one.backend in _LAST):
        if one.entry.smallest:
            together.setdefault((one.entry.smallest, one.entry.link), []).append(one)
    return tuple(Defect(tuple(entries)) for entries in together.values())


def _own(backend: str, found: Iterable[Defect]) -> list[Defect]:
    return [defect for defect in found if defect.backends[0] == backend]


def _shared(backend: str, found: Iterable[Defect]) -> list[Defect]:
    return [defect for defect in found if backend in defect.backends[1:]]


def _row(backend: str, found: tuple[Defect, ...]) -> str:
    own = _own(backend, found)
    seen_with = next(one.seen_with for defect in found for one in defect.entries if one.backend == backend)
    unreported = sum(not defect.reported for defect in own)
    return f"| {backend} | {seen_with} | {len(own)} | {unreported} | {len(_shared(backend, found))} |"


def _section(backend: str, found: tuple[Defect, ...]) -> str:
    own = "\n".join(line for number, defect in enumerate(_own(backend, found), 1) for line in _told(number, defect))
    also = "\n".join(_pointer(backend, defect, found) for defect in _shared(backend, found))
    parts = [f"## {backend}", own, also and f"From what is told above, it shares:\n\n{also}"]
    return "\n\n".join(filter(None, parts))


def _told(number: int, defect: Defect) -> Iterator[str]:
    entry = defect.primary
    yield f"{number}. **{_line(entry.reason)}**"
    yield f"   - case: `convsuite check '{entry.smallest}' --backend {_run_on(defect)}`"
    yield f"   - gave: {_line(entry.gave)}"
    yield f"   - right: {_line(entry.right)}"
    yield f"   - where: {', '.join(defect.variants)}{_limits(defect)}"
    yield f"   - upstream: {f'<{entry.link}>' if defect.reported else '*not reported*'}"


def _pointer(backend: str, defect: Defect, found: tuple[Defect, ...]) -> str:
    home = defect.backends[0]
    number = _own(home, found).index(defect) + 1
    here = [v for v in defect.variants if v.partition(":")[0].partition(" ")[0] == backend]
    return f"- {home} {number}: {_line(defect.primary.reason)} ({', '.join(here)})"


def _run_on(defect: Defect) -> str:
    """Return a backend variant on which the smallest case shows the defect."""
    one = next(one for one in defect.entries if one.entry is defect.primary)
    return one.entry.variants[0] if one.entry.variants else one.backend


def _limits(defect: Defect) -> str:
    """Return how it fails, in which passes, and on what processors; of the smallest case where cases differ."""
    entry = defect.primary
    became = dict.fromkeys(_BECAME[one.entry.status] for one in defect.entries)
    parts = [
        " or ".join(became),
        f"in {', '.join(entry.passes)}" if entry.passes else "",
        f"on processors with {' and '.join(entry.cpu)}" if entry.cpu else "",
        "" if entry.always else "not each time",
    ]
    return "".join(f"; {part}" for part in parts if part)


def _line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.stdout.write(page())
