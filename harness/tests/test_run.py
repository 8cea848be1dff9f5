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


FEW = """
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def backward(self, case):
        whole = super().backward(case)
        return lambda operands, grad_output: whole(operands, grad_output)[:1]
"""

NARROW = """
import numpy as np
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def to_native(self, array, operand, case):
        return super().to_native(array, operand, case).astype(np.float32)
"""

# rounds every partial sum to bfloat16, it says, and returns nothing but zeros
HOLLOW = """
from convsuite import Numerics
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def conv(self, case, x, weight, bias=None):
        return 0 * super().conv(case, x, weight, bias)

    def numerics(self, case, pass_):
        return Numerics(accumulator="float32", intermediate="bfloat16", note="it says")
"""

# sums in float16, as it says, so that a sum may overflow before it is divided
OVERFLOWS = """
import numpy as np
from convsuite import Numerics
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def avg_pool(self, case, x):
        y = super().avg_pool(case, x).copy()
        y[y == 60000] = np.inf
        return y

    def numerics(self, case, pass_):
        return Numerics(accumulator="float16")
"""

LIES = """
from convsuite import Numerics
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def numerics(self, case, pass_):
        return Numerics(accumulator="float32", intermediate="bfloat16", intermediate_roundings="many")
"""


SPEAKS_TOO_SOON = """
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def {method}(self, {arguments}):
        raise ValueError("strides of 0 are not thought of")
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
    assert dilated.message.startswith(
        "dense and unstrided only; tried: NotImplementedError: no dilation yet (planted_shy"
    )
    assert dilated.message.endswith(".py:13, in conv)")


def test_too_few_gradients_leave_the_forward_pass(cases: tuple[Case, ...], tmp_path: Path, planted: Plant) -> None:
    planted({"few": FEW})
    found = by_case(reports(cases[:1], Settings(workdir=tmp_path), "few"))
    assert found["plain", Pass.FORWARD].status is Status.PASSED
    gradient = found["plain", Pass.GRAD_WEIGHT]
    assert (gradient.status, gradient.message) == (Status.ERROR, "TypeError: returned 1 gradients for 2 operands")


def test_rounding_on_the_way_in_is_no_writing(cases: tuple[Case, ...], tmp_path: Path, planted: Plant) -> None:
    planted({"narrow": NARROW})
    found = by_case(reports(cases[:1], Settings(workdir=tmp_path), "narrow"))
    outcome = found["plain", Pass.FORWARD]
    assert (outcome.status, outcome.message) == (Status.MISMATCH, "dtype float32, float64 was due")


@pytest.mark.parametrize("kernel", [12, 20])  # K = 144 and 400: a bound beyond the sum itself, and none at all
def test_zeros_never_pass_behind_a_wide_declaration(tmp_path: Path, planted: Plant, kernel: int) -> None:
    planted({"hollow": HOLLOW})
    (tmp_path / "wide.yaml").write_text(
        f"operation: conv\ncases:\n  - {{name: wide, dtype: bfloat16, fill: normal, input: 20, kernel: {kernel}}}\n"
    )
    (outcome,) = by_case(
        reports(casefile.load([tmp_path / "wide.yaml"]).cases, Settings(workdir=tmp_path), "hollow")
    ).values()
    assert outcome.status is Status.UNSUPPORTED
    assert outcome.message == "no bound that says anything: partial sums rounded to bfloat16 (it says)"


TF32 = HOLLOW.replace('intermediate="bfloat16", note="it says"', "tf32=True")
HUGE = "{values: [[[1.7014118346046923e+38, 1.7014118346046923e+38, -1.7014118346046923e+38]]]}"  # 2^127


@pytest.mark.parametrize(
    ("keys", "due"),
    [
        ("fill: cancelling, channels: {in: 64, out: 2}, input: [3, 3], kernel: 3, rank: 2", Status.UNSUPPORTED),
        (
            f"rank: 1, input: {HUGE}, kernel: {{values: [[[1, 1, 1]]]}}",
            Status.MISMATCH,
        ),  # without TF32 it may overflow, too
    ],
)
def test_what_tf32_hides_is_told_and_nothing_else_is_put_down_to_it(
    tmp_path: Path, planted: Plant, keys: str, due: Status
) -> None:
    planted({"tf32": TF32})
    (tmp_path / "wide.yaml").write_text(f"operation: conv\ncases:\n  - {{name: wide, {keys}}}\n")
    found = by_case(reports(casefile.load([tmp_path / "wide.yaml"]).cases, Settings(workdir=tmp_path), "tf32"))
    (outcome,) = found.values()
    assert outcome.status is due
    assert ("TF32" in outcome.message) == (due is Status.UNSUPPORTED)


def test_nonsense_in_a_declaration_is_that_backends_error(
    cases: tuple[Case, ...], tmp_path: Path, planted: Plant
) -> None:
    planted({"lies": LIES})
    found = by_case(reports(cases[1:2], Settings(workdir=tmp_path), "lies", "numpy_im2col"))
    outcome = found["strided", Pass.FORWARD]
    assert outcome.backend == "numpy_im2col"
    assert outcome.status is Status.PASSED


@pytest.mark.parametrize(
    ("method", "arguments"), [("support", "case"), ("to_native", "array, operand, case")], ids=["support", "to_native"]
)
def test_what_breaks_before_the_call_is_no_refusal(tmp_path: Path, planted: Plant, method: str, arguments: str) -> None:
    planted({"soon": SPEAKS_TOO_SOON.format(method=method, arguments=arguments)})
    (tmp_path / "no.yaml").write_text(
        "operation: conv\ncases:\n  - {name: no, input: 5, kernel: 3, stride: 0, expect: {error: stride}}\n"
    )
    invalid = casefile.load([tmp_path / "no.yaml"]).cases
    found = {
        o.backend: o for r in reports(invalid, Settings(workdir=tmp_path), "soon", "numpy_im2col") for o in r.outcomes
    }
    assert found["numpy_im2col"].status is Status.PASSED
    assert found["soon"].status is Status.ERROR
    assert found["soon"].message.startswith(
        "before the call: ValueError: strides of 0 are not thought of (planted_soon"
    )


def test_agreement_is_of_each_pair_and_pass_in_units(cases: tuple[Case, ...], tmp_path: Path, planted: Plant) -> None:
    planted({"nudged": NUDGED})
    found = reports(cases[:1], Settings(workdir=tmp_path), "numpy_im2col", "nudged", "naive")
    pairs = {(a.left, a.right, a.pass_): a for a in agreements(found)}
    assert len(pairs) == 6
    nudged = pairs["numpy_im2col", "nudged", Pass.FORWARD]
    assert not nudged.identical
    assert 0 < nudged.units < 2  # a unit in the last place is at most 2u of a value that is at most B
    assert pairs["numpy_im2col", "nudged", Pass.GRAD_WEIGHT].identical


def test_agreement_is_of_what_both_backends_are_held_to(tmp_path: Path, planted: Plant) -> None:
    planted({"overflows": OVERFLOWS})
    (tmp_path / "sums.yaml").write_text(
        "operation: avg_pool\ndefaults: {rank: 1, kernel: 2, dtype: float16}\n"
        "cases:\n  - {name: beyond, input: {values: [60000, 60000, 1, 3]}}\n"
    )
    found = reports(casefile.load([tmp_path / "sums.yaml"]).cases, Settings(workdir=tmp_path), "overflows", "naive")
    assert [o.status for o in found[0].outcomes] == [Status.PASSED] * 2
    (pair,) = agreements(found)
    assert (pair.left, pair.right, pair.identical, pair.units) == ("overflows", "naive", False, 0)


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


ODD_ROW = """
from convsuite_backends.numpy_im2col import NumpyIm2col

class Planted(NumpyIm2col):
    def conv(self, case, x, weight, bias=None):
        y = super().conv(case, x, weight, bias).copy()
        y[:, 1, 2] = 0
        return y
"""


def test_of_a_wrong_answer_it_is_kept_where_it_is_wrong(
    cases: tuple[Case, ...], tmp_path: Path, planted: Plant
) -> None:
    planted({"odd": ODD_ROW})
    report = reports(cases[:1], Settings(workdir=tmp_path), "numpy_im2col", "odd")[0]
    (kept,) = report.evidence
    assert (kept.case_id, kept.backend, kept.pass_) == (cases[0].id, "odd", "forward")
    (plane,) = kept.planes
    lines = plane.map.split("\n")
    assert plane.index == (0, 1)
    assert [any(sign in "123456789" for sign in line) for line in lines] == [False, False, True, False]
    assert all(e.got["odd"] == "0" and e.got["numpy_im2col"] == e.expected for e in kept.elements)
