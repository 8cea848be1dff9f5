"""What asv times: the cases of a suite, a benchmark for each operation, in all its passes on every backend.

    CONVSUITE_ASV_SUITE=bench_smoke       case files, by their names without .yaml
    CONVSUITE_ASV_BACKENDS=jax,torch      backends, or variants of them
    CONVSUITE_ASV_DEVICE=cpu,cuda         devices
    CONVSUITE_ASV_PASSES=forward          passes, of those that an operation has

asv discovers the benchmarks in one environment, runs them in all, and knows a combination of parameters by its number
only: were the parameters others in another environment, times would stand at the wrong names. So they are the cases
beside this file, whatever is installed, and backends that may be missing somewhere and are skipped there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from convsuite import casefile
from convsuite.backend import registered
from convsuite.bench.api import Timed, asv_samples
from convsuite.case import Case, Pass, identity
from convsuite.nearest import did_you_mean

CASES = Path(__file__).parents[1] / "cases" / "convsuite_cases"
DEFAULTS = {
    "SUITE": "bench_smoke",
    "BACKENDS": "numpy_im2col,torch,tensorflow,jax,keras",
    "DEVICE": "cpu",
    "PASSES": "",
}

MAX_VALUES = 30  # of a parameter: each is a button in the dashboard
MAX_COMBINATIONS = 300  # of a benchmark
TIMEOUT_S = 60  # a combination, which is asv's own default; here all of a benchmark's together may take the sum

Results = Mapping[tuple[str, ...], Timed | str]  # (case, backend, pass, device) → samples, or why there are none
Benchmark = Callable[[bool], Results]


def benchmarks(operation: str, *passes: str) -> dict[str, Benchmark]:
    """Return benchmarks by the names that asv finds them by: `samples_passes` times an operation's passes.

    One benchmark for all of them: each is a run of the engine, which imports every framework anew. One that would have
    more values or combinations than the dashboard can show goes on in `samples_passes_2`; without cases there is none.
    """
    found = {}
    for i, timing in enumerate(_timings(operation, _those_asked_for(passes)), 1):
        name = "samples_passes" + (f"_{i}" if i > 1 else "")
        found[name] = _benchmark(timing, name)
    return found


def _those_asked_for(passes: Sequence[str]) -> tuple[str, ...]:
    asked = _asked("PASSES")
    if wrong := [p for p in asked if p not in set(Pass)]:
        raise ValueError(f"CONVSUITE_ASV_PASSES: {', '.join(wrong)} is none of {', '.join(Pass)}")
    return tuple(p for p in passes if p in asked or not asked)


@dataclass(frozen=True)
class Timing:
    """What one benchmark times."""

    cases: tuple[Case, ...]
    passes: tuple[str, ...]
    backends: tuple[str, ...]
    devices: tuple[str, ...]

    @property
    def params(self) -> list[list[str]]:
        """The values of each parameter: case, backend, pass and device."""
        return [list(_names(self.cases)), list(self.backends), list(self.passes), list(self.devices)]

    @property
    def version(self) -> str:
        """A digest of the cases: one that changed starts a new series, a new title or source does not."""
        return hashlib.sha256("\n".join(map(identity, self.cases)).encode()).hexdigest()[:16]

    def measure(self, quick: bool) -> Results:
        """Time everything, each device in one go."""
        missing = {name: reason for name in self.backends if (reason := _missing(name))}
        there = [name for name in self.backends if name not in missing]
        changed = _changed(self.cases)
        ids = [case.id for case in self.cases if case.id not in changed]
        found: dict[tuple[str, ...], Timed | str] = {}
        for device in self.devices:
            times = asv_samples(ids, there, self.passes, device=device, quick=quick) if ids and there else {}
            for (name, case), backend, pass_ in product(_names(self.cases).items(), self.backends, self.passes):
                reason = missing.get(backend) or changed.get(case.id) or _no_pass(case, pass_)
                result = reason or times.get((case.id, pass_, backend))
                if result is not None:  # the engine's own omission is a failure, not a skip
                    found[name, backend, pass_, device] = result
        return found


def _timings(operation: str, passes: Sequence[str]) -> Iterator[Timing]:
    """Yield what is to be timed in portions that the dashboard can show."""
    cases = [case for case in _cases(operation) if set(passes) & set(case.passes)]
    asked = tuple(p for p in passes if any(p in case.passes for case in cases))
    backends, devices = _asked("BACKENDS"), _asked("DEVICE")
    each = len(asked) * len(backends) * len(devices) or 1
    most = max(1, min(MAX_VALUES, MAX_COMBINATIONS // each))
    for start in range(0, len(cases), most):
        yield Timing(tuple(cases[start : start + most]), asked, backends, devices)


def _benchmark(timing: Timing, name: str) -> Benchmark:
    """Return a function of the kind that asv_bench_convsuite adds to asv; all else that asv asks is an attribute."""

    def samples(quick: bool) -> Results:
        return timing.measure(quick)

    samples.__name__ = name
    vars(samples).update(
        params=timing.params,
        param_names=["case", "backend", "pass", "device"],
        version=timing.version,
        timeout=TIMEOUT_S * len(list(product(*timing.params))),
        pretty_source="\n".join(case.id for case in timing.cases),  # what the dashboard shows as the code
    )
    return samples


def _asked(what: str) -> tuple[str, ...]:
    """Return what a variable asks for, or its default."""
    text = os.environ.get(f"CONVSUITE_ASV_{what}") or DEFAULTS[what]
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _cases(operation: str) -> tuple[Case, ...]:
    """Return the suite's cases of an operation; a name that no operation has a file of is an error."""
    paths = [path for stem in _asked("SUITE") for path in _paths(stem) if path.parent.name == operation]
    return casefile.load(paths).cases if paths else ()


@cache
def _paths(stem: str) -> tuple[Path, ...]:
    paths = tuple(sorted(CASES.glob(f"*/{stem}.yaml")))
    if not paths:
        raise ValueError(f"CONVSUITE_ASV_SUITE: no operation in {CASES} has a case file {stem}.yaml")
    return paths


def _names(cases: Sequence[Case]) -> dict[str, Case]:
    """Return cases by the shortest name that tells them apart: without the file where all are of one."""
    files = {case.id.rpartition("/")[0] for case in cases}
    return {case.id.rpartition("/")[2] if len(files) == 1 else case.id: case for case in cases}


def _changed(cases: Sequence[Case]) -> dict[str, str]:
    """Return why cases cannot be timed by their ids: the convsuite of this environment, of another commit, differs."""
    installed = casefile.builtin(globs=tuple(case.id for case in cases)).cases
    same = {identity(case) for case in installed}
    return {
        case.id: f"{case.id} is another in the convsuite that is installed"
        for case in cases
        if identity(case) not in same
    }


def _missing(backend: str) -> str:
    """Return why a backend is not there, or "". One that is there but broken is the engine's to tell."""
    if backend not in registered():
        near = did_you_mean(backend, list(registered()), "`convsuite list backends` tells which there are")
        return f"no distribution that is installed registers a backend {backend}: {near}"
    missing = registered()[backend].missing()
    return f"{backend} is not installed: pip install {missing}" if missing else ""


def _no_pass(case: Case, pass_: str) -> str:
    return "" if pass_ in case.passes else f"{case.id} has no {pass_}"
