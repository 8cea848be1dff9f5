"""The engine with a fast algorithm for the convolutions that it suits; all else is the plain engine's."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from convsuite import algorithms
from convsuite.case import Pass
from convsuite.formats import FORMATS, is_integer
from convsuite_backends.numpy_im2col import fourier, winograd
from convsuite_backends.numpy_im2col.arrays import options
from convsuite_backends.numpy_im2col.backend import NumpyIm2col
from convsuite_backends.numpy_im2col.geometry import Geometry, geometry
from convsuite_backends.numpy_im2col.gradients import as_convolution
from convsuite_backends.numpy_im2col.rounding import accumulator, round_to
from convsuite_backends.numpy_im2col.weights import shift_of

if TYPE_CHECKING:
    from convsuite.case import Case, Numerics
    from convsuite.operations.conv import ConvCase

Values = NDArray[Any]


class _FastConvolutions(NumpyIm2col):
    """What the variants share: where their algorithm comes in, and that its bound is declared just there."""

    _why: ClassVar[str]

    @abstractmethod
    def _forward(
        self, x: Values, weight: Values, shift: Values | None, g: Geometry, total: np.dtype[Any], y: Values
    ) -> Values:
        """Compute as `paths.forward` does."""

    @abstractmethod
    def _input_gradient(self, weight: Values, grad_output: Values, g: Geometry, total: np.dtype[Any]) -> Values:
        """Compute as `gradients.input_gradient` does."""

    @abstractmethod
    def _algorithm(self, g: Geometry, itemsize: int) -> algorithms.Fast | None:
        """Return the algorithm that computes a geometry in floats of a size, or None where the plain engine does."""

    def numerics(self, case: Case, pass_: Pass) -> Numerics:
        """Declare the algorithm of a pass that it computes."""
        declared = super().numerics(case, pass_)
        return replace(declared, fast=self._computes(case, pass_, declared))

    def explain(self, case: Case, pass_: Pass) -> str:
        """Name the algorithm of a pass that it computes; "" where the plain engine does."""
        fast = self._computes(case, pass_, super().numerics(case, pass_))
        return f"{fast.name}: {self._why}" if fast else ""

    def _computes(self, case: Case, pass_: Pass, declared: Numerics) -> algorithms.Fast | None:
        """Return the algorithm of a pass, or None where the plain engine computes it, in the arithmetic declared."""
        if case.operation not in ("conv", "depthwise_conv") or is_integer(case.dtype):
            return None
        g: Geometry | None = _geometry(case)  # type: ignore[arg-type]
        if pass_ is Pass.GRAD_INPUT and g is not None:
            g = as_convolution(g)
        if g is None or pass_ not in (Pass.FORWARD, Pass.GRAD_INPUT):
            return None
        return self._algorithm(g, FORMATS[declared.accumulator].itemsize)

    def conv(self, case: ConvCase, x: Values, weight: Values, bias: Values | None = None) -> Values:
        """Compute as `engine.conv` does."""
        total = accumulator(x, weight, bias)
        g = geometry(x.shape, weight.shape, None if bias is None else bias.shape, **options(case))
        if total.kind != "f" or x.dtype.kind != "f":
            return super().conv(case, x, weight, bias)
        with np.errstate(all="ignore"):
            return self._forward(x, weight, shift_of(bias, g, total), g, total, np.empty(g.out_shape, x.dtype))

    def conv_gradients(self, case: ConvCase, x: Values, weight: Values, *rest: Values) -> Sequence[Values]:
        """Compute as `engine.conv_gradients` does."""
        grad_output = rest[-1]
        with np.errstate(all="ignore"):
            to_bias = grad_output.sum(axis=(0, *range(2, grad_output.ndim)), dtype=accumulator(grad_output))
        return (
            self.conv_grad_input(case, x, weight, grad_output),
            self.conv_grad_weight(case, x, weight, grad_output),
            round_to(to_bias, x.dtype),
        )

    def conv_grad_input(self, case: ConvCase, x: Values, weight: Values, *rest: Values) -> Values:
        """Compute as `engine.conv_grad_input` does."""
        total, grad_output = accumulator(weight, rest[-1]), rest[-1]
        g = geometry(x.shape, weight.shape, None, **options(case))
        if total.kind != "f" or x.dtype.kind != "f" or grad_output.shape != g.out_shape:
            return super().conv_grad_input(case, x, weight, grad_output)
        with np.errstate(all="ignore"):
            return round_to(self._input_gradient(weight, grad_output, g, total), grad_output.dtype)

    depthwise_conv, depthwise_conv_gradients, depthwise_conv_grad_input = conv, conv_gradients, conv_grad_input


class NumpyIm2colFft(_FastConvolutions):
    """The engine with Fourier transforms for large windows."""

    _why = "dense windows so large that transforms are estimated to take less time than columns"
    _forward, _input_gradient = staticmethod(fourier.forward), staticmethod(fourier.input_gradient)

    def _algorithm(self, g: Geometry, itemsize: int) -> algorithms.Fast | None:
        how = fourier.plan(g, itemsize)
        return None if how is None else algorithms.Fft(size=how.size, kernel=g.kernel, channels=g.c_in)


class NumpyIm2colWinograd(_FastConvolutions):
    """The engine with Winograd's minimal filtering for 3×3 windows."""

    _why = "dense 3×3 windows of enough channels and positions"
    _forward, _input_gradient = staticmethod(winograd.forward), staticmethod(winograd.input_gradient)

    def _algorithm(self, g: Geometry, itemsize: int) -> algorithms.Fast | None:
        how = winograd.plan(g, itemsize)
        return None if how is None else algorithms.Winograd(tile=(how.m,) * 2, kernel=g.kernel, channels=g.c_in)


def _geometry(case: ConvCase) -> Geometry:
    return geometry(case.input_shape, case.weight_shape, None, **options(case))
