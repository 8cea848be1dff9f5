"""What was found live in today's releases, as a page: made from the lists of known failures.

    python -m convsuite.findings > docs/findings.md

Entries with the same smallest case and the same link are one defect, whether they speak of other cases, other variants
or another backend: two frameworks on one library, or Keras and what it computes with. It is told with the backend whose
list covers the smallest case and says what came of it, and named with the others.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files

from convsuite import known
from convsuite.casefile import BUILTIN
from convsuite.known import KnownFailure, Listed
from convsuite.meaning import defects as calls
from convsuite.sources import KNOWN_FAILURES

_HEAD = """# Findings

What convsuite found in today's releases: {count} defects, each with the smallest case that shows it, and
[{calls} more](#found-by-asking-for-meanings) in calls that no case makes. This page is made from the lists of known
failures (`python -m convsuite.findings > docs/findings.md`), which every run checks: a defect that is fixed upstream
fails the run as `fixed_upstream`, and its entry goes. *Not reported*: no report was found.

The command of a finding runs its smallest case, and tells it as a known failure, with what was got and what was due;
`convsuite show CASE` draws it. All was seen on Linux on x86-64. Where only the kernels for some processors fail,
`where` has the flags of `/proc/cpuinfo` that these need; *on GPUs* was seen with torch 2.11.0 and jax 0.11.2 on an
NVIDIA H200. With flags, and where it says *not each time*, the case may pass.

| framework | seen with | defects | of these not reported | others seen here, told elsewhere |
| --- | --- | --- | --- | --- |
"""
_LAST = ("keras",)  # what computes by others comes after them
_BECAME = {
    "mismatch": "not what is due",
    "error": "an exception",
    "crash": "the process dies",
    "timeout": "no answer",
}
_ON = {"": "", "cpu": "", "cuda": " --device cuda"}
_PLACES = {"": "", "cpu": "on CPUs", "cuda": "on GPUs"}


@dataclass(frozen=True, slots=True)
class Defect:
    """All entries on one defect, of any backend."""

    entries: tuple[Listed, ...]

    @property
    def primary(self) -> Listed:
        """The first entry that covers the smallest case and says what came of it; else the first."""
        return next(iter(self._telling()), self.entries[0])

    @property
    def home(self) -> str:
        """The backend whose section tells it."""
        return self.primary.backend

    @property
    def reported(self) -> bool:
        """Whether there is a report upstream."""
        return self.primary.entry.link != "not reported"

    @property
    def gave(self) -> str:
        """What came out, by backend where backends differ."""
        by_backend = {one.backend: _line(one.entry.gave) for one in self._telling()}
        if len(set(by_backend.values())) < 2:
            return "".join({*by_backend.values()})
        return "; ".join(f"{gave} ({backend})" for backend, gave in by_backend.items())

    def variants(self, backend: str = "") -> tuple[str, ...]:
        """Where it is seen, of one backend or of any; `torch (all)` stands for all variants of one."""
        ours = [one for one in self.entries if backend in ("", one.backend)]
        whole = {one.backend for one in ours if not one.entry.variants}
        named = [v for one in ours for v in one.entry.variants if one.backend not in whole]
        return tuple(dict.fromkeys([*(f"{name} (all)" for name in sorted(whole)), *named]))

    def _telling(self) -> list[Listed]:
        return [one for one in self.entries if one.entry.gave and one.entry.covers(one.entry.smallest)]


def page() -> str:
    """Return the page on the lists that convsuite ships."""
    listed = known.load([files(BUILTIN) / KNOWN_FAILURES], frozenset()).listed
    found = defects(listed)
    seen_with = dict(sorted(((one.backend, one.seen_with) for one in listed), key=lambda row: row[0] in _LAST))
    rows = [_row(backend, version, found) for backend, version in seen_with.items()]
    sections = [_section(backend, found) for backend in seen_with]
    head = _HEAD.format(count=len(found), calls=len(calls.recorded()))
    return head + "\n".join(rows) + "\n\n" + "\n\n".join([*sections, calls.told(calls.recorded())]) + "\n"


def defects(listed: Iterable[Listed]) -> tuple[Defect, ...]:
    """Return the entries that name a smallest case, those of one defect together."""
    together: dict[tuple[str, str], list[Listed]] = {}
    for one in sorted(listed, key=lambda one: one.backend in _LAST):
        if one.entry.smallest:
            together.setdefault((one.entry.smallest, one.entry.link), []).append(one)
    return tuple(Defect(tuple(entries)) for entries in together.values())


def _own(backend: str, found: Iterable[Defect]) -> list[Defect]:
    return [defect for defect in found if defect.home == backend]


def _shared(backend: str, found: Iterable[Defect]) -> list[Defect]:
    return [defect for defect in found if defect.home != backend and defect.variants(backend)]


def _row(backend: str, seen_with: str, found: tuple[Defect, ...]) -> str:
    own = _own(backend, found)
    unreported = sum(not defect.reported for defect in own)
    return f"| {backend} | {seen_with} | {len(own)} | {unreported} | {len(_shared(backend, found))} |"


def _section(backend: str, found: tuple[Defect, ...]) -> str:
    own = "\n".join(line for number, defect in enumerate(_own(backend, found), 1) for line in _told(number, defect))
    also = "\n".join(_pointer(backend, defect, found) for defect in _shared(backend, found))
    parts = [f"## {backend}", own, also and f"Also seen here, and told elsewhere on this page:\n\n{also}"]
    return "\n\n".join(filter(None, parts))


def _told(number: int, defect: Defect) -> Iterator[str]:
    entry = defect.primary.entry
    run_on = entry.variants[0] if entry.variants else defect.home
    rows = {
        "case": f"`convsuite check '{entry.smallest}' --backend {run_on}{_ON[entry.device]}`",
        "gave": defect.gave,
        "right": _line(entry.right),
        "where": f"{', '.join(defect.variants())}{_limits(defect)}",
    }
    return calls.numbered(number, _title(entry), rows, entry.link)


def _pointer(backend: str, defect: Defect, found: tuple[Defect, ...]) -> str:
    number = _own(defect.home, found).index(defect) + 1
    return f"- {defect.home} {number}: {_title(defect.primary.entry)} ({', '.join(defect.variants(backend))})"


def _limits(defect: Defect) -> str:
    """Return how it fails, in which passes, and on what processors; of the smallest case where cases differ."""
    entry = defect.primary.entry
    told = [one.entry for one in defect.entries if one.backend == defect.home and one.entry.covers(entry.smallest)]
    passes = dict.fromkeys(pass_ for one in told for pass_ in one.passes) if all(one.passes for one in told) else {}
    device = entry.device if all(one.device == entry.device for one in told) else ""
    became = dict.fromkeys(_BECAME[one.entry.status] for one in defect.entries)
    parts = [
        " or ".join(became),
        f"in {', '.join(passes)}" if passes else "",
        f"on processors with {' and '.join(entry.cpu)}" if entry.cpu else _PLACES[device],
        "" if entry.always else "not each time",
    ]
    return "".join(f"; {part}" for part in parts if part)


def _title(entry: KnownFailure) -> str:
    """Return the reason as a sentence begins, unless it begins with code."""
    reason = _line(entry.reason)
    first = reason.partition(" ")[0]
    return reason[0].upper() + reason[1:] if first.isalpha() else reason


def _line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    sys.stdout.write(page())
