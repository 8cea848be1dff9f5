"""What the pools share: a window without weights that slides over each channel by itself.

Padding is never a value: a maximum does not see it, and what an average makes of it is a parameter of its own. A last
window that hangs over the padded input counts in `ceil_mode` if it starts inside the input or its low padding; what it
hangs over by is more padding, which no divisor counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

from convsuite.case import Case, Pass, Work
from convsuite.errors import CaseError
from convsuite.formats import FORMATS
from convsuite.operations import arrays as operand
from convsuite.operations import axes, window
from convsuite.operations.common import Common, gradient_rules, rank_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from convsuite.arithmetic import Arithmetic, Real
    from convsuite.entry import PoolEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCase(Case):
    """A pool, resolved; `padding` is what the case asks for, without what `ceil_mode` adds."""

    ceil_mode: bool = False

    @property
    def channels(self) -> int:
        """Channels of input and output."""
        return self.input_shape[1]

    @property
    def output_sizes(self) -> tuple[int, ...]:
        """Windows on each axis."""
        return tuple(axis.count for axis in windows(self))

    @property
    def held(self) -> int:
        """Bytes of the tables that `meetings` returns."""
        return 8 * sum(t * n for t, n in zip(self.taps, self.output_sizes, strict=True))

    @property
    def most_met(self) -> int:
        """How many windows the position is in that is in most."""
        return window.met(windows(self))

    @property
    def overhang(self) -> tuple[int, ...]:
        """By how many positions the last window of `ceil_mode` hangs over each axis, padded or cropped; it sees none.

        0 where the window is invalid, which `violations` tells.
        """
        sizes = self.input_shape[2:]
        if not self.ceil_mode or len(sizes) != self.rank or min(*self.kernel, *self.stride, *self.dilation) < 1:
            return (0,) * self.rank
        each = zip(sizes, self.kernel, self.stride, self.dilation, self.padding.pads, strict=True)
        return tuple(_hanging(n, window.span(k, d), s, *pads) for n, k, s, d, pads in each)

    def meetings(self) -> list[NDArray[Any]]:
        """Return, for each axis, the position that each window meets with each tap, (taps, windows); −1 for none."""
        return [_met(axis) for axis in windows(self)]


PoolT = TypeVar("PoolT", bound=PoolCase)
AXES = (
    axes.RANK,
    axes.BATCH,
    axes.KERNEL,
    axes.STRIDE,
    axes.DILATION,
    axes.PADDING,
    axes.yes_no("ceil_mode", lambda c: c.ceil_mode),
    axes.LAYOUT,
    axes.MEMORY_OF_INPUT,
    axes.MEMORY_OF_GRAD_OUTPUT,
)


def resolve(entry: PoolEntry, common: Common, cls: type[PoolT], name: str, **own: Any) -> PoolT:
    """Resolve what was written to a case of class `cls`; `own` are the operation's own parameters."""
    written = operand.array(entry.input, "input").values
    rank = rank_of(entry.rank, entry.kernel, written, "kernel")
    x = operand.input_operand(entry, rank, entry.channels)
    operand.no_weight_format(entry)
    kernel = operand.extent(entry.kernel, rank)
    stride = kernel if entry.stride is None else window.per_axis(entry.stride, rank, "stride")
    dilation = window.per_axis(entry.dilation, rank, "dilation")
    case = cls(
        id=common.id,
        operation=name,
        input_shape=x.shape,
        kernel=kernel,
        stride=stride,
        dilation=dilation,
        padding=window.resolve_padding(entry.padding, "zeros", x.shape[2:], kernel, stride, dilation),
        operands=(x,),
        ceil_mode=entry.ceil_mode,
        **own,
        **common.shared(entry, rank),
    )
    return operand.with_gradient(case, entry, violations, output_shape)


def violations(case: PoolCase) -> list[CaseError]:
    """Return every rule that a pool's window breaks."""
    hanging = zip(case.padding.pads, case.overhang, strict=True)
    padded = replace(case.padding, pads=tuple((low, high + more) for (low, high), more in hanging))
    broken = window.window_rules(case.input_shape[2:], case.kernel, case.stride, case.dilation, padded)
    return broken + gradient_rules(case)


def _hanging(size: int, span: int, stride: int, low: int, high: int) -> int:
    """Return by how many positions the last window of `ceil_mode` hangs over one axis."""
    last = -(-(size + low + high - span) // stride) * stride  # where it starts, from the first padded position
    if last >= low + min(size, size + high):  # what is cropped is not seen, so no window starts there
        last -= stride
    return max(0, last + span - (size + low + high)) if last >= 0 else 0


def windows(case: PoolCase) -> list[window.Window]:
    """Return what the window does on each spatial axis, hanging over where `ceil_mode` lets it.

    A crop at the end is a smaller input: what hangs over it must not see what was cut off.
    """
    each = zip(window.windows(case), case.overhang, strict=True)
    return [_kept(axis, *axis.pads, more) for axis, more in each]


def _kept(axis: window.Window, low: int, high: int, more: int) -> window.Window:
    return replace(axis, size=axis.size + min(high, 0), pads=(low, max(high, 0) + more))


def picture(case: PoolCase) -> PoolCase:
    """Return the sliding window to draw: the case's own."""
    return case


def output_shape(case: PoolCase) -> tuple[int, ...]:
    """(N, C, *output). Only for a case without violations."""
    return (*case.input_shape[:2], *case.output_sizes)


def taps(case: PoolCase) -> Iterator[NDArray[Any]]:
    """Yield for each tap, in row-major order, what each window meets with it: a position in the input's plane, or −1.

    Positions and windows count in row-major order. No two windows meet one position with the same tap.
    """
    import numpy as np

    each = case.meetings()
    for tap in product(*(range(len(at)) for at in each)):
        found = np.zeros(1, dtype=np.int64)
        for axis, t, size in zip(each, tap, case.input_shape[2:], strict=True):
            both = (found[:, None] >= 0) & (axis[t] >= 0)
            found = np.where(both, found[:, None] * size + axis[t], -1).ravel()
        yield found


def _met(axis: window.Window) -> NDArray[Any]:
    """Return what each window of one axis meets with each tap, (taps, windows); −1 for padding and what is cropped."""
    import numpy as np

    at = np.arange(axis.count) * axis.stride + np.arange(axis.kernel)[:, None] * axis.dilation - axis.pads[0]
    return np.where((at >= 0) & (at < axis.size), at, -1)


def in_a_row(case: PoolCase, x: NDArray[Any]) -> NDArray[Any]:
    """Return (N, C, *input) as (N, C, positions + 1): one after another, and a zero at the end, which −1 reads."""
    import numpy as np

    size = prod(case.input_shape[2:])
    row = np.zeros((*case.input_shape[:2], size + 1), x.dtype)
    row[..., :size] = x.reshape(*case.input_shape[:2], size)
    return row


def sums(case: PoolCase, x: Real, arithmetic: Arithmetic) -> Real:
    """Return the sum of what each window sees, padding being zeros: a value of (N, C, *output)."""
    import numpy as np

    from convsuite.operations import columns

    out, plane = output_shape(case), in_a_row(case, x)
    total = np.zeros((arithmetic.parts, *out[:2], prod(out[2:])))
    for at in taps(case):
        arithmetic.add(total, (), columns.value(arithmetic, plane[..., at]))
    return total.reshape(arithmetic.parts, *out)


def spread(case: PoolCase, shares: Real, arithmetic: Arithmetic) -> Real:
    """Add each window's share to all that it sees, a value of (N, C, *output) to one of (N, C, *input)."""
    import numpy as np

    flat = shares.reshape(*shares.shape[:3], prod(shares.shape[3:]))
    total = np.zeros((*shares.shape[:3], prod(case.input_shape[2:]) + 1))  # the last takes what −1 loses
    for at in taps(case):
        arithmetic.add(total, (..., at), flat)
    return total[..., :-1].reshape(arithmetic.parts, *case.input_shape)


def terms(case: PoolCase, pass_: Pass) -> int:
    """K: what is summed into one element: a window's values, or the gradients of all windows that hold a position."""
    return case.most_met if pass_.gradient else prod(case.kernel)


def work(case: PoolCase) -> Work:
    """One operation a tap, padding counted; input and output once, as bytes."""
    out = prod(output_shape(case))
    return Work(
        flops=out * prod(case.kernel),
        bytes=(prod(case.input_shape) + out) * FORMATS[case.dtype].itemsize,
    )
