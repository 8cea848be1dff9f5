"""The transposed convolution and its gradients: the adjoint of a convolution from its output to its input.

That convolution takes (N, C_out, *out) to (N, C_in, *spatial) with the same weight; what is forward in one is the
gradient of the other, so all of it is the engine's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.engine import Gradients
from convsuite_backends.numpy_im2col.geometry import (
    Geometry,
    Pads,
    Size,
    check_bias,
    check_groups,
    near,
    per_axis,
    per_axis_pads,
    positive,
)
from convsuite_backends.numpy_im2col.gradients import input_gradient, weight_gradient
from convsuite_backends.numpy_im2col.outputs import room
from convsuite_backends.numpy_im2col.paths import forward
from convsuite_backends.numpy_im2col.rounding import accumulator, round_to

Values = NDArray[Any]


@np.errstate(all="ignore")
def conv_transpose(
    x: Values,
    weight: Values,
    bias: Values | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    output_padding: Size = 0,
    groups: int = 1,
    flip: bool = False,
    out: Values | None = None,
) -> Values:
    """Scatter each input through the kernel: y[n, o, p·stride + t·dilation − low] += Σ_c x[n,c,p] · w[c,o,t], + b[o].

    Parameters
    ----------
    x
        (N, C_in, *spatial), any number of spatial axes, any strides; float64, float32, float16, int32 or int8.
    weight
        (C_in, C_out / groups, *kernel), of x's dtype.
    bias
        (C_out,), of x's dtype.
    stride, dilation
        one number for all axes or one for each; a dilation of 1 is dense.
    padding
        what is cropped from the full scatter: one number for all axes, or for each a number or (low, high); a negative
        number adds zeros.
    output_padding
        positions added at the high end, less than the larger of stride and dilation: one number, or one for each axis.
    groups
        consecutive channels that see only each other.
    flip
        reverse the kernel on every spatial axis.
    out
        an array of the result's shape and dtype to write into, of any strides; no memory of it is x's or weight's.

    Returns
    -------
    (N, C_out, *out) with out = (spatial − 1)·stride − low − high + dilation·(kernel − 1) + output_padding + 1, in x's
    dtype: float16 is summed in float32 and rounded once, integers wrap.

    Raises
    ------
    ValueError
        an argument that gives no transposed convolution; the text has the numbers.
    TypeError
        operands of several dtypes, or of one that is not listed.
    """
    total = accumulator(x, weight, bias)
    g = adjoint(
        x.shape, weight.shape, stride=stride, dilation=dilation, padding=padding, output_padding=output_padding,
        groups=groups, flip=flip,
    )  # fmt: skip
    check_bias(None if bias is None else bias.shape, g.groups * g.c_in)
    into = None if out is None else room(out, (g.batch, g.groups * g.c_in, *g.sizes), x.dtype, x, weight, bias)
    y = input_gradient(weight, x, g, total)
    if bias is not None:
        y += bias.astype(total).reshape(-1, *(1,) * len(g.sizes))
    rounded = round_to(y, x.dtype)
    if into is None:
        return rounded
    into[...] = rounded
    return into


@np.errstate(all="ignore")
def conv_transpose_gradients(
    x: Values,
    weight: Values,
    grad_output: Values,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    output_padding: Size = 0,
    groups: int = 1,
    flip: bool = False,
) -> Gradients:
    """Return the gradients of ⟨conv_transpose(x, weight, bias), grad_output⟩ to x, weight and bias.

    Arguments are those of `conv_transpose`, with grad_output in the shape of its result. Raises as it does, and
    ValueError where grad_output has another shape.
    """
    total = accumulator(x, weight, grad_output)
    g = _gradient_geometry(
        x.shape, weight.shape, grad_output, stride=stride, dilation=dilation, padding=padding,
        output_padding=output_padding, groups=groups, flip=flip,
    )  # fmt: skip
    to_x = forward(grad_output, weight, None, g, total, np.empty(x.shape, x.dtype))
    to_weight = weight_gradient(grad_output, x, g, total)
    to_bias = grad_output.sum(axis=(0, *range(2, grad_output.ndim)), dtype=total)
    return Gradients(to_x, round_to(to_weight, x.dtype), round_to(to_bias, x.dtype))


@np.errstate(all="ignore")
def conv_transpose_grad_input(
    x_shape: tuple[int, ...],
    weight: Values,
    grad_output: Values,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    output_padding: Size = 0,
    groups: int = 1,
    flip: bool = False,
) -> Values:
    """Return the gradient to x, which has `x_shape`, alone; see `conv_transpose_gradients`."""
    total = accumulator(weight, grad_output)
    g = _gradient_geometry(
        x_shape, weight.shape, grad_output, stride=stride, dilation=dilation, padding=padding,
        output_padding=output_padding, groups=groups, flip=flip,
    )  # fmt: skip
    return forward(grad_output, weight, None, g, total, np.empty(x_shape, grad_output.dtype))


@np.errstate(all="ignore")
def conv_transpose_grad_weight(
    x: Values,
    weight_shape: tuple[int, ...],
    grad_output: Values,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    output_padding: Size = 0,
    groups: int = 1,
    flip: bool = False,
) -> Values:
    """Return the gradient to a weight of a shape alone; see `conv_transpose_gradients`."""
    total = accumulator(x, grad_output)
    g = _gradient_geometry(
        x.shape, weight_shape, grad_output, stride=stride, dilation=dilation, padding=padding,
        output_padding=output_padding, groups=groups, flip=flip,
    )  # fmt: skip
    return round_to(weight_gradient(grad_output, x, g, total), x.dtype)


def _gradient_geometry(
    x_shape: tuple[int, ...], weight_shape: tuple[int, ...], grad_output: Values, **options: Any
) -> Geometry:
    """Return the geometry of `adjoint`. Raise ValueError where grad_output has another shape than the output."""
    g = adjoint(x_shape, weight_shape, **options)
    due = (g.batch, g.groups * g.c_in, *g.sizes)
    if grad_output.shape != due:
        raise ValueError(f"grad_output must have the output's shape {due}, not {grad_output.shape}")
    return g


def adjoint(
    x: tuple[int, ...],
    weight: tuple[int, ...],
    *,
    stride: Size,
    dilation: Size,
    padding: Pads,
    output_padding: Size,
    groups: int,
    flip: bool,
) -> Geometry:
    """Return the geometry of the convolution from output to x. Raise ValueError, with the numbers, where there is none.

    What output_padding adds no input reaches, so that convolution does not see it: its high pad is less by as much.
    """
    rank = _checked_rank(x, weight, groups)
    pads, extra = per_axis_pads(padding, rank), per_axis("output_padding", output_padding, rank)
    kernel, steps = positive("kernel", weight[2:], rank), positive("stride", stride, rank)
    spread = positive("dilation", dilation, rank)
    axes = zip(range(rank), x[2:], kernel, steps, spread, pads, extra, strict=True)
    found = Geometry(
        batch=x[0],
        groups=groups,
        c_in=weight[1],
        c_out=weight[0] // groups,
        sizes=tuple(_size(*axis) for axis in axes),
        kernel=kernel,
        stride=steps,
        dilation=spread,
        pads=tuple((low, high - more) for (low, high), more in zip(pads, extra, strict=True)),
        mode="zeros",
        flip=flip,
    )
    return near(found)


def _checked_rank(x: tuple[int, ...], weight: tuple[int, ...], groups: int) -> int:
    rank = len(weight) - 2
    if rank < 1 or len(x) != len(weight):
        raise ValueError(
            f"x {x} has {len(x)} axes, weight {weight} has {len(weight)}: they must be (N, C_in, *spatial) and "
            f"(C_in, C_out / groups, *kernel) with the same number of spatial axes, at least 1"
        )
    check_groups(groups, {"input": x[1]})
    if weight[0] != x[1]:
        raise ValueError(f"weight takes {weight[0]} channels, x has {x[1]}")
    return rank


def _size(axis: int, n: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], extra: int) -> int:
    """Return the output positions along an axis."""
    if not 0 <= extra < max(stride, dilation):
        raise ValueError(
            f"axis {axis}: output_padding must be from 0 to below {max(stride, dilation)}, the larger of stride "
            f"{stride} and dilation {dilation}, not {extra}"
        )
    full = (n - 1) * stride + dilation * (kernel - 1) + 1
    if n < 1 or full + extra <= sum(pads):
        raise ValueError(
            f"axis {axis}: {n} inputs spread over {full if n else 0} positions; with output_padding {extra} "
            f"and padding {pads[0]} + {pads[1]} cropped nothing is left"
        )
    return full + extra - sum(pads)
