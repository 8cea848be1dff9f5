"""Adaptive pooling and its gradients: the number of windows is given, and they cover the input. 1 pools all of it.

Of o windows over n positions, window i covers ⌊i·n/o⌋ to ⌈(i + 1)·n/o⌉, the end not included; neighbours may overlap.

Every function takes x (N, C, *spatial), any number of spatial axes and any strides, and output_size, one number for all
axes or one for each. A gradient is that of ⟨pool(x), grad_output⟩ to x, in x's shape and dtype. All raise ValueError,
with the numbers, for arguments that give no pooling, and TypeError for a dtype that they do not take.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.geometry import Size, positive
from convsuite_backends.numpy_im2col.pooling import (
    max_gradient,
    max_indices,
    maxima,
    means,
    means_gradient,
    real_counts,
)
from convsuite_backends.numpy_im2col.sliding import Axis, Meeting, spatial_rank

Values = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive(Axis):
    """`count` windows that cover all positions."""

    count: int

    @property
    def out(self) -> int:
        """Windows."""
        return self.count

    def taps(self) -> Iterator[Meeting]:
        """All meetings; what the first windows see, up to where it repeats, all later ones see some periods on."""
        periods = gcd(self.size, self.out)
        windows, step = self.out // periods, self.size // periods
        for i in range(windows):
            for at in range(*self._covered(i)):
                yield slice(i, None, windows), slice(at, at + (periods - 1) * step + 1, step)

    def windows(self) -> Iterator[Meeting]:
        """All meetings, a window at a time."""
        for i in range(self.out):
            yield slice(i, i + 1), slice(*self._covered(i))

    def _covered(self, i: int) -> tuple[int, int]:
        return i * self.size // self.out, -(-(i + 1) * self.size // self.out)


def adaptive_max_pool(x: Values, *, output_size: Size, nan: str = "propagate") -> Values:
    """Return each window's maximum, (N, C, *output_size); NaN as in `max_pool`."""
    return maxima(x, _axes(x.shape, output_size), nan)


def adaptive_max_pool_indices(x: Values, *, output_size: Size, nan: str = "propagate") -> NDArray[np.int64]:
    """Return where in its plane of x each window's maximum stands, as `max_pool_indices`."""
    return max_indices(x, _axes(x.shape, output_size), nan)


def adaptive_max_pool_gradient(x: Values, grad_output: Values, *, output_size: Size, nan: str = "propagate") -> Values:
    """Send each window's gradient to the position of `adaptive_max_pool_indices`, and nowhere where that is −1."""
    return max_gradient(x, grad_output, _axes(x.shape, output_size), nan)


def adaptive_avg_pool(x: Values, *, output_size: Size) -> Values:
    """Return each window's mean, (N, C, *output_size); x is of a floating dtype."""
    axes = _axes(x.shape, output_size)
    return means(x, axes, real_counts(axes))


def adaptive_avg_pool_gradient(x: Values, grad_output: Values, *, output_size: Size) -> Values:
    """Give each position its share of the gradients of the windows that see it; of x only shape and dtype count."""
    axes = _axes(x.shape, output_size)
    return means_gradient(x, grad_output, axes, real_counts(axes))


def _axes(shape: tuple[int, ...], output_size: Size) -> tuple[Adaptive, ...]:
    outs = positive("output_size", output_size, spatial_rank(shape))
    for number, (n, out) in enumerate(zip(shape[2:], outs, strict=True)):
        if n < 1:
            raise ValueError(f"axis {number}: {n} positions cannot be pooled to {out}")
    return tuple(Adaptive(size=n, count=out) for n, out in zip(shape[2:], outs, strict=True))
