"""Known failures: what is expected to fail, on which versions, with the citation. Strict in both directions.

One YAML file per backend in the suite's folder `known_failures/`. A listed failure that no longer happens is a finding
(`fixed_upstream`), and so is an entry that matches no case of the suite, or whose case the backend now declares
unsupported: a list that may rot tells nothing. A name that no installed distribution registers is refused for the same
reason: an entry about a backend that does not exist would never be asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from convsuite.backend import Registered, registered
from convsuite.case import Case, Level, Outcome, Pass, Status
from convsuite.entry import PassName
from convsuite.errors import KnownFailureError
from convsuite.nearest import did_you_mean
from convsuite.sources import KNOWN_FAILURES

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_FAILED = (Status.MISMATCH, Status.ERROR, Status.CRASH, Status.TIMEOUT)


class KnownFailure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry: what fails, how, since when, and where that is written."""

    cases: Annotated[tuple[str, ...], Meta(min_length=1)]  # id globs
    status: Literal["mismatch", "error", "crash", "timeout"]
    reason: Annotated[str, Meta(min_length=10)]
    link: Annotated[str, Meta(pattern=r"^(https://.+|not reported)$")]
    versions: str = ""  # of the backend's framework, e.g. ">=2.6,<2.14"; empty: all
    variants: tuple[str, ...] = ()  # e.g. ["torch", "torch:compile"]; empty: all of the file's backend
    passes: tuple[PassName, ...] = ()  # empty: all
    device: Literal["", "cpu", "cuda"] = ""  # where it fails; empty: on all, or with `cpu` on that
    cpu: tuple[str, ...] = ()  # only on a CPU that has all of these flags, e.g. ["amx_bf16"]
    always: bool = True  # false: what it gives depends on what lies in memory, so passing proves nothing
    # for readers, see `findings`: the smallest case by its id, what it gave there, and what is right
    smallest: str = ""
    gave: str = ""
    right: str = ""

    def covers(self, case_id: str) -> bool:
        """Return whether one of the globs matches."""
        return any(fnmatchcase(case_id, glob) for glob in self.cases)

    def happens_on(self, device: str, cpu_flags: frozenset[str]) -> bool:
        """Return whether the entry speaks of a device, e.g. `cuda:1`, on a machine whose CPU has these flags."""
        where = self.device or ("cpu" if self.cpu else "")
        return where in ("", device.partition(":")[0]) and cpu_flags.issuperset(self.cpu)


class _File(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    backend: str
    seen_with: str = ""  # framework and version
    failures: tuple[KnownFailure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An entry, with the backend whose file it is in."""

    backend: str
    seen_with: str
    place: str
    path: Traversable  # the list, or the folder of lists, that was asked for
    entry: KnownFailure

    def concerns(self, variant: str) -> bool:
        """Return whether the entry speaks of a backend variant."""
        return variant in self.entry.variants if self.entry.variants else variant.partition(":")[0] == self.backend


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFailures:
    """All entries of a suite, and the CPU that they are asked about."""

    listed: tuple[Listed, ...] = ()
    cpu_flags: frozenset[str] = frozenset()

    def judge(self, outcome: Outcome, version: str) -> Outcome:
        """Return the outcome as the list makes it: known, fixed, or as it was."""
        if outcome.status not in (*_FAILED, Status.PASSED, Status.UNSUPPORTED):
            return outcome
        for known in self.listed:
            if known.entry.happens_on(outcome.device, self.cpu_flags) and _applies(known, outcome, version):
                if outcome.status == known.entry.status:
                    return replace(
                        outcome, status=Status.KNOWN_FAILURE, known=f"{known.entry.reason} ({known.entry.link})"
                    )
                if outcome.status in (Status.PASSED, Status.UNSUPPORTED) and known.entry.always:
                    return _outlived(known, outcome)
        return outcome

    def unmatched(self, cases: Iterable[Case], whole: Collection[Traversable]) -> tuple[str, ...]:
        """Return a sentence for every glob that matches no case, on this CPU or another.

        Asked are the lists of the paths `whole`: those all of whose suite `cases` is. A list that lies above one file
        of its suite is about other files, too.
        """
        passes = {case.id: case.passes for case in cases}
        return tuple(
            f"{known.place}: {glob!r} matches no case{_with_pass(known.entry)}"
            for known in self.listed
            if known.path in whole
            for glob in known.entry.cases
            if not any(fnmatchcase(id_, glob) and _has_pass(known.entry, p) for id_, p in passes.items())
        )


def load(paths: Sequence[Traversable], cpu_flags: frozenset[str]) -> KnownFailures:
    """Read lists, and every list in a folder.

    A path that is not there holds no list: few suites have any.
    """
    names = registered()
    listed = [
        Listed(backend=parsed.backend, seen_with=parsed.seen_with, place=place, path=path, entry=entry)
        for path in dict.fromkeys(paths)
        for file, place in _lists(path)
        for parsed in [_read(file, place, names)]
        for entry in parsed.failures
    ]
    return KnownFailures(listed=tuple(listed), cpu_flags=cpu_flags)


def nearest(cases: Path) -> Path:
    """Return the folder of lists that holds for a case file or folder: the nearest at it or above it.

    Where there is none, the path where the first would be: it holds no list.
    """
    start = cases.absolute() if cases.is_dir() else cases.absolute().parent
    above = [folder / KNOWN_FAILURES for folder in (start, *start.parents)]
    return next((folder for folder in above if folder.is_dir()), above[0])


def _lists(path: Traversable) -> list[tuple[Traversable, str]]:
    """Return a path's lists, each with the name that it goes by."""
    if path.is_file():
        return [(path, str(path))]
    inside = sorted(path.iterdir(), key=lambda f: f.name) if path.is_dir() else []
    return [(file, f"{path.name}/{file.name}") for file in inside if file.name.endswith((".yaml", ".yml"))]


def _read(file: Traversable, place: str, names: Mapping[str, Registered]) -> _File:
    import yaml
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        parsed = msgspec.convert(yaml.safe_load(file.read_bytes()), _File, strict=True)
        _check_backend(parsed.backend, names)
        for entry in parsed.failures:
            SpecifierSet(entry.versions)
            _check_variants(parsed.backend, entry, names)
            if entry.cpu and entry.device == "cuda":
                raise ValueError(f"cpu: {', '.join(entry.cpu)} says nothing of device: cuda; leave one of them out")
    except InvalidSpecifier as error:
        raise KnownFailureError(f"{place}: versions: {error}; write e.g. '>=2.6,<2.14'") from None
    except RecursionError:
        raise KnownFailureError(f"{place}: nested too deeply") from None
    except (yaml.YAMLError, ValueError, OSError) as error:  # a ValidationError is a ValueError
        raise KnownFailureError(f"{place}: {' '.join(str(error).split())}") from None
    return parsed


def _check_backend(backend: str, names: Mapping[str, Registered]) -> None:
    families = {entry.family for entry in names.values()}
    if backend not in families:
        raise ValueError(f"no backend {backend!r}: {_hint(backend, families)} Is its distribution installed?")


def _check_variants(backend: str, entry: KnownFailure, names: Mapping[str, Registered]) -> None:
    for variant in entry.variants:
        if variant.partition(":")[0] != backend:
            raise ValueError(f"{variant!r} is no variant of {backend!r}, which this list is about")
        if variant not in names:
            siblings = [name for name, registration in names.items() if registration.family == backend]
            raise ValueError(f"no variant {variant!r} of {backend}: {_hint(variant, siblings)}")


def _hint(name: str, known: Collection[str]) -> str:
    return did_you_mean(name, known, f"known are {', '.join(sorted(known))}.")


def _outlived(known: Listed, outcome: Outcome) -> Outcome:
    """Return the finding that a listed failure no longer happens: it passed, or is not even tried any more."""
    if outcome.status is Status.PASSED:
        now = "it passed"
    elif outcome.support.level is Level.UNSUPPORTED:
        now = f"it is declared unsupported now ({outcome.support.reason}); remove the entry or the declaration"
    else:
        now = f"nothing can be said of it now ({outcome.message}); remove the entry or the declaration"
    said = f"listed in {known.place} as {known.entry.status}, but {now}"
    text = f"{said}: {known.entry.reason} ({known.entry.link})"
    return replace(outcome, status=Status.FIXED_UPSTREAM, message=text, known=known.entry.link)


def _has_pass(entry: KnownFailure, passes: tuple[Pass, ...]) -> bool:
    return not entry.passes or any(p.value in entry.passes for p in passes)


def _with_pass(entry: KnownFailure) -> str:
    return f" with {' or '.join(entry.passes)}" if entry.passes else ""


def _applies(known: Listed, outcome: Outcome, version: str) -> bool:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    if not known.concerns(outcome.backend) or not known.entry.covers(outcome.case_id):
        return False
    if known.entry.passes and outcome.pass_.value not in known.entry.passes:
        return False
    try:
        return SpecifierSet(known.entry.versions, prereleases=True).contains(version or "0")
    except InvalidVersion:
        return not known.entry.versions
