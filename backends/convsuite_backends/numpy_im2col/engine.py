"""The convolution and its gradients, as a library."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.geometry import Geometry, Pads, Size, geometry
from convsuite_backends.numpy_im2col.gradients import input_gradient, weight_gradient
from convsuite_backends.numpy_im2col.outputs import room
from convsuite_backends.numpy_im2col.paths import forward
from convsuite_backends.numpy_im2col.rounding import accumulator, round_to
from convsuite_backends.numpy_im2col.weights import shift_of

Values = NDArray[Any]


class Gradients(NamedTuple):
    """Gradients of ⟨conv(x, weight, bias), grad_output⟩, each in its operand's shape and dtype."""

    x: Values
    weight: Values
    bias: Values


@np.errstate(all="ignore")  # infinities and NaN go the way of IEEE arithmetic, in silence
def conv(
    x: Values,
    weight: Values,
    bias: Values | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    padding_mode: str = "zeros",
    groups: int = 1,
    flip: bool = False,
    out: Values | None = None,
) -> Values:
    """Convolve, as frameworks mean it: y[n,o,p] = b[o] + Σ_c Σ_t x̂[n, c, p·stride + t·dilation] · w[o,c,t].

    Parameters
    ----------
    x
        (N, C_in, *spatial), any number of spatial axes, any strides; float64, float32, float16, int32 or int8.
    weight
        (C_out, C_in / groups, *kernel), of x's dtype.
    bias
        (C_out,), of x's dtype.
    stride, dilation
        one number for all axes or one for each; a dilation of 1 is dense.
    padding
        one number for all axes, or for each a number or (low, high); a negative number crops.
    padding_mode
        zeros, reflect (the edge not repeated), replicate or circular.
    groups
        consecutive channels that see only each other; C_in for a depthwise convolution.
    flip
        reverse the kernel on every spatial axis: the convolution of mathematics.
    out
        an array of the result's shape and dtype to write into, of any strides; no memory of it is x's or weight's.

    Returns
    -------
    (N, C_out, *out) with out = ⌊(spatial + low + high − dilation·(kernel − 1) − 1) / stride⌋ + 1, in x's dtype:
    float16 is summed in float32 and rounded once, integers wrap.

    Raises
    ------
    ValueError
        an argument that gives no convolution; the text has the numbers.
    TypeError
        operands of several dtypes, or of one that is not listed.
    """
    total = accumulator(x, weight, bias)
    g = geometry(
        x.shape,
        weight.shape,
        None if bias is None else bias.shape,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode=padding_mode,
        groups=groups,
        flip=flip,
    )
    return forward(x, weight, shift_of(bias, g, total), g, total, room(out, g.out_shape, x.dtype, x, weight, bias))


@np.errstate(all="ignore")
def conv_gradients(
    x: Values,
    weight: Values,
    grad_output: Values,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    padding_mode: str = "zeros",
    groups: int = 1,
    flip: bool = False,
) -> Gradients:
    """Return the gradients of ⟨conv(x, weight, bias), grad_output⟩ to x, weight and bias.

    Arguments are those of `conv`, with grad_output in the shape of its result. Raises as `conv` does, and ValueError
    where grad_output has another shape.
    """
    total = accumulator(x, weight, grad_output)
    g = _gradient_geometry(
        x.shape,
        weight.shape,
        grad_output,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode=padding_mode,
        groups=groups,
        flip=flip,
    )
    to_bias = grad_output.sum(axis=(0, *range(2, grad_output.ndim)), dtype=total)
    found = input_gradient(weight, grad_output, g, total), weight_gradient(x, grad_output, g, total), to_bias
    return Gradients(*(round_to(a, x.dtype) for a in found))


@np.errstate(all="ignore")
def conv_grad_input(
    x_shape: tuple[int, ...],
    weight: Values,
    grad_output: Values,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    padding_mode: str = "zeros",
    groups: int = 1,
    flip: bool = False,
) -> Values:
    """Return the gradient of ⟨conv(x, weight, bias), grad_output⟩ to x, which has `x_shape`; see `conv_gradients`."""
    total = accumulator(weight, grad_output)
    g = _gradient_geometry(
        x_shape,
        weight.shape,
        grad_output,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode=padding_mode,
        groups=groups,
        flip=flip,
    )
    return round_to(input_gradient(weight, grad_output, g, total), grad_output.dtype)


@np.errstate(all="ignore")
def conv_grad_weight(
    x: Values,
    weight_shape: tuple[int, ...],
    grad_output: Values,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    padding_mode: str = "zeros",
    groups: int = 1,
    flip: bool = False,
) -> Values:
    """Return the gradient of ⟨conv(x, weight, bias), grad_output⟩ to a weight of a shape; see `conv_gradients`."""
    total = accumulator(x, grad_output)
    g = _gradient_geometry(
        x.shape,
        weight_shape,
        grad_output,
        stride=stride,
        dilation=dilation,
        padding=padding,
        padding_mode=padding_mode,
        groups=groups,
        flip=flip,
    )
    return round_to(weight_gradient(x, grad_output, g, total), x.dtype)


def _gradient_geometry(
    x_shape: tuple[int, ...], weight_shape: tuple[int, ...], grad_output: Values, **options: Any
) -> Geometry:
    """Return the geometry of a gradient. Raise ValueError where grad_output has another shape than the output."""
    g = geometry(x_shape, weight_shape, None, **options)
    if grad_output.shape != g.out_shape:
        raise ValueError(f"grad_output must have the output's shape {g.out_shape}, not {grad_output.shape}")
    return g
