"""Where an answer is wrong: the map shows every wrong element and no other, and is bounded."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convsuite import evidence
from convsuite.case import Expected, Numerics, Outcome, Pass, Status, Support
from convsuite.evidence import ELEMENTS, PLANES, SIDE, Evidence, evidence_in, evidence_of
from convsuite.run import Report
from convsuite.store import open_store

OUTCOME = Outcome(
    case_id="conv/a/b", operation="conv", dtype="float32", pass_=Pass.FORWARD, backend="torch", device="cpu",
    status=Status.MISMATCH, support=Support.native(), numerics=Numerics(accumulator="float32"),
)  # fmt: skip


def expected(shape: tuple[int, ...], integral: bool = True) -> Expected:
    value = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    return Expected(value=value, low=None, magnitude=np.full(shape, 100.0), terms=9, integral=integral)


def found(answer: np.ndarray, due: Expected, *others: np.ndarray) -> Evidence:
    named = {"torch": answer, **{f"other{i}": other for i, other in enumerate(others)}}
    return evidence_of(OUTCOME, [answer], due, "float32", named)


def answer_to(due: Expected) -> np.ndarray:
    return due.value.astype(np.float32)


def test_each_sign_stands_where_the_element_is() -> None:
    due = expected((1, 2, 3, 4))
    answer = answer_to(due)
    answer[0, 1, 0, 3] += 200  # as large as B and more
    answer[0, 1, 2, 0] += 0.5  # between a thousandth and a hundredth of B
    answer[0, 1, 1, 1] = np.nan
    (plane,) = found(answer, due).planes
    assert plane.index == (0, 1)
    assert plane.map.split("\n") == ["...9", ".x..", "6..."]


def test_what_is_within_the_bound_is_not_shown_as_wrong() -> None:
    due = expected((1, 1, 2, 2), integral=False)
    answer = answer_to(due)
    answer[0, 0, 0, 0] = np.nextafter(np.float32(1), np.float32(2))
    answer[0, 0, 1, 1] += 50
    (plane,) = found(answer, due).planes
    assert plane.map == "-.\n.8"


@pytest.mark.parametrize("shape", [(5,), (4, 6), (2, 3, 7), (2, 3, 4, 5), (1, 2, 3, 4, 5), (2, 1, 300, 70)])
def test_of_any_shape_the_wrong_squares_are_where_the_wrong_elements_are(shape: tuple[int, ...]) -> None:
    due = expected(shape)
    answer = answer_to(due)
    at = tuple(n - 1 for n in shape)
    answer[at] += 7
    (plane,) = found(answer, due).planes
    lines = plane.map.split("\n")
    assert plane.index == at[:-2]
    assert max(len(lines), len(lines[0])) <= SIDE
    assert sum(sign not in ".-" for line in lines for sign in line) == 1
    assert lines[-1][-1] not in ".-"


def test_planes_and_elements_are_bounded_and_the_worst_come_first() -> None:
    due = expected((1, 40, 3, 3))
    answer = answer_to(due) + 1
    answer[0, 33, 1, 1] += 60
    answer[0, 5, 0, 0] = np.inf
    shown = found(answer, due)
    assert (len(shown.planes), len(shown.elements)) == (PLANES, ELEMENTS)
    assert [e.index for e in shown.elements[:2]] == [(0, 5, 0, 0), (0, 33, 1, 1)]
    assert shown.elements[0].got["torch"] == "inf"


def test_others_answers_stand_beside_it_unless_of_another_shape() -> None:
    due = expected((1, 1, 2, 2))
    answer = answer_to(due)
    answer[0, 0, 0, 1] = 9
    (element,) = found(answer, due, answer_to(due), np.zeros((3, 3), np.float32)).elements
    assert element.expected == "2"
    assert element.got == {"other0": "2", "torch": "9"}


def test_the_second_answer_is_shown_where_the_first_is_right() -> None:
    due = expected((1, 1, 2, 2))
    again = answer_to(due)
    again[0, 0, 1, 0] = -1
    shown = evidence_of(OUTCOME, [answer_to(due), again], due, "float32", {"torch": answer_to(due)})
    assert shown.planes[0].map == "..\n9.".replace("9", shown.planes[0].map[3])
    assert shown.elements[0].got == {"torch": "-1"}


def test_the_database_gives_back_what_it_was_given(tmp_path: Path) -> None:
    due = expected((1, 2, 3, 3))
    kept = found(answer_to(due) * 2, due)
    with closing(open_store(tmp_path / "r.db")) as store:
        for name in ("a", "b"):
            store.add_rows(evidence.ADD, [evidence.row(1, replace(kept, case_id=name))])
        (row,) = store.rows(evidence.OF_CASE, (1, "a", "torch"))
        assert evidence_in(row) == replace(kept, case_id="a")


def test_a_report_without_a_case_has_no_terms(tmp_path: Path) -> None:
    """A bench adds outcomes so."""
    with closing(open_store(tmp_path / "r.db")) as store:
        store.add(1, Report(case=None, outcomes=(OUTCOME,)))
        assert list(store.rows("SELECT * FROM terms")) == []
