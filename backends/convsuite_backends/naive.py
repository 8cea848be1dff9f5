"""Convolution as one first writes it: a loop over every output, each a window times a kernel, summed.

For teaching, and as the slowest baseline. Nothing is clever here, so that it can be checked by reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from convsuite.case import Support
from convsuite.operations import of
from convsuite_backends._pools import other_nan
from convsuite_backends.numpy_im2col.arrays import NumpyArrays, finish, options, to_channels_first
from convsuite_backends.numpy_im2col.geometry import geometry  # what is refused, and in what words; no number is taken

if TYPE_CHECKING:
    from convsuite.backend import Gradient
    from convsuite.case import Case
    from convsuite.operations.avg_pool import AvgPoolCase
    from convsuite.operations.conv import ConvCase
    from convsuite.operations.max_pool import MaxPoolCase
    from convsuite.operations.pool import PoolCase

Values = NDArray[Any]
Index = tuple[Any, ...]
MOST_OUTPUTS = 200_000  # about a second a pass
NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
ACCUMULATORS = {"float16": "float32", "int8": "int32", "int32": "int64"}  # others sum in their own dtype


class Naive(NumpyArrays):
    """Literal loops over output positions, forward and backward."""

    def support(self, case: Case) -> Support:
        """Decline what would take minutes, and what a maximum does not do here."""
        count = 0 if of(case).violations(case) else prod(of(case).output_shape(case))
        if count > MOST_OUTPUTS:
            return Support.unsupported(f"too slow for literal loops ({count} outputs, at most {MOST_OUTPUTS})")
        lack = other_nan(cast("MaxPoolCase", case), "NumPy", "propagate") if case.operation == "max_pool" else ""
        return Support.unsupported(lack) if lack else Support.native()

    def gradient_support(self, case: Case) -> Support:
        """Declare gradients of the convolution."""
        return (
            Support.native() if case.operation == "conv" else Support.unsupported("the loops of a pool go forward only")
        )

    @np.errstate(all="ignore")
    def conv(self, case: ConvCase, x: Values, weight: Values, bias: Values | None = None) -> Values:
        """Y[n, o, i, j] = (X[n, :, window] * K[o]).sum() + b[o], on any number of spatial axes."""
        x, weight = _checked(case, x, weight, bias)
        padded, kernel = _pad(case, _wide(x)), _flip(case, _wide(weight))
        y = np.zeros((x.shape[0], weight.shape[0], *_sizes(case)), padded.dtype)
        for output, window, o in _loops(case, y.shape):
            y[output] = (padded[window] * kernel[o]).sum() + (0 if bias is None else bias[o])
        return finish(y.astype(x.dtype), "output", case)

    def max_pool(self, case: MaxPoolCase, x: Values) -> Values:
        """Y[n, c, i, j] = X[n, c, window].max(), on any number of spatial axes; padding is not in the window."""
        x = to_channels_first(x, "input", case.layout)
        axes = _pool_taps(case, x.shape)
        y = np.zeros((*x.shape[:2], *map(len, axes)), x.dtype)
        for n, c, *position in np.ndindex(y.shape):
            seen = [_seen(case, a, axes[a][p]) for a, p in enumerate(position)]
            y[n, c, *position] = x[n, c][np.ix_(*seen)].max(initial=_lowest(x.dtype))
        return finish(y, "output", case)

    @np.errstate(all="ignore")
    def avg_pool(self, case: AvgPoolCase, x: Values) -> Values:
        """Y[n, c, i, j] = X[n, c, window].sum() / how many positions count, on any number of spatial axes."""
        if case.divisor == 0:
            raise ValueError("divisor must not be 0")
        x = to_channels_first(x, "input", case.layout)
        axes = _pool_taps(case, x.shape)
        y = np.zeros((*x.shape[:2], *map(len, axes)), x.dtype)
        for n, c, *position in np.ndindex(y.shape):
            taps = [axes[a][p] for a, p in enumerate(position)]
            seen = [_seen(case, a, at) for a, at in enumerate(taps)]
            padded = [_declared(case, a, at) for a, at in enumerate(taps)]
            count = prod(map(len, padded if case.count_include_pad else seen))
            y[n, c, *position] = _wide(x[n, c][np.ix_(*seen)]).sum() / (case.divisor or max(1, count))
        return finish(y, "output", case)

    def backward(self, case: Case) -> Gradient:
        """Return the gradients: what each output adds to its window, to its kernel and to its bias."""
        case = cast("ConvCase", case)

        @np.errstate(all="ignore")
        def gradients(operands: Sequence[Values], grad_output: Values) -> list[Values]:
            x, weight = _checked(case, *operands)
            grad = _wide(to_channels_first(grad_output, "grad_output", case.layout))
            padded, kernel = _pad(case, _wide(x)), _flip(case, _wide(weight))
            dx, dw, db = np.zeros_like(padded), np.zeros_like(kernel), np.zeros(len(kernel), kernel.dtype)
            for output, window, o in _loops(case, grad.shape):
                dx[window] += grad[output] * kernel[o]
                dw[o] += grad[output] * padded[window]
                db[o] += grad[output]
            found = {"input": _unpad(case, dx), "weight": _flip(case, dw), "bias": db}
            return [finish(a.astype(x.dtype), role, case) for role, a in list(found.items())[: len(operands)]]

        return gradients


def _pool_taps(case: PoolCase, shape: tuple[int, ...]) -> list[list[list[int]]]:
    """Return, for each axis and each window on it, where its taps lie, from the input's first position on.

    Raise ValueError for a window that is none, and where none fits.
    """
    if len(shape) != case.rank + 2 or min(*case.kernel, *case.stride, *case.dilation) < 1:
        raise ValueError(
            f"no window of {case.kernel}, step {case.stride}, dilation {case.dilation} slides over {shape}"
        )
    axes = []
    for size, k, s, d, (low, high) in zip(
        shape[2:], case.kernel, case.stride, case.dilation, case.padding.pads, strict=True
    ):
        reach, windows, start = d * (k - 1) + 1, [], -low
        while start + reach <= size + high:  # it fits into the padded input
            windows.append(start)
            start += s
        left_over = start - s + reach < size + high
        if case.ceil_mode and left_over and start < min(size, size + high):  # begins within the input or before it
            windows.append(start)
        if not windows:
            raise ValueError(
                f"the window spans {reach}, the padded input is {low + size + high} ({size} + {low} + {high})"
            )
        axes.append([[first + t * d for t in range(k)] for first in windows])
    return axes


def _seen(case: PoolCase, axis: int, taps: list[int]) -> list[int]:
    """Return which taps lie in the input, as far as it is not cropped."""
    size, high = case.input_shape[2 + axis], case.padding.pads[axis][1]
    return [at for at in taps if 0 <= at < min(size, size + high)]


def _declared(case: PoolCase, axis: int, taps: list[int]) -> list[int]:
    """Return which taps lie in the input or the padding that the case declares, not beyond, where ceil_mode leads."""
    size, (low, high) = case.input_shape[2 + axis], case.padding.pads[axis]
    return [at for at in taps if -low <= at < size + high]


def _lowest(dtype: np.dtype[Any]) -> Any:
    """Return what is never larger than another value: −inf, or the lowest integer."""
    return dtype.type(-np.inf if dtype.kind == "f" else np.iinfo(dtype).min)


def _loops(case: ConvCase, shape: tuple[int, ...]) -> Iterator[tuple[Index, Index, int]]:
    """Yield each output's index, that of the window it sees in the padded input, and its channel."""
    channels, filters = case.input_shape[1] // case.groups, case.out_channels // case.groups
    for n, o, *position in np.ndindex(shape):
        first = o // filters * channels
        axes = zip(position, case.stride, case.kernel, case.dilation, strict=True)
        window = (slice(p * s, p * s + k * d, d) for p, s, k, d in axes)
        yield (n, o, *position), (n, slice(first, first + channels), *window), o


def _checked(case: ConvCase, x: Values, weight: Values, bias: Values | None = None) -> tuple[Values, Values]:
    """Return the operands channels first; raise ValueError where they cannot be convolved."""
    x, weight = (to_channels_first(a, role, case.layout) for a, role in ((x, "input"), (weight, "weight")))
    geometry(x.shape, weight.shape, None if bias is None else bias.shape, **options(case))
    return x, weight


def _sizes(case: ConvCase) -> tuple[int, ...]:
    """How often the kernel fits on each axis; an invalid stride counts as 1 here, `_checked` refuses it."""
    axes = zip(case.input_shape[2:], case.padding.pads, case.kernel, case.dilation, case.stride, strict=False)
    return tuple(max(0, (n + low + high - d * (k - 1) - 1) // max(s, 1) + 1) for n, (low, high), k, d, s in axes)


def _wide(a: Values) -> Values:
    """Convert to the dtype that sums are taken in."""
    return a.astype(ACCUMULATORS.get(a.dtype.name, a.dtype))


def _flip(case: ConvCase, weight: Values) -> Values:
    return np.flip(weight, tuple(range(2, weight.ndim))) if case.flip else weight


def _pad(case: ConvCase, x: Values) -> Values:
    """Pad the spatial axes; a negative pad crops."""
    added = [(0, 0), (0, 0), *((max(low, 0), max(high, 0)) for low, high in case.padding.pads)]
    padded = np.pad(x, added, mode=cast("Any", NUMPY_MODES[case.padding.mode]))
    axes = zip(padded.shape[2:], case.padding.pads, strict=True)
    return padded[:, :, *(slice(max(-low, 0), n - max(-high, 0)) for n, (low, high) in axes)]


def _unpad(case: ConvCase, padded: Values) -> Values:
    """Add each padded position to the input position that it shows: from 1 on, 0 for a zero, which is dropped."""
    size = prod(case.input_shape)
    shows = _pad(case, np.arange(1, size + 1).reshape(case.input_shape))
    total = np.zeros(size + 1, padded.dtype)
    np.add.at(total, shows, padded)
    return total[1:].reshape(case.input_shape)
