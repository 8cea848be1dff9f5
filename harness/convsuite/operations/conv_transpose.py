"""Transposed convolution: the adjoint of a convolution, which takes that one's outputs to its inputs.

    y[n, o, p·stride + t·dilation − low] += x[n, c, p] · w[c, o, t],    then + b[o]

with c over the input channels, o over the output channels of c's group, t over the kernel's taps. All that lands
outside the output is cropped. Padding, flip, groups and weight are those of the convolution that it is the adjoint of,
the `mirror`, from (N, C_out, *output) to (N, C_in, *input): ⟨mirror(y), x⟩ = ⟨y, conv_transpose(x)⟩ for every x and y.
So each pass is one of the mirror's: forward is its grad_input, grad_input its forward, grad_weight its grad_weight with
the roles of input and output changed over.

The output has (n − 1)·stride − low − high + dilation·(kernel − 1) + 1 + output_padding positions. What output_padding
adds at the end is as much less cropped there: no tap may reach it. `same_upper` and `same_lower` give n·stride, the
size whose SAME convolution has n outputs (TensorFlow's meaning); where a kernel spans less than the stride, that takes
an output_padding of what is lacking.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

from convsuite.case import Expected, Operand, Padding, Pass, Work
from convsuite.entry import ChannelsEntry, KernelEntry, Size, WeightedEntry, says
from convsuite.errors import CaseError
from convsuite.formats import FORMATS
from convsuite.operations import arrays as operand
from convsuite.operations import axes, conv, window
from convsuite.operations.common import Common, literal, rank_of
from convsuite.operations.conv import ConvCase

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from convsuite.arithmetic import Arithmetic, Real

NAME = "conv_transpose"
PASSES = conv.PASSES
COMPARES = False


class ConvTransposeEntry(WeightedEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A transposed convolution as a case file writes it."""

    output_padding: Annotated[
        Size, says("how much less is cut off at the end; below the larger of stride and dilation")
    ] = 0
    flip: Annotated[bool, says("the kernel is reversed, as JAX has it without `transpose_kernel`")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvTransposeCase(ConvCase):
    """A transposed convolution, resolved; `padding` is what is cropped, before `output_padding` is added at the end."""

    output_padding: tuple[int, ...]

    @property
    def cropped(self) -> tuple[tuple[int, int], ...]:
        """(low, high) positions cut off the full scatter on each axis, in all; a negative number is zeros added."""
        return tuple((low, high - p) for (low, high), p in zip(self.padding.pads, self.output_padding, strict=True))

    @property
    def output_sizes(self) -> tuple[int, ...]:
        """Spatial sizes of the output."""
        sizes = zip(self.input_shape[2:], self.kernel, self.stride, self.dilation, self.cropped, strict=True)
        return tuple((n - 1) * s + window.span(k, d) - low - high for n, k, s, d, (low, high) in sizes)


ENTRY = ConvTransposeEntry
CASE = ConvTransposeCase


def _output_padding(case: ConvTransposeCase) -> tuple[str, ...]:
    """What `same` adds is no value of its own."""
    asked = [p for p, kind in zip(case.output_padding, case.padding.kinds, strict=True) if "same" not in kind]
    if len(set(asked)) > 1:
        return ("unequal",)
    return ("0",) if not asked or asked[0] == 0 else ("over 0",)


_PADDINGS = ("valid", "same_upper", "same_lower", "symmetric", "asymmetric", "negative", "unequal")
AXES = (
    axes.RANK,
    axes.DTYPE,
    axes.BATCH,
    axes.KERNEL,
    axes.STRIDE,
    axes.DILATION,
    axes.Axis("padding", _PADDINGS, axes.PADDING.of),
    axes.Axis("output_padding", ("0", "over 0", "unequal"), _output_padding),
    axes.LAYOUT,
    axes.FILL,
    axes.MEMORY_OF_INPUT,
    axes.MEMORY_OF_GRAD_OUTPUT,
    conv.GROUPS,
    axes.BIAS,
    axes.FLIP,
    axes.MEMORY_OF_WEIGHT,
    axes.passes(PASSES),
)
EXCLUSIONS = (
    *axes.EVERYWHERE,
    axes.NO_GRAD_BIAS,
    axes.Exclusion(
        firsts=axes.values("padding", "same_upper", "same_lower"),
        seconds=axes.values("output_padding", "over 0", "unequal"),
        reason="`same` says the size of the output",
    ),
)


def resolve(entry: ConvTransposeEntry, common: Common) -> ConvTransposeCase:
    """Resolve what was written to a case. Raise CaseError where it cannot even be said what is meant."""
    k = operand.kernel(entry.kernel)
    rank = rank_of(entry.rank, k.size, k.values, "kernel")
    operands = _operands(entry, k, rank)
    stride = window.per_axis(entry.stride, rank, "stride")
    dilation = window.per_axis(entry.dilation, rank, "dilation")
    kernel = operands[1].shape[2:]
    padding, more = _crops(entry, operands[0].shape[2:], kernel, stride, dilation)
    case = ConvTransposeCase(
        id=common.id,
        operation=NAME,
        input_shape=operands[0].shape,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=padding,
        operands=operands,
        output_padding=more,
        out_channels=operands[1].shape[1] * max(1, abs(entry.groups)),
        groups=entry.groups,
        bias=entry.bias is not False,
        flip=entry.flip,
        **common.shared(entry, rank),
    )
    return operand.with_gradient(case, entry, violations, output_shape)


def violations(case: ConvTransposeCase) -> list[CaseError]:
    """Return every rule that the case breaks; a backend must refuse a case that breaks one."""
    return _geometry_rules(case) + _channel_rules(case) + conv.pass_rules(case)


def output_shape(case: ConvTransposeCase) -> tuple[int, ...]:
    """(N, C_out, *output). Only for a case without violations."""
    return (case.input_shape[0], case.out_channels, *case.output_sizes)


def mirror(case: ConvTransposeCase) -> ConvCase:
    """Return the convolution that this is the adjoint of; its operands are (output, weight). Not of an invalid case."""
    weight = case.operands[1]
    return ConvCase(
        id=case.id,
        operation=conv.NAME,
        input_shape=output_shape(case),
        kernel=case.kernel,
        stride=case.stride,
        dilation=case.dilation,
        padding=Padding(kinds=("explicit",) * case.rank, pads=case.cropped),
        dtype=case.dtype,
        operands=(Operand(role="input", shape=output_shape(case)), weight),
        out_channels=case.input_shape[1],
        groups=case.groups,
        flip=case.flip,
    )


def terms(case: ConvTransposeCase, pass_: Pass) -> int:
    """K: the number of products accumulated into one element of the pass's result."""
    match pass_:
        case Pass.FORWARD:
            return conv.terms(mirror(case), Pass.GRAD_INPUT)
        case Pass.GRAD_INPUT:
            return conv.terms(mirror(case), Pass.FORWARD)
        case Pass.GRAD_WEIGHT:
            return conv.terms(mirror(case), Pass.GRAD_WEIGHT)
        case _:
            return case.input_shape[0] * prod(case.output_sizes)


def work(case: ConvTransposeCase) -> Work:
    """FLOPs of the forward pass, what is cropped counted; elements of all operands and the output once, as bytes."""
    products = prod(case.input_shape) * prod(case.weight_shape[1:])
    elements = prod(case.input_shape) + prod(case.weight_shape) + prod(output_shape(case))
    elements += case.out_channels if case.bias else 0
    return Work(flops=2 * products, bytes=elements * FORMATS[case.dtype].itemsize)


def picture(case: ConvTransposeCase) -> ConvCase:
    """Return the sliding window to draw: that of the mirror, which reads the outputs that an input is scattered to."""
    return mirror(case)


def reference(case: ConvTransposeCase, arrays: Sequence[NDArray[Any]], pass_: Pass) -> Expected:
    """Return what the pass must give, by the reference of the mirror; finer than the case's dtype.

    `arrays` are the case's operands in order, already rounded to its dtype. Shares no code with any backend. Where a
    NaN or an infinity is scattered to a place that is cropped, a weight's gradient may be NaN (its product with a zero
    was added) or not (there is no such place): nothing can be said there.
    """
    from convsuite.arithmetic import evaluate

    found = evaluate(
        lambda a, ops: _value(case, ops, pass_, a), arrays, case.dtype, terms(case, pass_), read=case.read_by(pass_)
    )
    if pass_ is not Pass.GRAD_WEIGHT:
        return found
    import numpy as np

    unsaid = _unsaid(case, arrays[0])
    return found if unsaid is None else replace(found, magnitude=np.where(unsaid, np.inf, found.magnitude))


def _value(case: ConvTransposeCase, arrays: Sequence[Real], pass_: Pass, arithmetic: Arithmetic) -> Real:
    x, w, *rest = arrays
    there, grad = mirror(case), arrays[-1]
    match pass_:
        case Pass.FORWARD:
            # a gradient does not depend on the convolution's input, so anything stands in for it
            y = conv.value(there, (x, w, x), Pass.GRAD_INPUT, arithmetic)
            return conv.with_bias(y, rest[0], arithmetic) if case.bias else y
        case Pass.GRAD_INPUT:
            return conv.value(there, (grad, w), Pass.FORWARD, arithmetic)
        case Pass.GRAD_WEIGHT:
            return conv.value(there, (grad, w, x), Pass.GRAD_WEIGHT, arithmetic)
        case _:
            return conv.grad_bias(grad, arithmetic)


def _unsaid(case: ConvTransposeCase, x: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return for which weights a non-finite input is scattered to a place that is cropped; None without such inputs."""
    import numpy as np

    from convsuite.arithmetic import Float64

    odd = (~np.isfinite(np.asarray(x, dtype=np.float64))).astype(np.float64)
    if not odd.any():
        return None
    seen = np.ones(output_shape(case))
    kept = conv.value(mirror(case), (seen, np.zeros(case.weight_shape), odd), Pass.GRAD_WEIGHT, Float64())[0]
    every = odd.sum(axis=(0, *range(2, odd.ndim))).reshape(-1, *(1,) * (case.rank + 1))
    return np.asarray(kept < every)


def _geometry_rules(case: ConvTransposeCase) -> list[CaseError]:
    sizes = case.input_shape[2:]
    if len(sizes) != case.rank:
        return [CaseError(("rank",), f"the input has {len(sizes)} spatial axes, the kernel {case.rank}")]
    broken = window.positive(case.kernel, case.stride, case.dilation)
    if min(sizes) < 1:
        broken.append(CaseError(("input",), f"the input has no positions on some axis: {list(sizes)}"))
    if broken:
        return broken
    for axis, (more, s, d) in enumerate(zip(case.output_padding, case.stride, case.dilation, strict=True)):
        if not 0 <= more < max(s, d):
            text = f"axis {axis}: output_padding must be from 0 to {max(s, d) - 1}, less than the larger of stride {s}"
            broken.append(CaseError(("output_padding",), f"{text} and dilation {d}, not {more}"))
    for axis, (size, (low, high)) in enumerate(zip(case.output_sizes, case.cropped, strict=True)):
        if size < 1 and not broken:
            text = f"axis {axis}: of {size + low + high} positions {low} + {high} are cropped, so none is left"
            broken.append(CaseError(("padding",), text))
    return broken


def _channel_rules(case: ConvTransposeCase) -> list[CaseError]:
    c_in, claimed = case.input_shape[1], case.weight_shape[0]
    if case.groups < 1:
        return [CaseError(("groups",), f"groups must be at least 1, not {case.groups}")]
    if c_in % case.groups:
        return [CaseError(("groups",), f"groups ({case.groups}) does not divide the input channels ({c_in})")]
    if claimed != c_in:
        return [CaseError(("channels",), f"the weight takes {claimed} input channels, the input has {c_in}")]
    return []


def _crops(
    entry: ConvTransposeEntry,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[Padding, tuple[int, ...]]:
    """Resolve padding and output_padding; `same` is that of a convolution over n·stride positions."""
    rank = len(kernel)
    scaled = tuple(n * max(s, 1) for n, s in zip((sizes + (1,) * rank)[:rank], stride, strict=True))
    padding = window.resolve_padding(entry.padding, "zeros", scaled, kernel, stride, dilation)
    said = window.per_axis(entry.output_padding, rank, "output_padding")
    if unknown := {*padding.kinds} & {"full", "causal"}:
        text = f"a transposed convolution has no padding {min(unknown)}: say how much is cropped, as [low, high]"
        raise CaseError(("padding",), text)
    axes_ = zip(padding.kinds, said, kernel, stride, dilation, strict=True)
    return padding, tuple(_more(kind, p, window.span(k, d), s) for kind, p, k, s, d in axes_)


def _more(kind: str, said: int, span: int, stride: int) -> int:
    """Return what is added at the end of one axis: as said, or what `same` lacks where the window spans less."""
    if not kind.startswith("same"):
        return said
    if said:
        raise CaseError(("output_padding",), f"padding {kind} says the output's size, so output_padding {said} cannot")
    return max(0, stride - span)


def _operands(entry: ConvTransposeEntry, k: KernelEntry, rank: int) -> tuple[Operand, ...]:
    """Return the input, the weight and, where there is one, the bias."""
    w_literal = literal(k.values, rank, ("kernel", "values")) if k.values is not None else None
    channels = operand.channels(entry, operand.input_literal(entry, rank), w_literal, into=0)
    w_shape = w_literal.shape if w_literal else (*_claimed(entry, k, channels), *operand.extent(k.size, rank))
    weight = Operand(role="weight", shape=w_shape, literal=w_literal, memory_format=operand.formats(entry).weight)
    return operand.input_operand(entry, rank, channels.in_), weight, *operand.bias(entry.bias, channels.out)


def _claimed(entry: ConvTransposeEntry, k: KernelEntry, channels: ChannelsEntry) -> tuple[int, int]:
    """Return the weight's input channels, as it claims or as they must be, and its output channels a group."""
    groups = max(1, abs(entry.groups))
    if channels.out % groups:
        raise CaseError(("groups",), f"groups ({groups}) does not divide the output channels ({channels.out})")
    return (channels.in_ if k.channels is None else k.channels), channels.out // groups
