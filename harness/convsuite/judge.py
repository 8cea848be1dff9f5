"""Arrays → verdict. Pure: knows no backend, no file, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from convsuite.case import Expected, Numerics, Verdict
from convsuite.dtypes import round_to
from convsuite.formats import FORMATS
from convsuite.tolerance import Allowance, allowance, measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Real = NDArray[np.float64]


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
    return _compare(answer, expected, dtype, allowance(expected, dtype, numerics), measure(expected, [numerics]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compared:
    """An answer beside the reference, element by element."""

    wrong: NDArray[np.bool_]
    unchecked: NDArray[np.bool_]
    exact: NDArray[np.bool_]  # by gate 1
    error: Real  # |y − r|; infinite where one is a NaN or infinity and the other not
    units: Real  # of u·B
    otherwise: str  # the gate of what is not exact
    guaranteed_share: Real
    expected_share: Real
    hollow: bool  # zeros would be within gate 2 as well: it shows nothing here
    void: bool  # and within gate 3


def _compare(answer: NDArray[Any], expected: Expected, dtype: str, allowed: Allowance, size: Real) -> Verdict:
    y = answer.astype(np.float64)
    special = np.isnan(expected.magnitude)  # an operand there is NaN or infinite: the answer is, too
    unchecked = ~special & ~allowed.checkable
    with np.errstate(all="ignore"):
        apart = np.abs(_difference(y, expected, dtype, allowed))
        astray = np.where(_same_class(y, expected.value), 0.0, inf)
        error = np.where(unchecked, 0.0, np.where(special, astray, np.nan_to_num(apart, nan=inf, posinf=inf)))
        limit, usual = (np.where(allowed.exact, 0.0, gate) for gate in (allowed.guaranteed, allowed.expected))
        compared = _Compared(
            wrong=~unchecked & np.where(special, error > 0, ~(error <= limit)),
            unchecked=unchecked,
            exact=allowed.exact,
            error=error,
            units=np.where(special, error, _ratio(error, _unit(dtype) * size)),
            otherwise="normwise" if allowed.normwise else "guaranteed",
            guaranteed_share=np.where(special, error, _ratio(error, limit)),
            expected_share=np.where(special | allowed.exact, 0.0, _ratio(error, allowed.expected)),
            hollow=_zeros_pass(expected.value[~unchecked], np.where(special, -1.0, limit)[~unchecked]),
            void=_zeros_pass(expected.value[~unchecked], np.where(special, -1.0, usual)[~unchecked]),
        )
    return _verdict(answer, expected, compared)


def _zeros_pass(r: Real, limit: Real) -> bool:
    """Return whether zeros would pass where something else is due: then passing shows nothing."""
    return bool(np.any(r != 0) and np.all(np.abs(r) <= limit))


def _verdict(answer: NDArray[Any], expected: Expected, c: _Compared) -> Verdict:
    count = int(c.wrong.sum())
    compared = int((~c.unchecked).sum()) if count or not c.void else 0
    # wrong integers all have an infinite share: the largest error among them is the worst
    first = int(np.argmax(np.where(c.guaranteed_share == c.guaranteed_share.max(), c.error, -1.0)))
    worst = tuple(int(i) for i in np.unravel_index(first, c.error.shape))
    gate = "none" if not compared else "exact" if bool(np.all(c.exact | c.unchecked)) else c.otherwise
    suspect = bool(compared) and not count and float(c.expected_share.max()) > 1
    return Verdict(
        gate=gate,
        # where the proven bound shows nothing, what real arithmetic never does is not let through
        right=compared > 0 and count == 0 and not (c.hollow and suspect),
        message=_sentence(c, compared, count, suspect, worst, _told(float(answer[worst]), float(expected.value[worst])))
        + (_by(gate, float(c.units.max())) if count or suspect else ""),
        compared=compared,
        wrong=count,
        unchecked=answer.size - compared,
        worst_index=worst,
        got=float(answer[worst]),
        expected=float(expected.value[worst]),
        error_units=float(c.units.max()),
        guaranteed_share=float(c.guaranteed_share.max()),
        expected_share=float(c.expected_share.max()),
        suspect=suspect,
    )


def _sentence(c: _Compared, compared: int, count: int, suspect: bool, worst: tuple[int, ...], told: str) -> str:
    if count:
        return f"{count} of {compared} elements wrong; worst at {_list(worst)}: {told}"
    if c.unchecked.all():
        return f"none of {c.error.size} elements could be checked: a partial sum may overflow or no bound is known"
    if not compared:
        return f"none of {c.error.size} elements could be checked: zeros would be within the bounds, too"
    if suspect and c.hollow:
        return f"{float(c.expected_share.max()):.3g} × what is expected, where the proven bound would let zeros pass"
    if suspect:
        return f"within the proven bound, but {float(c.expected_share.max()):.3g} × what is expected"
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
    a, b = left.astype(np.float64), right.astype(np.float64)
    with np.errstate(all="ignore"):
        both = np.isfinite(a) & np.isfinite(b)
        units = np.nan_to_num(_ratio(np.abs(a - b), _unit(dtype) * measure(expected, numerics)), nan=inf, posinf=inf)
        apart = np.where(both, units, np.where(_same_class(a, b), 0.0, inf))
        if np.isinf(apart).any():
            apart = np.where(_held(expected, dtype, numerics), apart, 0.0)
    return float(apart.max(initial=0.0))


def _held(expected: Expected, dtype: str, numerics: Sequence[Numerics]) -> NDArray[np.bool_]:
    """Return where answers are checked under all of these numerics, as `_compare` does it."""
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


def _unit(dtype: str) -> float:
    return FORMATS[dtype].roundoff or 1.0


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
