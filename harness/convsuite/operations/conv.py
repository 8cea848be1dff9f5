"""Convolution as frameworks mean it: cross-correlation, with groups, stride, dilation, any padding, and a bias.

    y[n, o, p] = b[o] + Σ_c Σ_t x̂[n, c, p·stride + t·dilation] · w[o, c, t]

with x̂ the padded input, c over the channels of o's group, t over the kernel's taps. `flip: true` reverses the kernel on
every spatial axis, which is the convolution of mathematics. Every operation's module has the same contents as this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from math import prod, sqrt
from typing import TYPE_CHECKING, Annotated, Any

from convsuite.case import Case, Expected, Norms, Operand, Pass, Work
from convsuite.entry import ChannelsEntry, KernelEntry, PaddingMode, WeightedEntry, says
from convsuite.errors import CaseError
from convsuite.formats import FORMATS, is_integer
from convsuite.operations import arrays as operand
from convsuite.operations import axes, window
from convsuite.operations.common import Common, bias_rules, gradient_rules, literal, rank_of
from convsuite.operations.norms import norms
from convsuite.operations.window import Axis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from convsuite.arithmetic import Arithmetic, Real

NAME = "conv"
PASSES = (Pass.FORWARD, Pass.GRAD_INPUT, Pass.GRAD_WEIGHT, Pass.GRAD_BIAS)
COMPARES = False


class ConvEntry(WeightedEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A convolution as a case file writes it."""

    padding_mode: Annotated[PaddingMode, says("what padding repeats")] = "zeros"
    flip: Annotated[bool, says("the kernel is reversed: the convolution of mathematics, not cross-correlation")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvCase(Case):
    """A convolution, resolved."""

    out_channels: int
    groups: int = 1
    bias: bool = False
    flip: bool = False

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(C_out, C_in / groups, *kernel), of a transposed convolution (C_in, C_out / groups, *kernel).

        Or what the case claims instead where it is to be refused.
        """
        return self.operands[1].shape


ENTRY = ConvEntry
CASE = ConvCase


def _groups(case: ConvCase) -> tuple[str, ...]:
    c_in, c_out = case.input_shape[1], case.out_channels
    if case.groups == 1:
        return ("1",)
    if case.groups < c_in:
        return ("grouped",)
    return ("depthwise",) if c_in == c_out else ("multiplier",)


GROUPS = axes.Axis("groups", ("1", "grouped", "depthwise", "multiplier"), _groups)
AXES = (
    axes.RANK,
    axes.DTYPE,
    axes.BATCH,
    axes.KERNEL,
    axes.STRIDE,
    axes.DILATION,
    axes.PADDING,
    axes.PADDING_MODE,
    axes.LAYOUT,
    axes.FILL,
    axes.MEMORY_OF_INPUT,
    axes.MEMORY_OF_GRAD_OUTPUT,
    GROUPS,
    axes.BIAS,
    axes.FLIP,
    axes.MEMORY_OF_WEIGHT,
    axes.passes(PASSES),
)
EXCLUSIONS = (*axes.EVERYWHERE, axes.NO_GRAD_BIAS, axes.NOTHING_PADDED)


def resolve(entry: ConvEntry, common: Common) -> ConvCase:
    """Resolve what was written to a case. Raise CaseError where it cannot even be said what is meant."""
    k = operand.kernel(entry.kernel)
    rank = rank_of(entry.rank, k.size, k.values, "kernel")
    operands = _operands(entry, k, rank)
    batch, c_in, *sizes = operands[0].shape
    c_out, _, *kernel = operands[1].shape
    stride = window.per_axis(entry.stride, rank, "stride")
    dilation = window.per_axis(entry.dilation, rank, "dilation")
    case = ConvCase(
        id=common.id,
        operation=NAME,
        input_shape=(batch, c_in, *sizes),
        kernel=tuple(kernel),
        stride=stride,
        dilation=dilation,
        padding=window.resolve_padding(
            entry.padding, entry.padding_mode, tuple(sizes), tuple(kernel), stride, dilation
        ),
        operands=operands,
        out_channels=c_out,
        groups=entry.groups,
        bias=entry.bias is not False,
        flip=entry.flip,
        **common.shared(entry, rank),
    )
    return operand.with_gradient(case, entry, violations, output_shape)


def violations(case: ConvCase) -> list[CaseError]:
    """Return every rule that the case breaks; a backend must refuse a case that breaks one."""
    _, c_in, *sizes = case.input_shape
    broken = window.window_rules(tuple(sizes), case.kernel, case.stride, case.dilation, case.padding)
    if case.groups < 1:
        broken.append(CaseError(("groups",), f"groups must be at least 1, not {case.groups}"))
    else:
        for what, count in (("input", c_in), ("output", case.out_channels)):
            if count % case.groups:
                broken.append(
                    CaseError(("groups",), f"groups ({case.groups}) does not divide the {what} channels ({count})")
                )
        due, claimed = c_in // case.groups, case.weight_shape[1]
        if claimed != due and c_in % case.groups == 0:
            broken.append(
                CaseError(("channels",), f"the weight takes {claimed} input channels, the input has {due} a group")
            )
    return broken + pass_rules(case)


def pass_rules(case: ConvCase) -> list[CaseError]:
    """Return the rules that the passes asked for break."""
    return gradient_rules(case) + bias_rules(case, case.bias)


def output_shape(case: ConvCase) -> tuple[int, ...]:
    """(N, C_out, *output). Only for a case without violations."""
    return (case.input_shape[0], case.out_channels, *(axis.count for axis in window.windows(case)))


def terms(case: ConvCase, pass_: Pass) -> int:
    """K: the number of products accumulated into one element of the pass's result."""
    taps = prod(case.kernel)
    match pass_:
        case Pass.FORWARD:
            return taps * (case.input_shape[1] // case.groups)
        case Pass.GRAD_INPUT:
            # padding may show one position several times, and a stride lets a tap miss it
            return window.met(window.windows(case)) * (case.out_channels // case.groups)
        case _:
            return case.input_shape[0] * prod(output_shape(case)[2:])


def work(case: ConvCase) -> Work:
    """FLOPs of the forward pass, padding counted; elements of input, weight, bias and output once, as bytes."""
    out = output_shape(case)
    elements = prod(case.input_shape) + prod(case.weight_shape) + prod(out) + (case.out_channels if case.bias else 0)
    return Work(flops=2 * prod(out) * terms(case, Pass.FORWARD), bytes=elements * FORMATS[case.dtype].itemsize)


def picture(case: ConvCase) -> ConvCase:
    """Return the sliding window to draw: the case's own."""
    return case


def reference(case: ConvCase, arrays: Sequence[NDArray[Any]], pass_: Pass) -> Expected:
    """Return what the pass must give, straight from the definition: one step per tap, finer than the case's dtype.

    `arrays` are the case's operands in order, already rounded to its dtype. Shares no code with any backend.
    """
    from convsuite.arithmetic import evaluate

    expected = evaluate(
        lambda a, ops: value(case, ops, pass_, a), arrays, case.dtype, terms(case, pass_), read=case.read_by(pass_)
    )
    return replace(expected, norms=cache(partial(_norms, case, arrays, pass_))) if _has_norms(case, pass_) else expected


def _has_norms(case: ConvCase, pass_: Pass) -> bool:
    """Tell whether a fast algorithm has a bound there.

    It has none for the gradient to the weight, nor to an input whose positions a padding mode shows several times.
    """
    if pass_ is Pass.GRAD_INPUT:
        return case.padding.mode == "zeros" and not is_integer(case.dtype)
    return pass_ is Pass.FORWARD and not is_integer(case.dtype)


def _norms(case: ConvCase, arrays: Sequence[NDArray[Any]], pass_: Pass) -> Norms:
    """Return what a fast algorithm's bound is in."""
    import numpy as np

    seen, w = (np.asarray(arrays[i], dtype=np.float64) for i in (0 if pass_ is Pass.FORWARD else -1, 1))
    c_out, c_in = case.out_channels, case.input_shape[1]
    by_group = w.reshape(case.groups, c_out // case.groups, c_in // case.groups, prod(case.kernel))
    if pass_ is Pass.GRAD_INPUT:
        by_group = by_group.swapaxes(1, 2)
    rows = seen.reshape(seen.shape[0], case.groups, seen.shape[1] // case.groups, prod(seen.shape[2:]))
    found = norms(rows, by_group, case.dtype, case.rank)
    # a padding mode shows a position again, which adds to the norm over all that is seen
    shown = prod(_most_shown(axis) for axis in _grid(case)) if pass_ is Pass.FORWARD else 1
    return replace(found, energy=found.energy * sqrt(shown))


def _most_shown(axis: Axis) -> int:
    """Return how often a padded axis shows the position that it shows most; 1 at least."""
    import numpy as np

    shown = np.array(axis.shown, dtype=np.int64)
    return max(1, int(np.bincount(shown[shown >= 0], minlength=1).max()))


def value(case: ConvCase, arrays: Sequence[Real], pass_: Pass, arithmetic: Arithmetic) -> Real:
    """Return a pass's value in an arithmetic; `arrays` are the operands in order, the output's gradient last."""
    x, w, *rest = arrays
    w = w.reshape(case.groups, case.out_channels // case.groups, case.input_shape[1] // case.groups, *case.kernel)
    match pass_:
        case Pass.FORWARD:
            return _forward(case, x, w, rest[0] if case.bias else None, arithmetic)
        case Pass.GRAD_INPUT:
            return _grad_input(case, w, rest[-1], arithmetic)
        case Pass.GRAD_WEIGHT:
            return _grad_weight(case, x, w.shape, rest[-1], arithmetic)
        case _:
            return grad_bias(rest[-1], arithmetic)


def _forward(case: ConvCase, x: Real, w: Real, bias: Real | None, arithmetic: Arithmetic) -> Real:
    import numpy as np

    grid, out = _grid(case), output_shape(case)
    groups, per_group, positions = case.groups, w.shape[1], prod(out[2:])
    padded = _pad(case, x, grid)
    total = np.zeros((arithmetic.parts, out[0], groups, per_group, positions))
    for tap, where in _taps(case, grid):
        seen = padded[where].reshape(out[0], groups, w.shape[2], positions)
        arithmetic.add(total, (), arithmetic.matmul(w[tap], seen))
    total = total.reshape(arithmetic.parts, *out)
    return total if bias is None else with_bias(total, bias, arithmetic)


def with_bias(y: Real, bias: Real, arithmetic: Arithmetic) -> Real:
    """Add a bias (C_out,) to a value (parts, N, C_out, *output), in place."""
    import numpy as np

    column = np.zeros((arithmetic.parts, 1, len(bias), *(1,) * (y.ndim - 3)))
    column[0] = bias.reshape(1, -1, *(1,) * (y.ndim - 3))
    arithmetic.add(y, (), np.broadcast_to(column, y.shape))
    return y


def _grad_input(case: ConvCase, w: Real, grad: Real, arithmetic: Arithmetic) -> Real:
    import numpy as np

    grid, out = _grid(case), output_shape(case)
    grad = grad.reshape(out[0], case.groups, w.shape[1], prod(out[2:]))
    channels = (out[0], case.groups, w.shape[2])
    padded = np.zeros((arithmetic.parts, *channels, *(len(axis.shown) for axis in grid)))
    for tap, where in _taps(case, grid):
        share = arithmetic.matmul(w[tap].swapaxes(-1, -2), grad)
        arithmetic.add(padded, where, share.reshape(arithmetic.parts, *channels, *out[2:]))
    return _fold(case, padded.reshape(arithmetic.parts, *case.input_shape[:2], *padded.shape[4:]), grid, arithmetic)


def _grad_weight(case: ConvCase, x: Real, shape: tuple[int, ...], grad: Real, arithmetic: Arithmetic) -> Real:
    import numpy as np

    grid, out = _grid(case), output_shape(case)
    groups, per_group, channels, *_ = shape
    n, positions = out[0], prod(out[2:])
    padded = _pad(case, x, grid)
    total = np.zeros((arithmetic.parts, *shape))
    # one long axis of all (batch, position) pairs, so that a weight's gradient is one sum
    flat = np.moveaxis(grad.reshape(n, groups, per_group, positions), 0, 2).reshape(groups, per_group, n * positions)
    for tap, where in _taps(case, grid):
        seen = padded[where].reshape(n, groups, channels, positions)
        rows = np.moveaxis(seen, 0, 1).swapaxes(2, 3).reshape(groups, n * positions, channels)
        total[tap] = arithmetic.matmul(flat, rows)
    return total.reshape(arithmetic.parts, case.out_channels, channels, *case.kernel)


def grad_bias(grad: Real, arithmetic: Arithmetic) -> Real:
    """Return the sum of the output's gradient (N, C_out, *output) over all but its channels, as a value."""
    import numpy as np

    n, c_out, *sizes = grad.shape
    every = np.zeros((arithmetic.parts, c_out, n * prod(sizes)))
    every[0] = np.moveaxis(grad.reshape(n, c_out, prod(sizes)), 1, 0).reshape(c_out, n * prod(sizes))
    return arithmetic.reduce(every, -1)


def _grid(case: ConvCase) -> list[Axis]:
    """Return the padded axes: whole, or on every axis only the positions that windows read."""
    windows = window.windows(case)
    dense = all(axis.dense for axis in windows)
    return [axis.axis(dense) for axis in windows]


def _taps(case: ConvCase, grid: list[Axis]) -> Iterator[tuple[Any, Any]]:
    """Yield each tap's index in the weight, and that of the padded positions that it meets, one for each output."""
    import numpy as np

    for tap in product(*(range(k) for k in case.kernel)):
        where = tuple(axis.where[t] for axis, t in zip(grid, tap, strict=True))
        if not isinstance(where[0], slice):
            where = np.ix_(*(np.array(at, dtype=np.intp) for at in where))
        index = tuple(k - 1 - t for t, k in zip(tap, case.kernel, strict=True)) if case.flip else tap
        yield (..., *index), (..., *where)


def _pad(case: ConvCase, x: Real, grid: list[Axis]) -> Real:
    """Return the input as the windows see it, its channels in groups."""
    import numpy as np

    n, c_in = case.input_shape[:2]
    padded = np.zeros((n, c_in, *(len(axis.shown) for axis in grid)))
    to: Any = (..., *np.ix_(*([at for at, p in enumerate(axis.shown) if p >= 0] for axis in grid)))
    taken: Any = (..., *np.ix_(*([p for p in axis.shown if p >= 0] for axis in grid)))
    padded[to] = x[taken]
    return padded.reshape(n, case.groups, c_in // case.groups, *padded.shape[2:])


def _fold(case: ConvCase, padded: Real, grid: list[Axis], arithmetic: Arithmetic) -> Real:
    """Return each padded position's gradient to the input position that it shows; a zero's is dropped."""
    import numpy as np

    for number, axis in enumerate(grid):
        at = 3 + number
        folded = np.zeros((*padded.shape[:at], case.input_shape[2 + number], *padded.shape[at + 1 :]))
        spread, gathered = np.moveaxis(padded, at, -1), np.moveaxis(folded, at, -1)
        for kept, to in axis.runs:
            arithmetic.add(gathered, (..., to), spread[..., kept])
        padded = folded
    return padded


def _operands(entry: ConvEntry, k: KernelEntry, rank: int) -> tuple[Operand, ...]:
    """Return the input, the weight and, where there is one, the bias."""
    w_literal = literal(k.values, rank, ("kernel", "values")) if k.values is not None else None
    channels = operand.channels(entry, operand.input_literal(entry, rank), w_literal)
    w_shape = (
        w_literal.shape if w_literal else (channels.out, _claimed(entry, k, channels), *operand.extent(k.size, rank))
    )
    weight = Operand(role="weight", shape=w_shape, literal=w_literal, memory_format=operand.formats(entry).weight)
    return operand.input_operand(entry, rank, channels.in_), weight, *operand.bias(entry.bias, channels.out)


def _claimed(entry: ConvEntry, k: KernelEntry, channels: ChannelsEntry) -> int:
    """Return the input channels of a group: as the weight claims, or as they must be."""
    return channels.in_ // max(1, abs(entry.groups)) if k.channels is None else k.channels
