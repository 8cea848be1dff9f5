"""The engine as a backend of convsuite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convsuite.case import Support
from convsuite_backends._pools import declared_first
from convsuite_backends.numpy_im2col.adaptive import (
    adaptive_avg_pool,
    adaptive_avg_pool_gradient,
    adaptive_max_pool,
    adaptive_max_pool_gradient,
    adaptive_max_pool_indices,
)
from convsuite_backends.numpy_im2col.arrays import (
    NumpyArrays,
    finish,
    options,
    pool_options,
    sliding_options,
    to_channels_first,
    transposed_options,
)
from convsuite_backends.numpy_im2col.engine import conv, conv_grad_input, conv_grad_weight, conv_gradients
from convsuite_backends.numpy_im2col.explain import explain
from convsuite_backends.numpy_im2col.local import local_conv, local_conv_gradients
from convsuite_backends.numpy_im2col.patches import fold, patches
from convsuite_backends.numpy_im2col.pooling import (
    avg_pool,
    avg_pool_gradient,
    lp_pool,
    lp_pool_gradient,
    max_pool,
    max_pool_gradient,
    max_pool_indices,
)
from convsuite_backends.numpy_im2col.separable import separable_conv, separable_conv_gradients
from convsuite_backends.numpy_im2col.transposed import (
    conv_transpose,
    conv_transpose_grad_input,
    conv_transpose_grad_weight,
    conv_transpose_gradients,
)
from convsuite_backends.numpy_im2col.workspace import workspace

if TYPE_CHECKING:
    from convsuite.backend import Function, Gradient, GradientCall
    from convsuite.case import Case, Pass
    from convsuite.operations.adaptive_avg_pool import AdaptiveAvgPoolCase
    from convsuite.operations.adaptive_max_pool import AdaptiveMaxPoolCase
    from convsuite.operations.avg_pool import AvgPoolCase
    from convsuite.operations.conv import ConvCase
    from convsuite.operations.conv_transpose import ConvTransposeCase
    from convsuite.operations.depthwise_conv import DepthwiseCase
    from convsuite.operations.fold import FoldCase
    from convsuite.operations.learn_kernel import LearnKernelCase
    from convsuite.operations.local_conv import LocalConvCase
    from convsuite.operations.lp_pool import LpPoolCase
    from convsuite.operations.max_pool import MaxPoolCase
    from convsuite.operations.patches import PatchesCase
    from convsuite.operations.receptive_field import ReceptiveFieldCase
    from convsuite.operations.separable_conv import SeparableCase

Values = NDArray[Any]


class NumpyIm2col(NumpyArrays):
    """convsuite's own engine: im2col and matrix products, NumPy only.

    An operation's methods, `conv` and `conv_gradients`, take the operands channels first; the latter with the output's
    gradient last.
    """

    def forward(self, case: Case, method: str = "") -> Function:
        """Return a method as a function of operands in the case's layout."""
        compute = getattr(self, method or case.operation)
        role = "indices" if method.endswith("_indices") else "output"
        return lambda *operands: finish(compute(case, *_channels_first(case, operands)), role, case)

    def backward(self, case: Case) -> Gradient:
        """Return the analytic gradients as a function of operands in the case's layout."""
        compute = getattr(self, f"{case.operation}_gradients")

        def gradients(operands: Sequence[Values], grad_output: Values) -> list[Values]:
            found = compute(case, *_channels_first(case, (*operands, grad_output)))
            return [finish(a, o.role, case) for a, o, _ in zip(found, case.operands, operands, strict=False)]

        return gradients

    def gradient_of(self, case: Case, pass_: Pass) -> GradientCall:
        """Return one gradient by a method of its own, `conv_grad_input`, where there is one."""
        compute = getattr(self, f"{case.operation}_{pass_.value}", None)
        if compute is None:
            return super().gradient_of(case, pass_)

        def bind(operands: Sequence[Values], grad_output: Values) -> Callable[[], Values]:
            arrays = (*operands, grad_output)
            return lambda: finish(compute(case, *_channels_first(case, arrays)), pass_.role, case)

        return bind

    def workspace_bytes(self, call: Callable[[], Values]) -> int | None:
        """Return what a call used of the thread's workspace, and what it allocated beyond that and its result."""
        own = workspace()
        own.peak = 0
        allocated = super().workspace_bytes(call)
        return None if allocated is None else allocated + own.peak

    def explain(self, case: Case, pass_: Pass) -> str:
        """See `explain.explain`."""
        return explain(case, pass_)

    def support(self, case: Case) -> Support:
        """Declare what is made of several of the engine's calls."""
        if case.operation == "learn_kernel":
            return Support.composed("conv and its gradients, a sum of squares and a subtraction each step")
        return Support.native()

    def gradient_support(self, case: Case) -> Support:
        """Declare where a max pool's window points to."""
        return declared_first(case)

    def indices_support(self, case: Case) -> Support:
        """Declare the same."""
        return declared_first(case)

    def conv(self, case: ConvCase, x: Values, weight: Values, bias: Values | None = None) -> Values:
        """See `engine.conv`."""
        return conv(x, weight, bias, **options(case))

    def conv_gradients(self, case: ConvCase, x: Values, weight: Values, *rest: Values) -> Sequence[Values]:
        """See `engine.conv_gradients`."""
        return conv_gradients(x, weight, rest[-1], **options(case))

    def conv_grad_input(self, case: ConvCase, x: Values, weight: Values, *rest: Values) -> Values:
        """See `engine.conv_grad_input`."""
        return conv_grad_input(x.shape, weight, rest[-1], **options(case))

    def conv_grad_weight(self, case: ConvCase, x: Values, weight: Values, *rest: Values) -> Values:
        """See `engine.conv_grad_weight`."""
        return conv_grad_weight(x, weight.shape, rest[-1], **options(case))

    depthwise_conv_grad_input, depthwise_conv_grad_weight = conv_grad_input, conv_grad_weight

    def conv_transpose(self, case: ConvTransposeCase, x: Values, weight: Values, bias: Values | None = None) -> Values:
        """See `transposed.conv_transpose`."""
        return conv_transpose(x, weight, bias, **transposed_options(case))

    def conv_transpose_gradients(
        self, case: ConvTransposeCase, x: Values, weight: Values, *rest: Values
    ) -> Sequence[Values]:
        """See `transposed.conv_transpose_gradients`."""
        return conv_transpose_gradients(x, weight, rest[-1], **transposed_options(case))

    def conv_transpose_grad_input(self, case: ConvTransposeCase, x: Values, weight: Values, *rest: Values) -> Values:
        """See `transposed.conv_transpose_grad_input`."""
        return conv_transpose_grad_input(x.shape, weight, rest[-1], **transposed_options(case))

    def conv_transpose_grad_weight(self, case: ConvTransposeCase, x: Values, weight: Values, *rest: Values) -> Values:
        """See `transposed.conv_transpose_grad_weight`."""
        return conv_transpose_grad_weight(x, weight.shape, rest[-1], **transposed_options(case))

    def depthwise_conv(self, case: DepthwiseCase, x: Values, weight: Values, bias: Values | None = None) -> Values:
        """See `engine.conv`, with as many groups as channels."""
        return conv(x, weight, bias, **options(case))

    def depthwise_conv_gradients(
        self, case: DepthwiseCase, x: Values, weight: Values, *rest: Values
    ) -> Sequence[Values]:
        """See `engine.conv_gradients`."""
        return conv_gradients(x, weight, rest[-1], **options(case))

    def separable_conv(
        self, case: SeparableCase, x: Values, depthwise: Values, pointwise: Values, bias: Values | None = None
    ) -> Values:
        """See `separable.separable_conv`."""
        return separable_conv(x, depthwise, pointwise, bias, **sliding_options(case))

    def separable_conv_gradients(
        self, case: SeparableCase, x: Values, depthwise: Values, pointwise: Values, *rest: Values
    ) -> Sequence[Values]:
        """See `separable.separable_conv_gradients`."""
        return separable_conv_gradients(x, depthwise, pointwise, rest[-1], **sliding_options(case))

    def patches(self, case: PatchesCase, x: Values) -> Values:
        """See `patches.patches`."""
        return patches(x, kernel=case.kernel, order=case.order, **sliding_options(case))

    def patches_gradients(self, case: PatchesCase, x: Values, grad: Values) -> Sequence[Values]:
        """See `patches.fold`."""
        sizes = x.shape[2:]
        return (fold(grad, output_size=sizes, kernel=case.kernel, order=case.order, **sliding_options(case)),)

    def fold(self, case: FoldCase, x: Values) -> Values:
        """See `patches.fold`."""
        return fold(x, output_size=case.output, kernel=case.kernel, order=case.order, **sliding_options(case))

    def fold_gradients(self, case: FoldCase, x: Values, grad: Values) -> Sequence[Values]:
        """See `patches.patches`."""
        return (patches(grad, kernel=case.kernel, order=case.order, **sliding_options(case)),)

    def local_conv(self, case: LocalConvCase, x: Values, weight: Values, bias: Values | None = None) -> Values:
        """See `local.local_conv`."""
        return local_conv(x, weight, bias, **sliding_options(case))

    def local_conv_gradients(self, case: LocalConvCase, x: Values, weight: Values, *rest: Values) -> Sequence[Values]:
        """See `local.local_conv_gradients`."""
        return local_conv_gradients(x, weight, rest[-1], **sliding_options(case))

    def max_pool(self, case: MaxPoolCase, x: Values) -> Values:
        """See `pooling.max_pool`."""
        return max_pool(x, nan=case.nan, **pool_options(case))

    def max_pool_indices(self, case: MaxPoolCase, x: Values) -> Values:
        """See `pooling.max_pool_indices`."""
        return max_pool_indices(x, nan=case.nan, **pool_options(case))

    def max_pool_gradients(self, case: MaxPoolCase, x: Values, grad: Values) -> Sequence[Values]:
        """See `pooling.max_pool_gradient`."""
        return (max_pool_gradient(x, grad, nan=case.nan, **pool_options(case)),)

    def avg_pool(self, case: AvgPoolCase, x: Values) -> Values:
        """See `pooling.avg_pool`."""
        return avg_pool(x, **_divided(case))

    def avg_pool_gradients(self, case: AvgPoolCase, x: Values, grad: Values) -> Sequence[Values]:
        """See `pooling.avg_pool_gradient`."""
        return (avg_pool_gradient(x, grad, **_divided(case)),)

    def lp_pool(self, case: LpPoolCase, x: Values) -> Values:
        """See `pooling.lp_pool`."""
        return lp_pool(x, power=case.power, absolute=case.absolute, **pool_options(case))

    def lp_pool_gradients(self, case: LpPoolCase, x: Values, grad: Values) -> Sequence[Values]:
        """See `pooling.lp_pool_gradient`."""
        return (lp_pool_gradient(x, grad, power=case.power, absolute=case.absolute, **pool_options(case)),)

    def adaptive_avg_pool(self, case: AdaptiveAvgPoolCase, x: Values) -> Values:
        """See `adaptive.adaptive_avg_pool`."""
        return adaptive_avg_pool(x, output_size=case.output)

    def adaptive_avg_pool_gradients(self, case: AdaptiveAvgPoolCase, x: Values, grad: Values) -> Sequence[Values]:
        """See `adaptive.adaptive_avg_pool_gradient`."""
        return (adaptive_avg_pool_gradient(x, grad, output_size=case.output),)

    def adaptive_max_pool(self, case: AdaptiveMaxPoolCase, x: Values) -> Values:
        """See `adaptive.adaptive_max_pool`."""
        return adaptive_max_pool(x, output_size=case.output, nan=case.nan)

    def adaptive_max_pool_indices(self, case: AdaptiveMaxPoolCase, x: Values) -> Values:
        """See `adaptive.adaptive_max_pool_indices`."""
        return adaptive_max_pool_indices(x, output_size=case.output, nan=case.nan)

    def adaptive_max_pool_gradients(self, case: AdaptiveMaxPoolCase, x: Values, grad: Values) -> Sequence[Values]:
        """See `adaptive.adaptive_max_pool_gradient`."""
        return (adaptive_max_pool_gradient(x, grad, output_size=case.output, nan=case.nan),)

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


def _divided(case: AvgPoolCase) -> dict[str, Any]:
    return pool_options(case) | {"count_include_pad": case.count_include_pad, "divisor": case.divisor}


def _channels_first(case: Case, operands: Sequence[Values]) -> list[Values]:
    return [to_channels_first(a, o.role, case.layout) for a, o in zip(operands, case.operands, strict=False)]
