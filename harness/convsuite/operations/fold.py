"""Fold (col2im): patches added up where they were seen, overlaps included; what was padding is dropped.

    y[n, c, q] = Σ x[n, (c, t), p]   over all windows p and taps t with p·stride + t·dilation − low = q

It is the gradient of `patches`, and patches are its own; of patches it makes the input times the number of windows over
each position. `output` is the spatial size of y, from which the number of windows follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import structs

from convsuite.case import Case, Expected, Operand, Padding, Pass, Work
from convsuite.entry import ArrayEntry, Size, says
from convsuite.errors import CaseError
from convsuite.formats import FORMATS
from convsuite.operations import arrays as operand
from convsuite.operations import axes, patches, window
from convsuite.operations.common import Common, gradient_rules, rank_of
from convsuite.operations.patches import PatchesCase, PatchesEntry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NAME = "fold"
PASSES = (Pass.FORWARD, Pass.GRAD_INPUT)
COMPARES = False


class FoldEntry(PatchesEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fold as a case file writes it; the input is as large as `output` has windows unless its own size is said."""

    input: Annotated[ArrayEntry | Size | None, says("unless given, as many windows as there are")] = None
    output: Annotated[Size | None, says("the spatial size of the image, of which the windows are (required)")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldCase(Case):
    """A fold, resolved; stride, dilation and padding are those with which the patches were taken."""

    output: tuple[int, ...]  # spatial sizes
    order: str = "channel_first"  # of the input's axis 1: (channel, *tap), or (*tap, channel)

    @property
    def channels(self) -> int:
        """Channels of the output."""
        return self.input_shape[1] // max(1, prod(self.kernel))

    @property
    def unfolded(self) -> PatchesCase:
        """The patches of the output, in which windows slide."""
        shape = (self.input_shape[0], self.channels, *self.output)
        return PatchesCase(
            id=self.id,
            operation=patches.NAME,
            input_shape=shape,
            kernel=self.kernel,
            stride=self.stride,
            dilation=self.dilation,
            padding=self.padding,
            dtype=self.dtype,
            layout=self.layout,
            operands=(Operand(role="input", shape=shape),),
            order=self.order,
        )


ENTRY = FoldEntry
CASE = FoldCase
AXES = patches.AXES
EXCLUSIONS = axes.EVERYWHERE


def resolve(entry: FoldEntry, common: Common) -> FoldCase:
    """Resolve what was written to a case. Raise CaseError where it cannot even be said what is meant."""
    rank = rank_of(entry.rank, entry.kernel, None, "kernel")
    kernel = operand.extent(entry.kernel, rank)
    output = operand.extent(entry.output, rank, "output")
    stride, dilation = window.per_axis(entry.stride, rank, "stride"), window.per_axis(entry.dilation, rank, "dilation")
    padding = window.resolve_padding(entry.padding, "zeros", output, kernel, stride, dilation)
    if entry.input is None:
        entry = structs.replace(entry, input=ArrayEntry(size=_counts(output, kernel, stride, dilation, padding)))
    x = operand.input_operand(entry, rank, _rows(entry, kernel))
    operand.no_weight_format(entry)
    case = FoldCase(
        id=common.id,
        operation=NAME,
        input_shape=x.shape,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=padding,
        operands=(x,),
        output=output,
        order=entry.order,
        **common.shared(entry, rank),
    )
    return operand.with_gradient(case, entry, violations, output_shape)


def violations(case: FoldCase) -> list[CaseError]:
    """Return every rule that the case breaks: those of the window, and that the input has its patches."""
    _, rows, *sizes = case.input_shape
    if len(sizes) != case.rank:
        return [CaseError(("rank",), f"the input has {len(sizes)} spatial axes, the kernel {case.rank}")]
    broken = window.window_rules(case.output, case.kernel, case.stride, case.dilation, case.padding)
    if not broken:
        taps, due = prod(case.kernel), [axis.count for axis in window.windows(case.unfolded)]
        if rows % taps:
            broken.append(CaseError(("channels",), f"the input has {rows} channels, no multiple of the {taps} taps"))
        if sizes != due:
            broken.append(CaseError(("output",), f"output {list(case.output)} has {due} windows, the input {sizes}"))
    return broken + gradient_rules(case)


def output_shape(case: FoldCase) -> tuple[int, ...]:
    """(N, C, *output). Only for a case without violations."""
    return case.unfolded.input_shape


def terms(case: FoldCase, pass_: Pass) -> int:
    """K: how many windows see the position that is seen most, or 1 for the gradient."""
    return 1 if pass_.gradient else window.met(window.windows(case.unfolded))


def work(case: FoldCase) -> Work:
    """One addition an element of the input; input and output once, as bytes."""
    count = prod(case.input_shape)
    return Work(flops=count, bytes=(count + prod(output_shape(case))) * FORMATS[case.dtype].itemsize)


def picture(case: FoldCase) -> PatchesCase:
    """Return the window that slides over the output."""
    return case.unfolded


def reference(case: FoldCase, arrays: Sequence[NDArray[Any]], pass_: Pass) -> Expected:
    """Return the sums of patches, or their adjoint: the gradient's values where windows see them, bit for bit."""
    from convsuite.arithmetic import evaluate

    whole = case.unfolded
    if pass_.gradient:
        return patches.untouched(patches.seen(whole, arrays[-1]))
    return evaluate(lambda a, ops: patches.folded(whole, ops[0], a), arrays[:1], case.dtype, terms(case, pass_))


def _rows(entry: FoldEntry, kernel: tuple[int, ...]) -> int | None:
    """Return the input's channels, as far as the entry says them."""
    if entry.channels is None and operand.array(entry.input, "input").values is not None:
        return None
    return (1 if entry.channels is None else entry.channels) * max(1, prod(kernel))


def _counts(
    output: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...], pads: Padding
) -> list[int]:
    """Return how many windows each axis of the output has; 1 where the window is invalid, which is told later."""
    if window.window_rules(output, kernel, stride, dilation, pads):
        return [1] * len(output)
    return [axis.count for axis in window.windows_over(output, kernel, stride, dilation, pads)]
