"""Arrays → verdict. Pure: knows no backend, no file, no clock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from math import inf, isfinite, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from convsuite.case import Expected, Numerics, Verdict
from convsuite.dtypes import round_to
from convsuite.formats import FORMATS
from convsuite.tolerance import Allowance, allowance, measure

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Real = NDArray[np.float64]


_PART = 1 << 20  # elements that are compared at once


def judge(answer: Any, answer_dtype: str, expected: Expected, dtype: str, numerics: Numerics) -> Verdict:
    """Judge one answer against the reference; `dtype` is what the answer should have.

    Nothing passes vacuously: a NaN is wrong by construction, and an answer of which no element could be checked is
    not right.
    """
    if not isinstance(answer, np.ndarray):
        return _refused(f"returned {_described(answer)}, an array of shape {_list(expected.value.shape)} was due")
    if answer.shape != expected.value.shape:
        return _refused(f"shape {_list(answer.shape)}, {_list(expected.value.shape)} was due")
    if answer_dtype != dtype:
        return _refused(f"dtype {answer_dtype}, {dtype} was due")
    if answer.size == 0:
        return Verdict(gate="shape", right=True, message="no elements: the shape and the dtype are right")
    return _verdict(reduce(_both, (_summed(part, answer, expected, dtype, numerics) for part in parts(answer.shape))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """An answer beside the reference, element by element."""

    wrong: NDArray[np.bool_]
    unchecked: NDArray[np.bool_]
    exact: NDArray[np.bool_]  # by gate 1
    error: Real  # |y − r|; infinite where one is a NaN or infinity and the other not
    units: Real  # of u·B
    otherwise: str  # the gate of what is not exact
    guaranteed_share: Real
    expected_share: Real
    due: bool  # something that is checked is not 0
    hollow: bool  # zeros would be within gate 2 as well
    void: bool  # and within gate 3


def compare(answer: NDArray[Any], expected: Expected, dtype: str, numerics: Numerics) -> Compared:
    """Compare an answer of the right shape and dtype with the reference."""
    allowed, size = allowance(expected, dtype, numerics), measure(expected, [numerics])
    y = answer.astype(np.float64)
    special = np.isnan(expected.magnitude)  # an operand there is NaN or infinite: the answer is, too
    unchecked = ~special & ~allowed.checkable
    with np.errstate(all="ignore"):
        apart = np.abs(_difference(y, expected, dtype, allowed))
        astray = np.where(_same_class(y, expected.value), 0.0, inf)
        error = np.where(unchecked, 0.0, np.where(special, astray, np.nan_to_num(apart, nan=inf, posinf=inf)))
        limit, usual = (np.where(allowed.exact, 0.0, gate) for gate in (allowed.guaranteed, allowed.expected))
        if allowed.normwise:  # proven for the worst that a tile may hold: where it lets 0 pass, gate 3 decides
            limit = np.where(np.abs(expected.value) <= limit, usual, limit)
        r = expected.value[~unchecked]
        return Compared(
            wrong=~unchecked & np.where(special, error > 0, ~(error <= limit)),
            unchecked=unchecked,
            exact=allowed.exact,
            error=error,
            units=np.where(special, error, _units(error, size, dtype)),
            otherwise="normwise" if allowed.normwise else "guaranteed",
            guaranteed_share=np.where(special, error, _ratio(error, limit)),
            expected_share=np.where(special | allowed.exact, 0.0, _ratio(error, allowed.expected)),
            due=bool(np.any(r != 0)),
            hollow=bool(np.all(np.abs(r) <= np.where(special, -1.0, limit)[~unchecked])),
            void=bool(np.all(np.abs(r) <= np.where(special, -1.0, usual)[~unchecked])),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sum:
    """What comparing some elements came to."""

    size: int
    wrong: int
    unchecked: int
    exact: bool  # all that is checked, by gate 1
    otherwise: str
    worst: tuple[float, float]  # share of gate 2, and error, of the worst element
    index: tuple[int, ...]  # of that
    got: float
    expected: float
    units: float
    expected_share: float
    due: bool
    hollow: bool
    void: bool


def _summed(part: tuple[slice, ...], answer: NDArray[Any], expected: Expected, dtype: str, numerics: Numerics) -> _Sum:
    """Compare a part of an answer: of a large one the arrays that this takes would not fit into memory at once."""
    y, r = answer[part], expected.part(part)
    c = compare(y, r, dtype, numerics)
    # wrong integers all have an infinite share: the largest error among them is the worst
    first = int(np.argmax(np.where(c.guaranteed_share == c.guaranteed_share.max(), c.error, -1.0)))
    at = tuple(int(i) for i in np.unravel_index(first, c.error.shape))
    return _Sum(
        size=y.size,
        wrong=int(c.wrong.sum()),
        unchecked=int(c.unchecked.sum()),
        exact=bool(np.all(c.exact | c.unchecked)),
        otherwise=c.otherwise,
        worst=(float(c.guaranteed_share[at]), float(c.error[at])),
        index=tuple(i + box.start for i, box in zip(at, part, strict=True)),
        got=float(y[at]),
        expected=float(r.value[at]),
        units=float(c.units.max()),
        expected_share=float(c.expected_share.max()),
        due=c.due,
        hollow=c.hollow,
        void=c.void,
    )


def _both(one: _Sum, other: _Sum) -> _Sum:
    """Return what two parts come to together."""
    worse = other if other.worst > one.worst else one
    return replace(
        worse,
        size=one.size + other.size,
        wrong=one.wrong + other.wrong,
        unchecked=one.unchecked + other.unchecked,
        exact=one.exact and other.exact,
        units=max(one.units, other.units),
        expected_share=max(one.expected_share, other.expected_share),
        due=one.due or other.due,
        hollow=one.hollow and other.hollow,
        void=one.void and other.void,
    )


def parts(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Cut an array into boxes of at most _PART elements, keeping the last axes whole."""
    inner = prod(shape[1:])
    step = max(1, _PART // max(1, inner))
    for start in range(0, shape[0], step) if shape else ():
        rests = parts(shape[1:]) if step == 1 and shape[1:] else [tuple(slice(0, n) for n in shape[1:])]
        yield from ((slice(start, min(start + step, shape[0])), *rest) for rest in rests)
    if not shape:
        yield ()


def _verdict(s: _Sum) -> Verdict:
    hollow, void = (s.due and zeros for zeros in (s.hollow, s.void))  # zeros would pass: then passing shows nothing
    compared = s.size - s.unchecked if s.wrong or not void else 0
    gate = "none" if not compared else "exact" if s.exact else s.otherwise
    suspect = bool(compared) and not s.wrong and s.expected_share > 1
    return Verdict(
        gate=gate,
        # where the proven bound shows nothing, what real arithmetic never does is not let through
        right=compared > 0 and s.wrong == 0 and not (hollow and suspect),
        message=_sentence(s, compared, suspect, hollow) + (_by(gate, s.units) if s.wrong or suspect else ""),
        compared=compared,
        wrong=s.wrong,
        unchecked=s.size - compared,
        worst_index=s.index,
        got=s.got,
        expected=s.expected,
        error_units=s.units,
        guaranteed_share=s.worst[0],
        expected_share=s.expected_share,
        suspect=suspect,
    )


def _sentence(s: _Sum, compared: int, suspect: bool, hollow: bool) -> str:
    if s.wrong:
        return f"{s.wrong} of {compared} elements wrong; worst at {_list(s.index)}: {_told(s.got, s.expected)}"
    if s.unchecked == s.size:
        return f"none of {s.size} elements could be checked: a partial sum may overflow or no bound is known"
    if not compared:
        return f"none of {s.size} elements could be checked: zeros would be within the bounds, too"
    if suspect and hollow:
        return f"{s.expected_share:.3g} × what is expected, where the proven bound would let zeros pass"
    if suspect:
        return f"within the proven bound, but {s.expected_share:.3g} × what is expected"
    return ""


def judge_refusal(answered: bool, exception: str, message: str, parameter: str) -> Verdict:
    """Judge what became of an invalid case: a typed error is right, an answer is wrong, an accident is no refusal.

    `exception` is the name of the type raised. An accident is an error that no check made: the code went on with the
    invalid value until something else broke.
    """
    if answered:
        return Verdict(
            gate="refusal", right=False, message=f"answered although {parameter} is invalid; a typed error was due"
        )
    if exception in ACCIDENTS or "INTERNAL ASSERT" in message:
        return Verdict(
            gate="refusal",
            right=False,
            message=f"broke instead of refusing an invalid {parameter}: {exception}: {message}",
        )
    return Verdict(gate="refusal", right=True, message=f"refused: {exception}", compared=1)


ACCIDENTS = (
    "AssertionError",
    "AttributeError",
    "EOFError",
    "ImportError",
    "IndexError",
    "KeyError",
    "KeyboardInterrupt",
    "MemoryError",
    "ModuleNotFoundError",
    "NameError",
    "NotImplementedError",
    "OSError",
    "RecursionError",
    "StopIteration",
    "SystemError",
    "SystemExit",
    "UnboundLocalError",
    "ZeroDivisionError",
)


def units_apart(
    left: NDArray[Any], right: NDArray[Any], expected: Expected, dtype: str, numerics: Sequence[Numerics]
) -> float:
    """Return max |a − b| in units of u·B; infinite where one answer has a NaN or infinity and the other not.

    `numerics` are those that the two declare: where a partial sum may overflow under either, an infinity is right, too.
    """
    boxes = parts(left.shape)
    return max((_apart(left[b], right[b], expected.part(b), dtype, numerics) for b in boxes), default=0.0)


def _apart(
    left: NDArray[Any], right: NDArray[Any], expected: Expected, dtype: str, numerics: Sequence[Numerics]
) -> float:
    a, b = left.astype(np.float64), right.astype(np.float64)
    with np.errstate(all="ignore"):
        both = np.isfinite(a) & np.isfinite(b)
        units = np.nan_to_num(_units(np.abs(a - b), measure(expected, numerics), dtype), nan=inf, posinf=inf)
        apart = np.where(both, units, np.where(_same_class(a, b), 0.0, inf))
        if np.isinf(apart).any():
            apart = np.where(_held(expected, dtype, numerics), apart, 0.0)
    return float(apart.max(initial=0.0))


def _held(expected: Expected, dtype: str, numerics: Sequence[Numerics]) -> NDArray[np.bool_]:
    """Return where answers are checked under all of these numerics, as `compare` does it."""
    checked: NDArray[np.bool_] = np.all([allowance(expected, dtype, each).checkable for each in numerics], axis=0)
    return np.isnan(expected.magnitude) | checked


def identical(left: NDArray[Any], right: NDArray[Any]) -> bool:
    """Return whether two answers are equal bit for bit, with −0 equal to 0 and any NaN to any NaN."""
    return left.shape == right.shape and bool(np.array_equal(left, right, equal_nan=left.dtype.kind == "f"))


def _difference(y: Real, expected: Expected, dtype: str, allowed: Allowance) -> Real:
    """y − r, with r rounded to the output dtype where gate 1 holds, and with both parts of a double-double."""
    r = np.where(
        allowed.exact, round_to(np.where(allowed.exact, expected.value, 0.0), dtype).astype(np.float64), expected.value
    )
    difference = y - r
    return difference if expected.low is None else difference - np.where(allowed.exact, 0.0, expected.low)


def _same_class(y: Real, r: Real) -> NDArray[np.bool_]:
    return np.where(np.isnan(r), np.isnan(y), y == r)


def _units(error: Real, size: Real, dtype: str) -> Real:
    """Return errors in u·B: what is below the normal numbers is rounded as coarsely as they, so that B counts as such.

    u divides last: u·B itself may be less than the smallest subnormal.
    """
    form = FORMATS[dtype]
    least = np.where(size > 0, np.maximum(size, form.smallest_normal), size)
    return _ratio(error, least) / (form.roundoff or 1.0)


def _ratio(a: Real, b: Real) -> Real:
    """a / b, with 0 / 0 = 0: no error needs no allowance."""
    return np.where(a == 0, 0.0, a / b)


def _refused(message: str) -> Verdict:
    return Verdict(gate="none", right=False, message=message)


def _told(got: float, due: float) -> str:
    """Both numbers, with as many digits as it takes to tell them apart."""
    digits = 9 if f"{got:.9g}" != f"{due:.9g}" else 17
    return f"got {got:.{digits}g}, {due:.{digits}g} was due"


def _by(gate: str, units: float) -> str:
    if gate == "exact":
        return " (integers: exact to the bit)"
    return f" ({units:.3g} u·B)" if isfinite(units) else ""


def _described(answer: object) -> str:
    if answer is None or isinstance(answer, str):  # a text is the worker's description of what is no array of numbers
        return str(answer)
    return f"a {type(answer).__name__}"


def _list(numbers: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, numbers)) + "]"
