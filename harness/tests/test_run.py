"""The run itself: probing what is declared unsupported, agreement, contradictions, the order and size of its window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from convsuite import casefile, run
from convsuite.case import Agreement, Case, Outcome, Pass, Status
from convsuite.errors import CaseFileError
from convsuite.known import KnownFailures
from convsuite.lane import Lane, Settings, close_all

Plant = Callable[[Mapping[str, str]], Path]  # the fixture `planted`

CASES = """
operation: conv
defaults: {input: [6, 5], kernel: [3, 2], channels: {in: 2, out: 3}, dtype: float64, fill: normal}
cases:
  - {name: plain, passes: [forward, grad_weight]}
  - {name: strided, stride: 2}
  - {name: dilated, dilation: 2}
"""

SHY = """
from convsuite import Support
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def support(self, case):
        if case.stride != (1, 1) or case.dilation != (1, 1):
            return Support.unsupported("dense and unstrided only")
        return Support.native()

    def conv(self, case, x, weight, bias=None):
        if case.dilation != (1, 1):
            raise NotImplementedError("no dilation yet")
        return super().conv(case, x, weight, bias)
"""

NUDGED = """
import numpy as np
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def conv(self, case, x, weight, bias=None):
        y = super().conv(case, x, weight, bias).copy()
        y.flat[0] = np.nextafter(y.flat[0], np.inf)
        return y
"""


@pytest.fixture
def cases(tmp_path: Path) -> tuple[Case, ...]:
    """The cases above."""
    (tmp_path / "some.yaml").write_text(CASES)
    return casefile.load([tmp_path / "some.yaml"]).cases


def reports(cases: tuple[Case, ...], settings: Settings, *backends: str) -> list[run.Report]:
    """Run cases on backends."""
    lanes = [Lane(name, "cpu", settings) for name in backends]
    try:
        ready, broken = run.start(lanes)
        return [*broken, *run.check(cases, ready, KnownFailures())]
    finally:
        close_all(lanes)


def by_case(found: list[run.Report]) -> dict[tuple[str, Pass], Outcome]:
    return {(o.case_id.rpartition("/")[2], o.pass_): o for report in found for o in report.outcomes}


def test_what_is_declared_unsupported_is_not_tried(cases: tuple[Case, ...], tmp_path: Path, planted: Plant) -> None:
    planted({"shy": SHY})
    found = by_case(reports(cases, Settings(workdir=tmp_path), "shy"))
    assert found["plain", Pass.FORWARD].status is Status.PASSED
    for name in ("strided", "dilated"):
        outcome = found[name, Pass.FORWARD]
        assert (outcome.status, outcome.message) == (Status.UNSUPPORTED, "dense and unstrided only")


def test_probing_tells_what_works_by_now(cases: tuple[Case, ...], tmp_path: Path, planted: Plant) -> None:
    planted({"shy": SHY})
    found = by_case(reports(cases, Settings(workdir=tmp_path, probe=True), "shy"))
    strided, dilated = found["strided", Pass.FORWARD], found["dilated", Pass.FORWARD]
    assert (strided.status, strided.support.level) == (Status.PASSED, "unsupported")
    assert dilated.status is Status.UNSUPPORTED
    assert dilated.message == "dense and unstrided only; tried: NotImplementedError: no dilation yet"


def test_agreement_is_of_each_pair_and_pass_in_units(cases: tuple[Case, ...], tmp_path: Path, planted: Plant) -> None:
    planted({"nudged": NUDGED})
    found = reports(cases[:1], Settings(workdir=tmp_path), "numpy_im2col", "nudged", "naive")
    pairs = {(a.left, a.right, a.pass_): a for a in agreements(found)}
    assert len(pairs) == 6
    nudged = pairs["numpy_im2col", "nudged", Pass.FORWARD]
    assert not nudged.identical
    assert 0 < nudged.units < 2  # a unit in the last place is at most 2u of a value that is at most B
    assert pairs["numpy_im2col", "nudged", Pass.GRAD_WEIGHT].identical


def agreements(found: list[run.Report]) -> Iterator[Agreement]:
    for report in found:
        yield from report.agreements


def test_reports_come_in_the_order_of_the_cases(cases: tuple[Case, ...], tmp_path: Path) -> None:
    many = cases * 30
    found = reports(many, Settings(workdir=tmp_path), "numpy_im2col", "naive")
    assert [report.case for report in found] == list(many)
    assert all(len(report.outcomes) == 2 * len(report.case.passes) for report in found if report.case)


def test_values_that_contradict_the_reference_stop_all(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "operation: conv\ncases:\n  - name: off\n    input: {values: [[1, 2]]}\n    kernel: {values: [[3]]}\n"
        "    expect: {values: [[3, 7]]}\n"
    )
    with pytest.raises(CaseFileError, match=r"bad\.yaml:3: conv/bad/off: expect\.values say 7 at .*, .* it is 6"):
        run.contradictions(casefile.load([file]).cases)
    file.write_text(file.read_text().replace("7", "6"))
    run.contradictions(casefile.load([file]).cases)
