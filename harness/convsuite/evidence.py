"""Where an answer is wrong, and what others answered there: what a report needs and an outcome does not hold.

Kept of wrong answers alone, and bounded whatever their size: a map of a few planes, coarse where they are large, and
the worst elements. Beside it K, the number of terms of each pass, by which errors are compared across cases.

A map is text, a line for each row of the plane, a sign for each element, or for the worst of a block of them:

    .   no error               1-9  wrong: 9 by B or more, B the size of what is summed; each less is a tenth of it
    -   within the bound       x    NaN or infinite where it should not be, or the other way round
    ?   nothing can be said
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from convsuite import judge, operations
from convsuite.case import Case, Expected, Numerics, Outcome

if TYPE_CHECKING:
    import sqlite3

    from numpy.typing import NDArray

PLANES = 12  # that have a map
SIDE = 48  # signs along either side of a map
ELEMENTS = 8  # told one by one
SIGNS = ".-?123456789x"  # from best to worst
_WRONG = 3  # the first of them that is

SCHEMA = """
CREATE TABLE terms (
    run INTEGER NOT NULL REFERENCES run, case_id TEXT NOT NULL, pass TEXT NOT NULL, terms INTEGER NOT NULL,
    PRIMARY KEY (run, case_id, pass)
) STRICT, WITHOUT ROWID;
CREATE TABLE evidence (
    run INTEGER NOT NULL REFERENCES run, case_id TEXT NOT NULL, pass TEXT NOT NULL, backend TEXT NOT NULL,
    shape TEXT NOT NULL, planes TEXT NOT NULL, elements TEXT NOT NULL, PRIMARY KEY (run, case_id, pass, backend)
) STRICT, WITHOUT ROWID
"""
ADD = "INSERT INTO evidence VALUES (?, ?, ?, ?, ?, ?, ?)"
ADD_TERMS = "INSERT OR IGNORE INTO terms VALUES (?, ?, ?, ?)"
OF_CASE = "SELECT * FROM evidence WHERE run = ? AND case_id = ? AND backend = ? ORDER BY pass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """The map of the last two axes at one index of those before them; of a single axis it is one row."""

    index: tuple[int, ...]
    block: tuple[int, int]  # elements that one sign stands for, (rows, columns)
    map: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One wrong element, as text to 9 digits: `nan` and `inf` are told as well."""

    index: tuple[int, ...]  # in (N, C, *spatial) or weight order, from 0
    expected: str
    got: Mapping[str, str]  # what each backend answered there, the wrong one among them


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Where one answer is wrong."""

    case_id: str
    pass_: str
    backend: str
    shape: tuple[int, ...]
    planes: tuple[Plane, ...]  # the first that have a wrong element
    elements: tuple[Element, ...]  # the worst first


def evidence_of(
    outcome: Outcome,
    answers: Sequence[NDArray[Any]],
    expected: Expected,
    dtype: str,
    others: Mapping[str, NDArray[Any]],
) -> Evidence:
    """Return where an outcome's answer is wrong: the first of its answers that is.

    `others` are all backends' answers to the same pass; those of another shape have nothing to say.
    """
    assert outcome.numerics is not None
    for answer in answers:
        levels, worst = _seen(answer, expected, dtype, outcome.numerics)
        if worst:
            break
    said = {name: array for name, array in others.items() if array.shape == answer.shape} | {outcome.backend: answer}
    return Evidence(
        case_id=outcome.case_id,
        pass_=outcome.pass_.value,
        backend=outcome.backend,
        shape=answer.shape,
        planes=tuple(_planes(levels)),
        elements=tuple(_element(index, expected, said) for *_, index in worst),
    )


def row(run: int, e: Evidence) -> tuple[Any, ...]:
    """Return the row of what is known of one wrong answer."""
    shape = ",".join(map(str, e.shape))
    return (run, e.case_id, e.pass_, e.backend, shape, _json(e.planes), _json(e.elements))


def evidence_in(found: sqlite3.Row) -> Evidence:
    """Return what a row holds."""
    return Evidence(
        case_id=found["case_id"],
        pass_=found["pass"],
        backend=found["backend"],
        shape=tuple(int(n) for n in found["shape"].split(",") if n),
        planes=msgspec.json.decode(found["planes"], type=tuple[Plane, ...]),
        elements=msgspec.json.decode(found["elements"], type=tuple[Element, ...]),
    )


def term_rows(run: int, case: Case | None) -> Iterator[tuple[Any, ...]]:
    """Yield K of each pass; of a case that is to be refused nothing is summed."""
    if case is not None and case.expect.error is None:
        operation = operations.of(case)
        yield from ((run, case.id, pass_.value, operation.terms(case, pass_)) for pass_ in case.passes)


_Wrong = tuple[float, float, tuple[int, ...]]  # share of the bound and error, both negative, and index


def _seen(
    answer: NDArray[Any], expected: Expected, dtype: str, numerics: Numerics
) -> tuple[NDArray[np.uint8], list[_Wrong]]:
    """Return of each element which of SIGNS stands for it, and the worst; part by part, as the judge compares."""
    levels, worst = np.zeros(answer.shape, np.uint8), list[_Wrong]()
    for part in judge.parts(answer.shape):
        due = expected.part(part)
        compared = judge.compare(answer[part], due, dtype, numerics)
        levels[part] = _levels(compared, due)
        worst = sorted([*worst, *_worst(compared, part)])[:ELEMENTS]
    return levels, worst


def _levels(c: judge.Compared, expected: Expected) -> NDArray[np.uint8]:
    """Return of each element which of SIGNS stands for it."""
    with np.errstate(all="ignore"):
        decades = 9 + np.floor(np.log10(c.error / expected.magnitude))
        wrong = np.where(np.isfinite(decades), np.clip(decades, 1, 9), 10) + _WRONG - 1
    right = np.where(c.unchecked, 2, np.where(c.error > 0, 1, 0))
    return np.where(c.wrong, wrong, right).astype(np.uint8)


def _planes(levels: NDArray[np.uint8]) -> Iterator[Plane]:
    whole = levels.reshape((1, *levels.shape)) if levels.ndim == 1 else levels
    wrong = (whole >= _WRONG).any(axis=(-2, -1))
    for at in np.argwhere(wrong)[:PLANES]:
        index = tuple(int(i) for i in at)
        plane = whole[index]
        block = (-(-plane.shape[0] // SIDE), -(-plane.shape[1] // SIDE))
        signs = np.array(list(SIGNS))[_coarse(plane, block)]
        yield Plane(index=index, block=block, map="\n".join("".join(line) for line in signs))


def _coarse(plane: NDArray[np.uint8], block: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the worst of each block."""
    rows, columns = (-(-size // step) for size, step in zip(plane.shape, block, strict=True))
    padded = np.zeros((rows * block[0], columns * block[1]), dtype=np.uint8)
    padded[: plane.shape[0], : plane.shape[1]] = plane
    return np.asarray(padded.reshape(rows, block[0], columns, block[1]).max(axis=(1, 3)))


def _worst(c: judge.Compared, part: tuple[slice, ...]) -> Iterator[_Wrong]:
    """Yield a part's worst: the judge's first, by the share of the bound, and by the error where nothing is allowed."""
    wrong = np.flatnonzero(c.wrong)
    order = np.lexsort((-c.error.ravel()[wrong], -c.guaranteed_share.ravel()[wrong]))
    for flat in wrong[order][:ELEMENTS]:
        at = tuple(int(i) for i in np.unravel_index(int(flat), c.wrong.shape))
        index = tuple(i + box.start for i, box in zip(at, part, strict=True))
        yield -float(c.guaranteed_share[at]), -float(c.error[at]), index


def _element(index: tuple[int, ...], expected: Expected, said: Mapping[str, NDArray[Any]]) -> Element:
    got = {name: _text(array[index]) for name, array in sorted(said.items())}
    return Element(index=index, expected=_text(expected.value[index]), got=got)


def _text(value: Any) -> str:
    return f"{float(value):.9g}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
