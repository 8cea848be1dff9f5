"""Databases for the tests of reports: made by the store that `convsuite check` uses, of outcomes made up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convsuite import casefile
from convsuite.bench import rows
from convsuite.bench.machine import Peaks
from convsuite.bench.records import Cell, Timing
from convsuite.case import Agreement, Case, Level, Numerics, Outcome, Pass, Status, Support, Verdict
from convsuite.environment import Environment
from convsuite.evidence import evidence_of
from convsuite.operands import fill
from convsuite.operations import of
from convsuite.run import Report
from convsuite.store import open_store

HERE = Environment(
    platform="Linux-6", python="3.12.1", numpy="2.4.0", convsuite="0.1", cpu="A CPU", isa=("avx2",), cores=2, threads=1,
    variables=(("OMP_NUM_THREADS", "1"),), cases_revision="0123456789ab",
)  # fmt: skip
RIGHT = Verdict(
    gate="guaranteed", right=True, message="", compared=9, error_units=1.5, guaranteed_share=0.1, expected_share=0.2
)
WRONG = Verdict(gate="exact", right=False, message="1 of 9 wrong", compared=9, wrong=1, worst_index=(0, 0, 1, 1))
BACKEND = "INSERT INTO backend VALUES (?, ?, 'cpu', 'ready', ?, '{}', 0.5)"


def outcome(case_id: str, backend: str, status: Status = Status.PASSED, **more: Any) -> Outcome:
    """Return an outcome of a case; one that failed has no verdict unless it is given."""
    level = Level.UNSUPPORTED if status is Status.UNSUPPORTED else Level.NATIVE
    given: dict[str, Any] = {
        "operation": case_id.split("/")[0], "dtype": "float32", "pass_": Pass.FORWARD, "device": "cpu",
        "support": Support(level, "no such option" if level is Level.UNSUPPORTED else ""),
        "verdict": RIGHT if status is Status.PASSED else None, "digest": "00ff",
    }  # fmt: skip
    return Outcome(case_id=case_id, backend=backend, status=status, **given | more)


def wrong(case: Case, backend: str, at: tuple[int, ...], **more: Any) -> Report:
    """Return a report of one wrong answer to a case: one element is off by 3."""
    arrays = fill(case)
    expected = of(case).reference(case, arrays, Pass.FORWARD)
    answer = expected.value.astype(np.float32)
    answer[at] += 3
    numerics = Numerics(accumulator="float32")
    one = outcome(case.id, backend, Status.MISMATCH, verdict=WRONG, numerics=numerics, message="1 of 9 wrong", **more)
    others = {backend: answer, "torch": expected.value.astype(np.float32)}
    found = evidence_of(one, [answer], expected, "float32", others)
    return Report(case=case, outcomes=(one,), evidence=(found,))


@dataclass
class Maker:
    """A database, run by run; `outcome` and `wrong` make what goes into it."""

    path: Path
    backends: dict[str, str] = field(default_factory=lambda: {"jax": "0.10.2", "torch": "2.13.0"})
    cpu: str = HERE.cpu

    outcome = staticmethod(outcome)
    wrong = staticmethod(wrong)

    def check(
        self,
        *reports: Report | Outcome,
        agreements: Sequence[Agreement] = (),
        command: str = "convsuite check",
        stale: Sequence[str] = (),
    ) -> int:
        """Add a run with these outcomes, and return its number."""
        with closing(open_store(self.path)) as store:
            run = store.begin(replace(HERE, cpu=self.cpu), command)
            store.add_rows(BACKEND, [(run, name, f'{{"{name}":"{v}"}}') for name, v in self.backends.items()])
            for each in reports:
                store.add(run, each if isinstance(each, Report) else Report(case=None, outcomes=(each,)))
            store.add(run, Report(case=None, outcomes=(), agreements=tuple(agreements)))
            store.add_stale(run, stale)
            store.finish(run, "finished")
        return run

    def bench(
        self, medians_s: dict[str, Sequence[float]], case: Case, modes: Mapping[str, float] = {"hot": 1.0}
    ) -> int:
        """Add a bench of one case: for each backend its processes' medians, times a factor for each mode."""
        run = self.check(*(outcome(case.id, backend) for backend in medians_s), command="convsuite bench")
        timings = [
            Timing(
                cell=Cell(case_id=case.id, pass_=Pass.FORWARD, backend=backend, device="cpu", threads=1, mode=mode),
                process=process, first_s=median * 50, second_s=median * 2, seconds=(median * factor,) * 30, number=1,
                warmups=10, settled=True, memory_bytes=1 << 20, others=0.0,
            )
            for backend, medians in medians_s.items()
            for mode, factor in modes.items()
            for process, median in enumerate(medians)
        ]  # fmt: skip
        with closing(open_store(self.path)) as store:
            problem = rows.problem_of(case, of(case).work(case))
            store.add_rows(rows.ADD_PROBLEM, [rows.problem_row(run, problem)])
            store.add_rows(rows.ADD_TIMING, [rows.timing_row(run, t) for t in timings])
            peaks = Peaks(threads=1, dtype="float32", flops=1e11, bytes=1e10)
            store.add_rows(rows.ADD_PEAK, [rows.peak_row(run, peaks)])
        return run


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path / "results.db")


@pytest.fixture(scope="session")
def shipped() -> Callable[[str], Case]:
    """A function that returns a case that convsuite ships by its id."""

    @cache
    def find(case_id: str) -> Case:
        return next(case for case in casefile.builtin(globs=(case_id,)).cases if case.id == case_id)

    return find
