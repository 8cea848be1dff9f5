"""The engine as a backend of convsuite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.arrays import (
    NumpyArrays,
    finish,
    options,
    to_channels_first,
    transposed_options,
)
from convsuite_backends.numpy_im2col.engine import conv, conv_gradients
from convsuite_backends.numpy_im2col.transposed import conv_transpose, conv_transpose_gradients

if TYPE_CHECKING:
    from convsuite.backend import Function, Gradient
    from convsuite.case import Case
    from convsuite.operations.conv import ConvCase
    from convsuite.operations.conv_transpose import ConvTransposeCase
    from convsuite.operations.learn_kernel import LearnKernelCase
    from convsuite.operations.receptive_field import ReceptiveFieldCase

Values = NDArray[Any]


class NumpyIm2col(NumpyArrays):
    """convsuite's own engine: im2col and matrix products, NumPy only.

    An operation's methods, `conv` and `conv_gradients`, take the operands channels first; the latter with the output's
    gradient last.
    """

    def forward(self, case: Case, method: str = "") -> Function:
        """Return a method as a function of operands in the case's layout."""
        compute, role = getattr(self, method or case.operation), "indices" if method else "output"
        return lambda *operands: finish(compute(case, *_channels_first(case, operands)), role, case)

    def backward(self, case: Case) -> Gradient:
        """Return the analytic gradients as a function of operands in the case's layout."""
        compute = getattr(self, f"{case.operation}_gradients")

        def gradients(operands: Sequence[Values], grad_output: Values) -> list[Values]:
            found = compute(case, *_channels_first(case, (*operands, grad_output)))
            return [finish(a, o.role, case) for a, o, _ in zip(found, case.operands, operands, strict=False)]

        return gradients

    def conv(self, case: ConvCase, x: Values, weight: Values, bias: Values | None = None) -> Values:
        """See `engine.conv`."""
        return conv(x, weight, bias, **options(case))

    def conv_gradients(self, case: ConvCase, x: Values, weight: Values, *rest: Values) -> Sequence[Values]:
        """See `engine.conv_gradients`."""
        return conv_gradients(x, weight, rest[-1], **options(case))

    def conv_transpose(self, case: ConvTransposeCase, x: Values, weight: Values, bias: Values | None = None) -> Values:
        """See `transposed.conv_transpose`."""
        return conv_transpose(x, weight, bias, **transposed_options(case))

    def conv_transpose_gradients(
        self, case: ConvTransposeCase, x: Values, weight: Values, *rest: Values
    ) -> Sequence[Values]:
        """See `transposed.conv_transpose_gradients`."""
        return conv_transpose_gradients(x, weight, rest[-1], **transposed_options(case))

    def receptive_field(self, case: ReceptiveFieldCase, x: Values) -> Values:
        """Call `engine.conv` for one layer after another, with weights of ones."""
        return _stack(case, x)[-1]

    def receptive_field_gradients(self, case: ReceptiveFieldCase, x: Values, grad: Values) -> Sequence[Values]:
        """Return the gradient to the input, layer by layer from the last."""
        for layer, seen in zip(reversed(case.layers), reversed(_stack(case, x)[:-1]), strict=True):
            grad = conv_gradients(seen, _ones(layer, x), grad, **options(layer)).x
        return (grad,)

    def learn_kernel(self, case: LearnKernelCase, x: Values, target: Values, weight: Values) -> Values:
        """Step by step: the analytic gradient of the loss, then subtract it."""
        rows = []
        for _ in range(case.steps):
            residual = conv(x, weight) - target
            rate = residual.dtype.type(case.learning_rate)
            gradient = conv_gradients(x, weight, 2 * residual).weight
            weight = weight - rate * gradient
            rows.append(np.concatenate([[(residual**2).sum()], weight.ravel()]).astype(x.dtype))
        return np.stack(rows)


def _stack(case: ReceptiveFieldCase, x: Values) -> list[Values]:
    """Return the input and what each layer makes of it."""
    made = [x]
    for layer in case.layers:
        made.append(conv(made[-1], _ones(layer, x), **options(layer)))
    return made


def _ones(layer: ConvCase, like: Values) -> Values:
    return np.ones(layer.weight_shape, like.dtype)


def _channels_first(case: Case, operands: Sequence[Values]) -> list[Values]:
    return [to_channels_first(a, o.role, case.layout) for a, o in zip(operands, case.operands, strict=False)]
