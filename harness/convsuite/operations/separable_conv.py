"""Separable convolution: a depthwise convolution, whose outputs a 1x1 convolution mixes.

    h[n, c·m + j, p] = Σ_t x̂[n, c, p·stride + t·dilation] · d[c·m + j, 0, t]
    y[n, o, p]       = b[o] + Σ_i p[o, i] · h[n, i, p]

Each pass, but the bias' gradient, is two sums, one after the other: of K₁ products, to an array between, and of K₂ of
those. The reference goes through both by `conv`'s arithmetic and never rounds what is between.

Bound: what is between is summed to within γ_K₁(u_a)·B₁ and rounded to the case's dtype, the second sum with its bias to
within γ_{K₂+1}(u_a); relative errors of one product after another add up (Higham, lemma 3.3), so that the whole is
within γ_{K+1}(u_a)·B for K = K₁ + K₂, where the accumulator is the dtype: its roundings are those of the sums. In 16
bits that are summed in 32, the array between is one rounding more, which a backend declares. A rounding is relative to
at least the smallest normal number N: where 0 < B₁ < N, N stands for B₁ in B.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Struct

from convsuite.case import FLOATS, Case, Expected, Literal, Operand, Padding, Pass, Work
from convsuite.entry import ChannelsEntry, says
from convsuite.errors import CaseError
from convsuite.formats import FORMATS
from convsuite.operations import arrays as operand
from convsuite.operations import axes, conv, depthwise_conv
from convsuite.operations.common import Common, rank_of
from convsuite.operations.conv import ConvCase
from convsuite.operations.depthwise_conv import DepthwiseCase, MultipliedEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convsuite.arithmetic import Arithmetic, Real

NAME = "separable_conv"
PASSES = (Pass.FORWARD, Pass.GRAD_INPUT, Pass.GRAD_DEPTHWISE, Pass.GRAD_POINTWISE, Pass.GRAD_BIAS)
COMPARES = False


class PointwiseEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The weight that mixes: its values (output channels, input channels · multiplier), or the channels it claims."""

    values: Annotated[
        list[list[float]] | None, says("a row of channels · multiplier numbers for each output channel")
    ] = None
    channels: Annotated[int | None, says("input channels · multiplier that it claims, for cases to be refused")] = None


class SeparableEntry(MultipliedEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A separable convolution as a case file writes it; `kernel` is the depthwise one."""

    channels: Annotated[
        int | ChannelsEntry | None, says("one number for both, or one each; unless given, 1 or as the values say")
    ] = None
    pointwise: Annotated[PointwiseEntry, says("the weight of the 1x1 step; filled unless given")] = PointwiseEntry()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparableCase(Case):
    """A separable convolution, resolved."""

    out_channels: int
    multiplier: int = 1
    bias: bool = False

    @property
    def depth(self) -> DepthwiseCase:
        """The depthwise convolution that comes first."""
        return _depth(self)

    @property
    def point(self) -> ConvCase:
        """The 1x1 convolution that comes second, with the bias."""
        return _point(self)


ENTRY = SeparableEntry
CASE = SeparableCase
# how the window slides is `depthwise_conv`'s to pair
AXES = (
    depthwise_conv.RANK,
    axes.dtypes(FLOATS),
    axes.BATCH,
    axes.LAYOUT,
    depthwise_conv.FILL,
    depthwise_conv.CHANNELS,
    depthwise_conv.MULTIPLIER,
    axes.BIAS,
    axes.passes(PASSES),
)
EXCLUSIONS = (axes.NO_GRAD_BIAS,)


def resolve(entry: SeparableEntry, common: Common) -> SeparableCase:
    """Resolve what was written to a case. Raise CaseError where it cannot even be said what is meant."""
    k = operand.kernel(entry.kernel)
    rank = rank_of(entry.rank, k.size, k.values, "kernel")
    n = entry.channels
    channels = ChannelsEntry(in_=n, out=n) if isinstance(n, int) else n
    x, depthwise = depthwise_conv.arrays(entry, k, rank, channels.in_ if channels else None, "depthwise")
    pointwise = _pointwise(entry, x.shape[1] * entry.multiplier, channels, rank)
    case = SeparableCase(
        **common.shared(entry, rank),
        **depthwise_conv.sliding(entry, x, depthwise, rank),
        id=common.id,
        operation=NAME,
        operands=(x, depthwise, pointwise, *operand.bias(entry.bias, pointwise.shape[0])),
        out_channels=pointwise.shape[0],
        multiplier=entry.multiplier,
        bias=entry.bias is not False,
    )
    return operand.with_gradient(case, entry, violations, output_shape)


def _pointwise(entry: SeparableEntry, between: int, channels: ChannelsEntry | None, rank: int) -> Operand:
    """Return the weight that mixes, (C_out, C_in · multiplier, 1, …)."""
    said, memory_format = entry.pointwise, operand.formats(entry).weight
    if said.values is None:
        claimed = between if said.channels is None else said.channels
        shape = (channels.out if channels else 1, claimed, *(1,) * rank)
        return Operand(role="pointwise", shape=shape, memory_format=memory_format)
    if len({len(row) for row in said.values}) != 1:
        raise CaseError(("pointwise", "values"), "values are one row for each output channel, all of one length")
    shape = (len(said.values), len(said.values[0]), *(1,) * rank)
    if channels and channels.out != shape[0]:
        raise CaseError(("channels",), f"channels are {channels.out} out, the values written out have {shape[0]}")
    values = tuple(float(v) for row in said.values for v in row)
    written = Literal(shape=shape, values=values)
    return Operand(role="pointwise", shape=shape, literal=written, memory_format=memory_format)


def violations(case: SeparableCase) -> list[CaseError]:
    """Return every rule that the case breaks; a backend must refuse a case that breaks one."""
    broken = depthwise_conv.geometry_rules(case.depth)
    claimed, due = case.operands[2].shape[1], case.input_shape[1] * case.multiplier
    if claimed != due:
        said = f"the pointwise weight takes {claimed} channels, the depthwise convolution gives {due}"
        broken.append(CaseError(("channels",), said))
    return broken + conv.pass_rules(replace(case.point, passes=case.passes))


def output_shape(case: SeparableCase) -> tuple[int, ...]:
    """(N, C_out, *output). Only for a case without violations."""
    return conv.output_shape(case.point)


def terms(case: SeparableCase, pass_: Pass) -> int:
    """K: the products of both sums together; see the module's text."""
    if pass_ is Pass.GRAD_BIAS:
        return conv.terms(case.point, pass_)
    return sum(conv.terms(stage, of_stage) for stage, of_stage in steps(case, pass_))


def work(case: SeparableCase) -> Work:
    """FLOPs of both convolutions; input, weights, bias and output once, as bytes, and not what is between."""
    elements = sum(prod(o.shape) for o in case.operands if o.role != "grad_output") + prod(output_shape(case))
    flops = conv.work(case.depth).flops + conv.work(case.point).flops
    return Work(flops=flops, bytes=elements * FORMATS[case.dtype].itemsize)


def picture(case: SeparableCase) -> ConvCase:
    """Return the sliding window to draw: the depthwise convolution's."""
    return case.depth


def reference(case: SeparableCase, arrays: Sequence[NDArray[Any]], pass_: Pass) -> Expected:
    """Return what the pass must give: one sum after the other, as `conv` defines them, nothing rounded between."""
    from convsuite.arithmetic import evaluate

    expected = evaluate(
        lambda a, ops: _value(case, ops, pass_, a), arrays, case.dtype, terms(case, pass_), read=case.read_by(pass_)
    )
    if pass_ is Pass.GRAD_BIAS:
        return expected
    return replace(expected, magnitude=_in_range(case, arrays, pass_, expected.magnitude))


def _value(case: SeparableCase, arrays: Sequence[Real], pass_: Pass, arithmetic: Arithmetic) -> Real:
    if pass_ is Pass.GRAD_BIAS:
        return conv.grad_bias(arrays[-1], arithmetic)
    first, *others = _first(case, arrays, pass_, arithmetic)
    total = _second(case, arrays, pass_, first, arithmetic)
    for part in others:  # what is between is the sum of its parts, and the second sum is linear in it
        arithmetic.add(total, (), _second(case, arrays, pass_, part, arithmetic))
    return conv.with_bias(total, arrays[3], arithmetic) if case.bias and pass_ is Pass.FORWARD else total


def steps(case: SeparableCase, pass_: Pass) -> tuple[tuple[ConvCase, Pass], tuple[ConvCase, Pass]]:
    """Return the convolution, and its pass, by which each of the two sums is taken."""
    depth, point = case.depth, case.point
    match pass_:
        case Pass.FORWARD:
            return (depth, Pass.FORWARD), (point, Pass.FORWARD)
        case Pass.GRAD_INPUT:
            return (point, Pass.GRAD_INPUT), (depth, Pass.GRAD_INPUT)
        case Pass.GRAD_DEPTHWISE:
            return (point, Pass.GRAD_INPUT), (depth, Pass.GRAD_WEIGHT)
    return (depth, Pass.FORWARD), (point, Pass.GRAD_WEIGHT)


def _first(case: SeparableCase, arrays: Sequence[Real], pass_: Pass, arithmetic: Arithmetic) -> Real:
    """Return what is between: the depthwise convolution's result, or the gradient to it."""
    (stage, of_stage), _ = steps(case, pass_)
    x, depthwise, pointwise, *_rest = arrays
    operands = (x, depthwise) if of_stage is Pass.FORWARD else (x, pointwise, arrays[-1])
    return conv.value(stage, operands, of_stage, arithmetic)


def _second(case: SeparableCase, arrays: Sequence[Real], pass_: Pass, between: Real, arithmetic: Arithmetic) -> Real:
    """Return the second sum, of one part of what is between."""
    _, (stage, of_stage) = steps(case, pass_)
    x, depthwise, pointwise, *_rest = arrays
    operands = (x, depthwise, between) if stage is case.depth else (between, pointwise, arrays[-1])
    return conv.value(replace(stage, bias=False), operands, of_stage, arithmetic)  # the bias is added once, at the end


def _in_range(case: SeparableCase, arrays: Sequence[NDArray[Any]], pass_: Pass, magnitude: Real) -> Real:
    """Return the magnitude for what is between being held in the case's dtype; see the module's text.

    Where less than the smallest normal number is between, that number counts; where more than the largest may be, the
    magnitude is infinite, whatever the second sum multiplies it with.
    """
    import numpy as np

    from convsuite.arithmetic import Float64

    form, absolute = FORMATS[case.dtype], [np.abs(np.asarray(a, dtype=np.float64)) for a in arrays]
    with np.errstate(all="ignore"):
        between = _first(case, absolute, pass_, Float64())[0]
        small, large = (between > 0) & (between < form.smallest_normal), between >= form.largest
        if small.any():
            magnitude = magnitude + _second(case, absolute, pass_, small * form.smallest_normal, Float64())[0]
        if large.any():
            ones = [np.ones_like(a) for a in absolute]
            met = _second(case, ones, pass_, large.astype(np.float64), Float64())[0] > 0
            magnitude = np.where(met & ~np.isnan(magnitude), np.inf, magnitude)
    return magnitude


@lru_cache(maxsize=256)
def _depth(case: SeparableCase) -> DepthwiseCase:
    x, depthwise = case.operands[:2]
    return DepthwiseCase(
        id="",
        operation=depthwise_conv.NAME,
        input_shape=case.input_shape,
        kernel=case.kernel,
        stride=case.stride,
        dilation=case.dilation,
        padding=case.padding,
        dtype=case.dtype,
        layout=case.layout,
        passes=(Pass.FORWARD, Pass.GRAD_INPUT, Pass.GRAD_WEIGHT) if case.wants_gradient else (Pass.FORWARD,),
        operands=(x, replace(depthwise, role="weight")),
        expect=case.expect,
        origin=case.origin,
        out_channels=depthwise.shape[0],
        groups=case.input_shape[1],
        multiplier=case.multiplier,
    )


@lru_cache(maxsize=256)
def _point(case: SeparableCase) -> ConvCase:
    ones, depth = (1,) * case.rank, case.depth
    sizes = case.input_shape[2:] if depthwise_conv.geometry_rules(depth) else conv.output_shape(depth)[2:]
    shape = (case.input_shape[0], depth.out_channels, *sizes)
    passes = (Pass.FORWARD, Pass.GRAD_INPUT, Pass.GRAD_WEIGHT, *((Pass.GRAD_BIAS,) if case.bias else ()))
    return ConvCase(
        id="",
        operation=conv.NAME,
        input_shape=shape,
        kernel=ones,
        stride=ones,
        dilation=ones,
        padding=Padding(kinds=("valid",) * case.rank, pads=((0, 0),) * case.rank),
        dtype=case.dtype,
        layout=case.layout,
        passes=passes if case.wants_gradient else (Pass.FORWARD,),
        operands=(Operand(role="input", shape=shape), replace(case.operands[2], role="weight")),
        expect=case.expect,
        origin=case.origin,
        out_channels=case.out_channels,
        bias=case.bias,
    )
