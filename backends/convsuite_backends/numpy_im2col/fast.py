"""What fast algorithms share: where each of them comes in, and that the plain paths compute all else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col import gradients, paths
from convsuite_backends.numpy_im2col.geometry import Geometry
from convsuite_backends.numpy_im2col.weights import flipped

Values = NDArray[Any]
Weights = Callable[..., Any]  # gives the transformed weights that an algorithm asks for


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One fast algorithm."""

    plan: Callable[[Geometry, int], Any]  # (geometry, itemsize) → how to compute it, or None: by the plain paths
    # (taps (groups, C_out / groups, C, *kernel), plan, dtype of the sums): transformed as a call comes to them, …
    anew: Callable[[Values, Any, np.dtype[Any]], Weights]
    # … or now, for all plans with the same `transform`
    kept: Callable[[Values, Any, np.dtype[Any]], Weights]
    # (x, weights, shift, geometry, plan, dtype of the sums, y): y is written; False if it is not finite everywhere
    convolve: Callable[[Values, Weights, Values | None, Geometry, Any, np.dtype[Any], Values], bool]

    def forward(
        self, x: Values, weight: Values, shift: Values | None, g: Geometry, total: np.dtype[Any], y: Values
    ) -> Values:
        """Write a convolution as `paths.forward` does, by the algorithm where it pays; return y."""
        how = self.plan(g, total.itemsize)
        if how is not None:
            taps = flipped(weight, g).reshape(g.groups, g.c_out, g.c_in, *g.kernel)
            if self.convolve(x, self.anew(taps, how, total), shift, g, how, total, y):
                return y
        return paths.forward(x, weight, shift, g, total, y)

    def input_gradient(self, weight: Values, grad_output: Values, g: Geometry, total: np.dtype[Any]) -> Values:
        """Return the gradient to the input as `gradients.input_gradient` does: a convolution with the weight turned."""
        inner = gradients.as_convolution(g)
        how = None if inner is None else self.plan(inner, total.itemsize)
        if inner is not None and how is not None:
            turned = weight if g.flip else np.flip(weight, axis=tuple(range(2, weight.ndim)))
            taps = turned.reshape(g.groups, g.c_out, g.c_in, *g.kernel).swapaxes(1, 2)
            y = np.empty(inner.out_shape, total)
            if self.convolve(grad_output, self.anew(taps, how, total), None, inner, how, total, y):
                return y
        return gradients.input_gradient(weight, grad_output, g, total)
