"""Pools: the stride that is meant if none is said, SAME, ceil mode, what an average divides by, NaN, ties, indices."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from convsuite.case import Pass
from convsuite.meaning.questions.sweeps import halves, strided
from convsuite.meaning.records import Meaning, Probe, Question
from convsuite.meaning.references import answer, case_of, gradient, meaning, probe, value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_TWELFTHS = 144  # every count of taps of a window of 3 × 4 divides it, so that averages are integers


def _symmetric(asked: Probe, **keys: Any) -> Array | None:
    return value(asked, padding=[[half, half] for half in halves(asked)], **keys)


def _negative(x: Array) -> Array:
    """Return values below 0, among which a zero of padding would be the largest."""
    lower: Array = x - np.asarray(x.max() + 1, dtype=x.dtype)
    return lower


_STRIDE = Question(
    id="pool_stride",
    text="The stride of a pool, if none is said",
    meanings=(
        Meaning("the window", "windows lie side by side", lambda p: value(p, stride=p.keys["kernel"])),
        meaning("1", "windows start at every position", stride=1),
    ),
    sweep=lambda: tuple(
        probe("max_pool", {"kernel": k, "size": n}, input=list(n), kernel=list(k), channels=2)
        for k, n in (((2, 2), (4, 6)), ((2, 3), (5, 7)), ((3, 2), (7, 5)))
    ),
)


def _zeros_win(asked: Probe) -> Array | None:
    """Return what SAME gives where its padding is zeros that a maximum sees."""
    pads = case_of(asked.operation, **asked.keys, padding="same_upper").padding.pads
    x = np.pad(asked.arrays["x"], [(0, 0), (0, 0), *pads])
    return answer(asked, {"x": x}, input=list(x.shape[2:]))


_MAX_SAME = Question(
    id="max_pool_same",
    text="“SAME” of a max pool: where does an odd position of padding go, and can padding win?",
    meanings=(
        meaning(
            "same_upper",
            "⌈size/stride⌉ windows; an odd one goes after the data; padding never wins",
            padding="same_upper",
        ),
        meaning(
            "same_lower",
            "⌈size/stride⌉ windows; an odd one goes before the data; padding never wins",
            padding="same_lower",
        ),
        Meaning("same_upper, zeros", "as same_upper, but padding is zeros", _zeros_win),
        Meaning("k//2", "⌊k/2⌋ on each side; padding never wins", _symmetric),
    ),
    sweep=lambda: strided("max_pool", change=_negative, channels=2),
)

_MAX_SAME_3D = Question(
    id="max_pool_same_3d",
    text="“SAME” of a max pool over three axes: where does an odd position of padding go, and can padding win?",
    meanings=_MAX_SAME.meanings,
    sweep=lambda: tuple(
        probe(
            "max_pool",
            {"stride": stride, "kernel": kernel, "size": size},
            _negative,
            input=list(size),
            kernel=list(kernel),
            stride=stride,
            channels=2,
        )
        for stride in (1, 2, 3)
        for kernel, size in (((2, 3, 2), (4, 5, 6)), ((3, 2, 4), (5, 6, 4)))
    ),
)

_CEIL_SIZES = tuple(
    (stride, kernel, p, n)
    for stride in (2, 3)
    for kernel, p in (((2, 3), 0), ((2, 3), 1), ((4, 3), 1))
    for n in ((5, 6), (6, 7), (7, 5))
)


def _ceil(operation: str, **more: Any) -> tuple[Probe, ...]:
    return tuple(
        probe(
            operation,
            {"p": p, "stride": stride, "kernel": kernel, "size": size},
            lambda x: x * np.asarray(_TWELFTHS, dtype=x.dtype),
            input=list(size),
            kernel=list(kernel),
            stride=stride,
            padding=p,
            channels=2,
            **more,
        )
        for stride, kernel, p, size in _CEIL_SIZES
    )


def _every_ceil(asked: Probe) -> Array | None:
    """Return ⌈…⌉ windows on each axis, also one that starts beyond the input and its low padding, of a max pool."""
    size, kernel, stride, p = (asked.keys[key] for key in ("input", "kernel", "stride", "padding"))
    more = [-(-(n + 2 * p - k) // stride) * stride + k - n - 2 * p for n, k in zip(size, kernel, strict=True)]
    return value(asked, padding=[[p, p + m] for m in more])


_MAX_CEIL = Question(
    id="max_pool_ceil",
    text="ceil_mode of a max pool: which windows are added?",
    meanings=(
        meaning("starts inside", "one that hangs over, if it starts in the input or its low padding", ceil_mode=True),
        Meaning("all", "one that hangs over, wherever it starts", _every_ceil),
        meaning("none", "as without it"),
    ),
    sweep=lambda: _ceil("max_pool"),
)

_AVERAGE_CEIL = Question(
    id="avg_pool_ceil",
    text="ceil_mode of an average pool: what does a window at the border divide by?",
    meanings=(
        meaning(
            "padding counts, overhang not",
            "taps in the input and the declared padding",
            ceil_mode=True,
            count_include_pad=True,
        ),
        meaning("input counts", "taps in the input", ceil_mode=True, count_include_pad=False),
        Meaning("window", "all taps, whatever they meet", lambda p: value(p, ceil_mode=True, divisor=_taps(p))),
        meaning("no such window", "windows are those without ceil_mode, padding counts"),
    ),
    sweep=lambda: _ceil("avg_pool"),
)


def _taps(asked: Probe) -> int:
    rows, columns = asked.keys["kernel"]
    return int(rows * columns)


_AVERAGE_SAME = Question(
    id="avg_pool_same",
    text="“SAME” or padding of an average pool: where does an odd zero go, and does padding count in the divisor?",
    meanings=(
        meaning(
            "same_upper, input counts",
            "an odd zero after the data; divided by the taps in the input",
            padding="same_upper",
            count_include_pad=False,
        ),
        meaning(
            "same_upper, padding counts",
            "an odd zero after the data; divided by the window",
            padding="same_upper",
            count_include_pad=True,
        ),
        meaning(
            "same_lower, input counts",
            "an odd zero before the data; divided by the taps in the input",
            padding="same_lower",
            count_include_pad=False,
        ),
        Meaning(
            "k//2, input counts",
            "⌊k/2⌋ zeros on each side; divided by the taps in the input",
            lambda p: _symmetric(p, count_include_pad=False),
        ),
        Meaning(
            "k//2, padding counts",
            "⌊k/2⌋ zeros on each side; divided by the window",
            lambda p: _symmetric(p, count_include_pad=True),
        ),
    ),
    sweep=lambda: strided("avg_pool", change=lambda x: x * np.asarray(_TWELFTHS, dtype=x.dtype), channels=2),
)

_RISING, _FALLING = ((1.0, 2.0, 3.0, 4.0), (4.0, 3.0, 2.0, 1.0))


def _with_nan() -> tuple[Probe, ...]:
    """One window of four taps, NaN at every set of its places, over rising and falling values."""
    return tuple(
        probe(
            "max_pool",
            {"nans": " ".join(map(str, nans)), "kernel": (2, 2), "rising": values is _RISING},
            input={"values": _places(values, nans)},
            kernel=[2, 2],
        )
        for count in (1, 2, 3, 4)
        for nans in combinations(range(4), count)
        for values in (_RISING, _FALLING)
    )


def _places(values: tuple[float, ...], nans: tuple[int, ...]) -> list[list[float]]:
    flat = [float("nan") if at in nans else v for at, v in enumerate(values)]
    return [flat[:2], flat[2:]]


def _at(asked: Probe, tie: str) -> Array | None:
    """Return the value at the place that a policy points to."""
    where = answer(asked, asked.arrays, Pass.INDICES, tie=tie)
    return None if where is None else asked.arrays["x"].reshape(-1)[where.astype(int)]


def _lowest(asked: Probe) -> Array | None:
    """Return maxima that ignore NaN and begin with the lowest finite number."""
    y = value(asked, nan="ignore")
    return None if y is None else np.maximum(y, np.finfo(asked.arrays["x"].dtype).min)


_NAN = Question(
    id="max_pool_nan",
    text="A window with a NaN: what is its maximum?",
    meanings=(
        meaning("NaN", "NaN is the maximum of every window that it is in", nan="propagate"),
        meaning("ignored", "the largest number; −∞ where there is none", nan="ignore"),
        Meaning("ignored, lowest", "the largest number; the lowest finite one where there is none", _lowest),
        Meaning(
            "NaN if first",
            "nothing is greater than a NaN: one that leads its window stays, any other is passed over",
            lambda p: _at(p, "leading_nan"),
        ),
        Meaning(
            "NaN if last", "nothing is less than a NaN: what follows takes its place", lambda p: _at(p, "behind_nan")
        ),
    ),
    sweep=_with_nan,
)

_NAN_GRADIENT = Question(
    id="max_pool_nan_gradient",
    text="A window with a NaN: where does the gradient go?",
    meanings=(
        Meaning("first NaN", "to the first NaN", lambda p: gradient(p, nan="propagate", tie="first")),
        Meaning("last NaN", "to the last NaN", lambda p: gradient(p, nan="propagate", tie="last_nan")),
        Meaning(
            "largest number",
            "to the largest number; nowhere where there is none",
            lambda p: gradient(p, nan="ignore", tie="first"),
        ),
        Meaning(
            "leading NaN",
            "to a NaN that leads its window, else to the largest number",
            lambda p: gradient(p, nan="ignore", tie="leading_nan"),
        ),
        Meaning(
            "behind the NaN",
            "to the largest number behind the last NaN, or to that NaN where it ends the window",
            lambda p: gradient(p, nan="propagate", tie="behind_nan"),
        ),
        Meaning("nowhere", "to no position: nothing equals a NaN", lambda p: gradient(p, nan="propagate", tie="all")),
    ),
    sweep=_with_nan,
    gradient=True,
)


def _tied() -> tuple[Probe, ...]:
    """One window of four taps, its maximum at every set of at least two places."""
    return tuple(
        probe("max_pool", {"maxima": places, "kernel": (2, 2)}, input={"values": _maxima(places)}, kernel=[2, 2])
        for count in (2, 3, 4)
        for places in combinations(range(4), count)
    )


def _maxima(places: tuple[int, ...]) -> list[list[float]]:
    flat = [3.0 if at in places else float(-at) for at in range(4)]
    return [flat[:2], flat[2:]]


def _shared(asked: Probe) -> Array | None:
    every = gradient(asked, tie="all")
    return None if every is None else every / every.sum()


def _last(asked: Probe) -> Array | None:
    """Return the gradient of the first maximum of the window turned round, turned back."""
    turned = replace(asked, arrays={"x": asked.arrays["x"][..., ::-1, ::-1]})
    found = gradient(turned, tie="first")
    return None if found is None else found[..., ::-1, ::-1]


_TIE = Question(
    id="max_pool_tie",
    text="Several equal maxima in a window: which gets the gradient?",
    meanings=(
        Meaning("first", "the first in the order of rows", lambda p: gradient(p, tie="first")),
        Meaning("last", "the last in the order of rows", _last),
        Meaning("all", "each of them, all of it", lambda p: gradient(p, tie="all")),
        Meaning("shared", "each of them an equal share", _shared),
    ),
    sweep=_tied,
    gradient=True,
)


def _index(asked: Probe, channels: bool, batch: bool) -> Array | None:
    """Return indices that count the channels, last, and the samples of the batch, too."""
    where = answer(asked, asked.arrays, Pass.INDICES)
    if where is None:
        return None
    n, c, h, w = asked.arrays["x"].shape
    if channels:
        where = where * c + np.arange(c)[:, None, None]
    return where + np.arange(n)[:, None, None, None] * (h * w * c) if batch else where


_INDEX = Question(
    id="max_pool_index",
    text="The index of a maximum: what does it count?",
    meanings=(
        Meaning("y·W + x", "positions of the plane of one sample and channel", lambda p: _index(p, False, False)),
        Meaning("(y·W + x)·C + c", "elements of one sample, channels last", lambda p: _index(p, True, False)),
        Meaning(
            "((n·H + y)·W + x)·C + c", "elements of the whole input, channels last", lambda p: _index(p, True, True)
        ),
    ),
    sweep=lambda: strided("max_pool", batch=2, channels=3),
)


def _dropped(asked: Probe) -> Array | None:
    y = _whole(asked)
    return None if y is None else y.reshape(y.shape[:2])


def _whole(asked: Probe) -> Array | None:
    """Return the average of the whole plane, (N, C, 1, 1)."""
    return value(asked, kernel=asked.keys["input"])


_GLOBAL = Question(
    id="global_pool",
    text="A global average: which axes are left?",
    meanings=(
        Meaning("N, C", "the spatial axes are gone", _dropped),
        Meaning("N, C, 1, 1", "the spatial axes are left, of length 1 (after the channels or before, as in x)", _whole),
    ),
    sweep=lambda: tuple(
        probe(
            "avg_pool",
            {"size": n},
            lambda x: x * np.asarray(_TWELFTHS, dtype=x.dtype),
            batch=2,
            input=list(n),
            kernel=list(n),
            channels=3,
        )
        for n in ((2, 3), (4, 3))
    ),
)


def _evenly(asked: Probe, operation: str) -> Array | None:
    """Return the pool of equal windows, ⌊size/output⌋ apart, that end with the input."""
    sizes, outputs = asked.keys["input"], asked.keys["output"]
    stride = [n // o for n, o in zip(sizes, outputs, strict=True)]
    kernel = [n - (o - 1) * s for n, o, s in zip(sizes, outputs, stride, strict=True)]
    keys = {"input": sizes, "channels": asked.keys["channels"], "kernel": kernel, "stride": stride}
    return value(replace(asked, operation=operation, keys=keys))


def _adaptive(operation: str) -> Question:
    """Return the question about an adaptive pool, the windows of which `operation` has."""
    return Question(
        id=f"adaptive_{operation}",
        text=f"Adaptive pool ({operation}): which windows are there, if the output does not divide the size?",
        meanings=(
            meaning("⌊i·n/o⌋ to ⌈(i+1)·n/o⌉", "windows of unequal length that may overlap"),
            Meaning("equal windows", "⌊n/o⌋ apart, all of the same length", lambda p: _evenly(p, operation)),
        ),
        sweep=lambda: tuple(
            probe(
                f"adaptive_{operation}",
                {"output": o, "size": n},
                lambda x: x * np.asarray(_TWELFTHS, dtype=x.dtype),
                input=list(n),
                output=list(o),
                channels=2,
            )
            for o in ((2, 3), (3, 2), (4, 3))
            for n in ((4, 6), (5, 7), (7, 5))
        ),
    )


def _root(asked: Probe, below: float) -> Array | None:
    """Return the root of |Σ x^p|, times `below` where the sum is negative."""
    power = float(asked.names["power"])  # type: ignore[arg-type]
    total = answer(replace(asked, operation="lp_pool"), {"x": asked.arrays["x"] ** power}, power=1.0, absolute=False)
    return None if total is None else np.where(total < 0, below, 1.0) * np.abs(total) ** (1 / power)


_LP = Question(
    id="lp_pool_sign",
    text="Power-average pool of an odd power p: what becomes of negative values, and of a negative sum?",
    meanings=(
        Meaning(
            "signed, NaN below 0",
            "Σ x^p: a negative value counts against a positive one; a root of a negative sum is NaN, but for p = 1",
            lambda a: _root(a, -1.0 if a.names["power"] == 1 else np.nan),
        ),
        Meaning("signed", "Σ x^p; the root of a negative sum is negative", lambda a: _root(a, -1.0)),
        Meaning("absolute", "Σ |x|^p, as in the norm", lambda a: value(a, power=a.names["power"], absolute=True)),
    ),
    sweep=lambda: tuple(
        probe("lp_pool", {"power": p, "kernel": k, "size": (4, 8)}, input=[4, 8], kernel=list(k), channels=2)
        for p in (1, 3)
        for k in ((2, 2), (2, 4))
    ),
    within=1e-5,
)

QUESTIONS = (
    _STRIDE, _MAX_SAME, _MAX_SAME_3D, _MAX_CEIL, _NAN, _NAN_GRADIENT, _TIE, _INDEX, _AVERAGE_SAME, _AVERAGE_CEIL,
    _GLOBAL, _adaptive("avg_pool"), _adaptive("max_pool"), _LP,
)  # fmt: skip
