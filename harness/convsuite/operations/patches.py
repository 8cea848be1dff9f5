"""Patches (im2col, unfold, extract_patches): what each window sees of the input, laid out as channels of the output.

    y[n, (c, t), p] = x̂[n, c, p·stride + t·dilation]

with x̂ the input padded with zeros, t over the window's taps. Axis 1 counts channels and taps row-major: (c, *t), or
(*t, c) with `order: channel_last`. Nothing is computed, so nothing but the very values will do: NaN, infinities and
subnormals included. The gradient to the input is `fold`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Literal

from convsuite.case import Case, Expected, Pass, Work
from convsuite.entry import Size, WindowEntry, says
from convsuite.errors import CaseError
from convsuite.formats import FORMATS
from convsuite.operations import arrays as operand
from convsuite.operations import axes, window
from convsuite.operations.common import Common, gradient_rules, rank_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convsuite.arithmetic import Arithmetic, Real

NAME = "patches"
PASSES = (Pass.FORWARD, Pass.GRAD_INPUT)
COMPARES = False

ORDERS = ("channel_first", "channel_last")
Order = Literal["channel_first", "channel_last"]


class PatchesEntry(WindowEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Patches as a case file writes them."""

    kernel: Annotated[Size | None, says("the window's size (required)")] = None
    stride: Annotated[Size, says("the step of the window")] = 1
    channels: Annotated[int | None, says("channels of the image; unless given, 1 or as the values say")] = None
    order: Annotated[Order, says("how axis 1 counts, row by row: (channel, tap), or (tap, channel)")] = "channel_first"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchesCase(Case):
    """Patches, resolved."""

    order: str = "channel_first"  # of axis 1: (channel, *tap), or (*tap, channel)

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return self.input_shape[1]

    @property
    def rows(self) -> int:
        """Channels of the output: C·∏kernel."""
        return self.channels * prod(self.kernel)


ENTRY = PatchesEntry
CASE = PatchesCase
AXES = (
    axes.RANK,
    axes.DTYPE,
    axes.BATCH,
    axes.KERNEL,
    axes.STRIDE,
    axes.DILATION,
    axes.PADDING,
    axes.LAYOUT,
    axes.fills(("integers", "normal", "special")),  # nothing is multiplied: the others show no more
    axes.Axis("order", ORDERS, lambda c: (c.order,)),
    axes.yes_no("several channels", lambda c: c.channels > 1),
    axes.MEMORY_OF_INPUT,
    axes.MEMORY_OF_GRAD_OUTPUT,
    axes.passes(PASSES),
)
EXCLUSIONS = axes.EVERYWHERE


def resolve(entry: PatchesEntry, common: Common) -> PatchesCase:
    """Resolve what was written to a case. Raise CaseError where it cannot even be said what is meant."""
    rank = rank_of(entry.rank, entry.kernel, operand.array(entry.input, "input").values, "kernel")
    x = operand.input_operand(entry, rank, entry.channels)
    operand.no_weight_format(entry)
    kernel = operand.extent(entry.kernel, rank)
    stride, dilation = window.per_axis(entry.stride, rank, "stride"), window.per_axis(entry.dilation, rank, "dilation")
    case = PatchesCase(
        id=common.id,
        operation=NAME,
        input_shape=x.shape,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=window.resolve_padding(entry.padding, "zeros", x.shape[2:], kernel, stride, dilation),
        operands=(x,),
        order=entry.order,
        **common.shared(entry, rank),
    )
    return operand.with_gradient(case, entry, violations, output_shape)


def violations(case: PatchesCase) -> list[CaseError]:
    """Return every rule that the case breaks."""
    broken = window.window_rules(case.input_shape[2:], case.kernel, case.stride, case.dilation, case.padding)
    return broken + gradient_rules(case)


def output_shape(case: PatchesCase) -> tuple[int, ...]:
    """(N, C·∏kernel, *output). Only for a case without violations."""
    return (case.input_shape[0], case.rows, *(axis.count for axis in window.windows(case)))


def terms(case: PatchesCase, pass_: Pass) -> int:
    """K: 1, or for the gradient how many windows see the position that is seen most."""
    return window.met(window.windows(case)) if pass_.gradient else 1


def work(case: PatchesCase) -> Work:
    """Nothing is computed; input and output once, as bytes."""
    elements = prod(case.input_shape) + prod(output_shape(case))
    return Work(flops=0, bytes=elements * FORMATS[case.dtype].itemsize)


def picture(case: PatchesCase) -> PatchesCase:
    """Return the sliding window to draw: the case's own."""
    return case


def reference(case: PatchesCase, arrays: Sequence[NDArray[Any]], pass_: Pass) -> Expected:
    """Return the values seen, which must be met bit for bit; or their adjoint, sums of gradients."""
    from convsuite.arithmetic import evaluate

    if pass_.gradient:
        return evaluate(lambda a, ops: folded(case, ops[-1], a), arrays[-1:], case.dtype, terms(case, pass_))
    return untouched(seen(case, arrays[0]))


def untouched(values: NDArray[Any]) -> Expected:
    """Expect these very values: no sum is taken, so that gate 1 holds for numbers of any kind."""
    import numpy as np

    exact = np.asarray(values, np.float64)
    size = np.where(np.isfinite(exact), np.abs(exact), np.nan)
    return Expected(value=exact, low=None, magnitude=size, terms=1, integral=True, sums=np.zeros_like(exact))


def seen(case: PatchesCase, x: NDArray[Any]) -> NDArray[Any]:
    """Return what each window sees, in the case's order: (N, C·∏kernel, *output)."""
    import numpy as np

    from convsuite.operations import columns

    found = columns.gather(window.windows(case), x)
    if case.order == "channel_last":
        found = np.moveaxis(found, 1, 1 + case.rank)
    return found.reshape(output_shape(case))


def folded(case: PatchesCase, grad: Real, arithmetic: Arithmetic) -> Real:
    """Add an array of patches up where they were seen: a value of the input's shape."""
    import numpy as np

    from convsuite.operations import columns

    n, _, *out = output_shape(case)
    last = case.order == "channel_last"
    split = grad.reshape(n, *((*case.kernel, case.channels) if last else (case.channels, *case.kernel)), *out)
    split = np.moveaxis(split, 1 + case.rank, 1) if last else split
    return columns.scatter(window.windows(case), columns.value(arithmetic, split), arithmetic)
