"""What the pages count: nothing is lost on the walk, and a cell is as bad as the worst in it."""

from __future__ import annotations

import math
from contextlib import closing
from itertools import groupby

import pytest

from convsuite.case import Level, Pass, Status, Support
from convsuite.store import read_store
from convsuite_reports.budget import Budget, merged
from convsuite_reports.gathered import Gathered, backends_of, gather, page_of, safe
from convsuite_reports.marks import Mark, State, mark_of, state_of
from convsuite_reports.matrix import matrix_of


def walked(make, run: int = 1):
    with closing(read_store(make.path)) as store:
        found = Gathered(backends_of(store, run))
        return found, list(gather(store, run, found))


def test_every_status_has_a_mark():
    marks = [mark_of(status.value, level.value) for status in Status for level in Level]
    assert set(marks) == set(Mark)
    assert all(mark.words for mark in marks)


@pytest.mark.parametrize(
    ("letters", "state"),
    [
        ("NN", State.NATIVE), ("NC", State.COMPOSED), ("NU", State.PARTLY), ("UU", State.UNSUPPORTED),
        ("NUK", State.KNOWN), ("NKM", State.WRONG), ("F", State.WRONG), ("X", State.WRONG), ("D", State.COMPOSED),
    ],
)  # fmt: skip
def test_a_cell_is_as_bad_as_the_worst_in_it(letters, state):
    assert state_of(letters) is state


def test_every_outcome_is_counted_once_in_each_way(make):
    statuses = [Status.PASSED, Status.UNSUPPORTED, Status.MISMATCH, Status.KNOWN_FAILURE]
    make.check(
        *(
            make.outcome(f"{operation}/{file}/x", backend, status, pass_=pass_)
            for operation in ("conv", "max_pool")
            for file, status in zip(("a", "b", "a-b", "c"), statuses, strict=True)
            for backend in ("jax", "torch")
            for pass_ in (Pass.FORWARD, Pass.GRAD_INPUT)
        )
    )
    found, files = walked(make)
    assert (found.checks, found.cases) == (32, 8)
    for table in found.matrix.values():
        assert sum(cell.total for row in table.values() for cell in row.values()) == 32
    assert sum(len(letters.strip()) for file in files for _, _, letters, _ in file.rows) == 32
    assert len({file.page for file in files}) == 8
    assert (found.found, len(found.findings)) == (8, 4)


def test_rows_of_a_file_have_a_letter_for_each_backend_and_its_reason(make):
    composed = Support(Level.COMPOSED, "pad first")
    make.check(
        make.outcome("conv/a/x", "torch", support=composed),
        make.outcome("conv/a/y", "jax", Status.UNSUPPORTED, message="no such option"),
    )
    _, (file,) = walked(make)
    assert [(case, letters) for case, _, letters, _ in file.rows] == [("conv/a/x", " C"), ("conv/a/y", "U ")]
    reasons = list(file.reasons)
    assert [[reasons[i] if i >= 0 else "" for i in told] for _, _, _, told in file.rows] == [
        ["", "pad first"], ["no such option", ""],
    ]  # fmt: skip


def test_ids_that_share_a_beginning_do_not_tear_a_file_apart(make):
    """The database orders by bytes: `a-b/…` comes between `a/…` and `a0/…`."""
    make.check(*(make.outcome(f"conv/{file}/x", "torch") for file in ("a", "a-b", "a0", "a/b")))
    _, files = walked(make)
    names = [(file.operation, file.name) for file in files]
    assert len(names) == len(set(names)) == len(list(groupby(names)))


def test_known_failures_of_one_reason_are_one(make):
    known = {"known": "the odd row is lost (https://example.org/1)"}
    make.check(*(make.outcome(f"conv/a/{i}", "torch", Status.KNOWN_FAILURE, **known) for i in range(3)))
    found, _ = walked(make)
    (one,) = found.known.values()
    assert (one.count, list(one.cases), one.page) == (
        3,
        ["conv/a/0", "conv/a/1", "conv/a/2"],
        page_of("conv/a/0", "torch"),
    )


def test_a_pages_name_is_safe_and_tells_cases_apart():
    names = {page_of(case, "torch") for case in ("conv/a/../../etc", "conv/a/<script>", "conv/a/script", "x" * 300)}
    assert len(names) == 4
    for name in names:
        folder, _, file = name.partition("/")
        assert folder == "findings"
        assert "/" not in file
        assert len(file) < 150
        assert not file.startswith(".")
    assert safe("..") == "x"


def test_the_matrix_says_how_many_are_right(make):
    make.check(
        *(make.outcome(f"conv/a/{i}", "torch") for i in range(3)),
        make.outcome("conv/a/9", "torch", Status.UNSUPPORTED, message="no such option"),
        make.outcome("conv/a/9", "jax", Status.CRASH, message="died"),
    )
    matrix = matrix_of(walked(make)[0])
    (row,) = matrix.tables[0].rows
    jax, torch = row.squares
    assert (torch.state, torch.count) == (State.PARTLY, "3/4")
    assert (jax.state, jax.count) == (State.WRONG, "0/1")
    counts, reasons = matrix.tips[torch.tip]
    assert counts == [["U", 1], ["N", 3]]
    assert [matrix.reasons[i] for _, i, _ in reasons] == ["no such option"]


def test_quantiles_are_right_to_a_bin():
    budget = Budget()
    for share in [0.0] * 50 + [0.1] * 40 + [0.5] * 9 + [2.0]:
        budget.add("conv/a/x", 8 * share, share / 10, share)
    assert budget.quantile(0.5) == pytest.approx(0.1, rel=0.34)
    assert budget.quantile(0.95) == pytest.approx(0.5, rel=0.34)
    assert budget.quantile(1) == 2.0


def test_budgets_add_up_and_hold_what_is_not_finite():
    one, other = Budget(), Budget()
    one.add("conv/a/x", 1.0, 0.1, 0.5)
    other.add("conv/a/y", math.inf, math.inf, math.inf)
    whole = merged([one, other])
    assert (whole.count, whole.max_expected, whole.worst_case) == (2, math.inf, "conv/a/y")
    assert sum(whole.bins) == 2


def test_the_budget_of_a_run_is_by_backend_dtype_and_k(make, shipped):
    case = shipped("conv/basic/normal_5x5")
    from convsuite.run import Report

    make.check(Report(case=case, outcomes=(make.outcome(case.id, "torch"),)), make.outcome("conv/a/x", "jax"))
    found, _ = walked(make)
    assert set(found.budgets) == {("torch", "float32", 3), ("jax", "float32", -1)}  # K = 9; K not known
