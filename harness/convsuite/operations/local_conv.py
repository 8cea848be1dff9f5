"""Locally connected convolution: unshared weights, that is, a kernel of its own for every output position.

    y[n, o, p] = b[o, p] + Σ_c Σ_t x̂[n, c, p·stride + t·dilation] · w[o, c, t, p]

with x̂ the input padded with zeros, p over output positions, t over taps. The weight is (C_out, C_in, *kernel, *output)
throughout, the bias (C_out, *output); there are no groups. With one kernel for all positions it would be `conv`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

from convsuite.case import Case, Expected, Literal, Operand, Pass, Work
from convsuite.entry import ArrayEntry, ChannelsEntry, Size, WindowEntry, says
from convsuite.errors import CaseError
from convsuite.formats import FORMATS
from convsuite.operations import arrays as operand
from convsuite.operations import axes, patches, window
from convsuite.operations.common import Common, bias_rules, gradient_rules, literal, rank_of
from convsuite.operations.patches import PatchesCase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convsuite.arithmetic import Arithmetic, Real

NAME = "local_conv"
PASSES = (Pass.FORWARD, Pass.GRAD_INPUT, Pass.GRAD_WEIGHT, Pass.GRAD_BIAS)
COMPARES = False


class LocalKernelEntry(ArrayEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The kernels: their spatial size, or all of them, written out in one of two ways.

    `values` is nested (output channels, input channels, *output, *kernel): a kernel for each output position, channels
    left out where there is one. `flat` is nested as Keras 2 kept the weight of its LocallyConnected layers, (output
    positions, taps · input channels, output channels), positions and taps row-major, and needs the `size`.
    """

    flat: Annotated[
        list[Any] | None, says("values as Keras 2 kept them: (positions, taps · input channels, output channels)")
    ] = None
    channels: Annotated[int | None, says("input channels that the weight claims, for cases to be refused")] = None
    output: Annotated[Size | None, says("output positions that the weight claims, for cases to be refused")] = None


class LocalConvEntry(WindowEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A locally connected convolution as a case file writes it."""

    kernel: Annotated[LocalKernelEntry | Size | None, says("a size, or the weight's values (required)")] = None
    stride: Annotated[Size, says("the step of the window")] = 1
    channels: Annotated[
        int | ChannelsEntry | None, says("one number for both, or one each; unless given, 1 or as the values say")
    ] = None
    bias: Annotated[bool, says("`true` to fill one, of a number for each output channel and position")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalConvCase(Case):
    """A locally connected convolution, resolved."""

    out_channels: int
    bias: bool = False

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(C_out, C_in, *kernel, *output), or what the case claims instead where it is to be refused."""
        return self.operands[1].shape

    @property
    def output(self) -> tuple[int, ...]:
        """How many output positions each axis has. Only for a case without violations."""
        return tuple(axis.count for axis in window.windows(self))

    def patches(self, order: str) -> PatchesCase:
        """Return the input's patches, of which the output is a product with the weight, position by position."""
        return PatchesCase(
            id=self.id,
            operation=patches.NAME,
            input_shape=self.input_shape,
            kernel=self.kernel,
            stride=self.stride,
            dilation=self.dilation,
            padding=self.padding,
            dtype=self.dtype,
            layout=self.layout,
            passes=self.passes,
            operands=self.operands[:1],
            expect=self.expect,
            origin=self.origin,
            order=order,
        )


ENTRY = LocalConvEntry
CASE = LocalConvCase
AXES = (
    axes.RANK,
    axes.DTYPE,
    axes.BATCH,
    axes.KERNEL,
    axes.STRIDE,
    axes.DILATION,
    axes.PADDING,
    axes.LAYOUT,
    axes.fills(("integers", "normal", "cancelling", "special")),  # those that ask different things of sums
    axes.yes_no("several channels", lambda c: c.input_shape[1] > 1),
    axes.BIAS,
    axes.MEMORY_OF_INPUT,
    axes.MEMORY_OF_WEIGHT,
    axes.MEMORY_OF_GRAD_OUTPUT,
    axes.passes(PASSES),
)
EXCLUSIONS = (*axes.EVERYWHERE, axes.NO_GRAD_BIAS)


def resolve(entry: LocalConvEntry, common: Common) -> LocalConvCase:
    """Resolve what was written to a case. Raise CaseError where it cannot even be said what is meant."""
    k = _kernels(entry.kernel)
    size = k.size if k.size is not None else operand.array(entry.input, "input").size
    rank = rank_of(entry.rank, size, None, "kernel")
    written = _written(k, rank)
    kernel = written.shape[2 + rank :] if written and k.values else operand.extent(k.size, rank)
    channels = operand.agreed(entry.channels, operand.input_literal(entry, rank), _channels_of(written, k, kernel))
    x = operand.input_operand(entry, rank, channels.in_)
    stride, dilation = window.per_axis(entry.stride, rank, "stride"), window.per_axis(entry.dilation, rank, "dilation")
    case = LocalConvCase(
        id=common.id,
        operation=NAME,
        input_shape=x.shape,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=window.resolve_padding(entry.padding, "zeros", x.shape[2:], kernel, stride, dilation),
        operands=(x,),
        out_channels=channels.out,
        bias=entry.bias,
        **common.shared(entry, rank),
    )
    return _with_operands(case, entry, k, written)


def violations(case: LocalConvCase) -> list[CaseError]:
    """Return every rule that the case breaks: those of the window, and that there is a kernel for each output."""
    broken = window.window_rules(case.input_shape[2:], case.kernel, case.stride, case.dilation, case.padding)
    claimed, due = case.weight_shape[1], case.input_shape[1]
    if claimed != due:
        broken.append(CaseError(("channels",), f"the weight takes {claimed} input channels, the input has {due}"))
    positions = case.weight_shape[2 + case.rank :]
    if not broken and positions != case.output:
        text = f"the weight has kernels for {list(positions)} output positions, there are {list(case.output)}"
        broken.append(CaseError(("kernel",), text))
    return broken + gradient_rules(case) + bias_rules(case, case.bias)


def output_shape(case: LocalConvCase) -> tuple[int, ...]:
    """(N, C_out, *output). Only for a case without violations."""
    return (case.input_shape[0], case.out_channels, *case.output)


def terms(case: LocalConvCase, pass_: Pass) -> int:
    """K: products accumulated into one element. A weight, and a bias, is used once for each image."""
    match pass_:
        case Pass.FORWARD:
            return prod(case.kernel) * case.input_shape[1]
        case Pass.GRAD_INPUT:
            return window.met(window.windows(case)) * case.out_channels
        case _:
            return case.input_shape[0]


def work(case: LocalConvCase) -> Work:
    """FLOPs of the forward pass, padding counted; elements of input, weight, bias and output once, as bytes."""
    out = output_shape(case)
    elements = prod(case.input_shape) + prod(case.weight_shape) + prod(out) + (prod(out[1:]) if case.bias else 0)
    return Work(flops=2 * prod(out) * terms(case, Pass.FORWARD), bytes=elements * FORMATS[case.dtype].itemsize)


def picture(case: LocalConvCase) -> LocalConvCase:
    """Return the sliding window to draw: the case's own."""
    return case


def reference(case: LocalConvCase, arrays: Sequence[NDArray[Any]], pass_: Pass) -> Expected:
    """Return what the pass must give: one product of matrices for each output position."""
    from convsuite.arithmetic import evaluate

    return evaluate(
        lambda a, ops: _value(case, ops, pass_, a), arrays, case.dtype, terms(case, pass_), read=case.read_by(pass_)
    )


def _value(case: LocalConvCase, arrays: Sequence[Real], pass_: Pass, arithmetic: Arithmetic) -> Real:
    """Axes are n images, o output channels, r rows (channel, tap) of a window, p output positions."""
    import numpy as np

    from convsuite.operations import columns

    n, o, *out = output_shape(case)
    p, r, windows = prod(out), case.input_shape[1] * prod(case.kernel), window.windows(case)
    x, w, *rest = arrays
    seen, w, grad = columns.gather(windows, x).reshape(n, r, p), w.reshape(o, r, p), rest[-1] if rest else x
    match pass_:
        case Pass.FORWARD:
            total = arithmetic.matmul(w.transpose(2, 0, 1), seen.transpose(2, 1, 0))  # (p, o, n)
            if case.bias:
                added = columns.value(arithmetic, rest[0].reshape(o, p).T[:, :, None])
                arithmetic.add(total, (), np.broadcast_to(added, total.shape))
            return total.transpose(0, 3, 2, 1).reshape(arithmetic.parts, *output_shape(case))
        case Pass.GRAD_INPUT:
            share = arithmetic.matmul(w.transpose(2, 1, 0), grad.reshape(n, o, p).transpose(2, 1, 0))  # (p, r, n)
            shape = (arithmetic.parts, n, case.input_shape[1], *case.kernel, *out)
            return columns.scatter(windows, share.transpose(0, 3, 2, 1).reshape(shape), arithmetic)
        case Pass.GRAD_WEIGHT:
            total = arithmetic.matmul(grad.reshape(n, o, p).transpose(2, 1, 0), seen.transpose(2, 0, 1))  # (p, o, r)
            return total.transpose(0, 2, 3, 1).reshape(arithmetic.parts, *case.weight_shape)
        case _:
            return arithmetic.reduce(columns.value(arithmetic, grad), -2 - case.rank)


def _kernels(entry: LocalKernelEntry | Size | None) -> LocalKernelEntry:
    """Return the kernels' entry with its shorthand ended."""
    if entry is None or isinstance(entry, (int, list)):
        return LocalKernelEntry(size=operand.array(entry, "kernel").size)
    if entry.values is not None and entry.flat is not None:
        raise CaseError(("kernel",), "kernel has both `values` and `flat`: one is enough")
    if (entry.size is None) == (entry.values is None):
        raise CaseError(("kernel",), "kernel needs a `size`, or `values` that say it")
    return entry


def _written(k: LocalKernelEntry, rank: int) -> Literal | None:
    """Return the weight's values with the axes in which they are written, those left out as 1."""
    if k.values is not None:
        return literal(k.values, 2 * rank, ("kernel", "values"))  # (C_out, C_in, *output, *kernel)
    return literal(k.flat, 1, ("kernel", "flat")) if k.flat is not None else None


def _channels_of(written: Literal | None, k: LocalKernelEntry, kernel: tuple[int, ...]) -> ChannelsEntry | None:
    """Return the weight's channels where its values are written out."""
    if written is None:
        return None
    first, second, *_ = written.shape
    if k.values:
        return ChannelsEntry(in_=second, out=first)
    return ChannelsEntry(in_=second // max(1, prod(kernel)), out=written.shape[2])


def _with_operands(
    case: LocalConvCase, entry: LocalConvEntry, k: LocalKernelEntry, written: Literal | None
) -> LocalConvCase:
    """Return the case with its weight and bias, whose sizes follow from the output's, and the output's gradient."""
    rank, form = case.rank, operand.formats(entry).weight
    broken = window.window_rules(case.input_shape[2:], case.kernel, case.stride, case.dilation, case.padding)
    out = (1,) * rank if broken else case.output
    claimed = out if k.output is None else window.per_axis(k.output, rank, "kernel")
    channels = case.input_shape[1] if k.channels is None else k.channels
    shape = (case.out_channels, channels, *case.kernel, *claimed)
    values = None if written is None else _of_positions(written, rank) if k.values else _of_rows(written, shape)
    weight = Operand(role="weight", shape=values.shape if values else shape, literal=values, memory_format=form)
    bias = (Operand(role="bias", shape=(case.out_channels, *out)),) if case.bias else ()
    case = replace(case, operands=(*case.operands, weight, *bias))
    return operand.with_gradient(case, entry, violations, output_shape)


def _of_positions(written: Literal, rank: int) -> Literal:
    """Return (C_out, C_in, *output, *kernel) as (C_out, C_in, *kernel, *output)."""
    return _reordered(written, (0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank)))


def _of_rows(written: Literal, shape: tuple[int, ...]) -> Literal:
    """Return (positions, taps · C_in, C_out) as the weight of a shape."""
    out, channels, *rest = shape
    rank = len(rest) // 2
    kernel, output = rest[:rank], rest[rank:]
    if written.shape != (prod(output), prod(kernel) * channels, out):
        due = f"{prod(output)} positions, {prod(kernel)} taps of {channels} channels, {out} output channels"
        raise CaseError(("kernel", "flat"), f"flat is {list(written.shape)}, which is not {due}")
    split = Literal(shape=(*output, *kernel, channels, out), values=written.values)
    return _reordered(split, (2 * rank + 1, 2 * rank, *range(rank, 2 * rank), *range(rank)))


def _reordered(written: Literal, order: tuple[int, ...]) -> Literal:
    """Return a literal with its axes in another order."""
    steps = [prod(written.shape[axis + 1 :]) for axis in order]
    shape = tuple(written.shape[axis] for axis in order)
    places = (sum(i * step for i, step in zip(at, steps, strict=True)) for at in product(*map(range, shape)))
    return Literal(shape=shape, values=tuple(written.values[place] for place in places))
