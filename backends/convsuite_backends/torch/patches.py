"""torch's patches and fold: torch.nn.functional.unfold and fold on one axis and two, what is put together on three.

F.unfold's windows are in one axis, F.fold wants them so: that reshape computes nothing and is not counted as a step.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import INTEGERS, Case, Numerics, Pass, Support
from convsuite.operations.patches import output_shape
from convsuite.operations.window import span
from convsuite_backends import _columns, _layout
from convsuite_backends.torch.arrays import TorchArrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convsuite.operations.fold import FoldCase
    from convsuite.operations.patches import PatchesCase

_TRANSPOSE = "a transpose: torch's patches have the channel first"


class Patches(TorchArrays):
    """patches and fold."""

    def _tensor_cores(self, case: Case, pass_: Pass) -> bool:
        """Tell whether TF32 multiplies: F.unfold and F.fold multiply nothing."""
        return super()._tensor_cores(case, pass_) and case.operation not in ("patches", "fold")

    def patches_support(self, case: PatchesCase) -> Support:
        """Declare what is put together from Tensor.unfold, and what else is called beside F.unfold."""
        if lack := _lack(case, case.input_shape):
            return Support.unsupported(lack)
        steps = []
        if not _planar(case):
            steps.append(f"Tensor.unfold axis by axis: F.unfold {_why_not(case)}")
        elif case.rank == 1:
            steps.append("F.unfold of one row: it is for two axes")
        if not _pads_alike(case):
            steps.append("F.pad before it: F.unfold pads both sides of an axis alike")
        return _layout.composition([*steps, _TRANSPOSE] if case.order == "channel_last" else steps)

    def patches_numerics(self, case: PatchesCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how the gradients of overlapping windows are added up."""
        return _columns.added(declared, case, "torch") if pass_.gradient else declared

    def patches(self, case: PatchesCase, x: Native) -> Native:
        """Call F.unfold where it is for such a case, else Tensor.unfold."""
        y = _columns_of(case, x)
        return y.transpose(1, 2).flatten(1, 2) if case.order == "channel_last" else y.flatten(1, 2)

    def fold_support(self, case: FoldCase) -> Support:
        """Declare what else is called beside F.fold."""
        if lack := _lack(case, case.unfolded.input_shape):
            return Support.unsupported(lack)
        windows = (case.input_shape[2:], output_shape(case.unfolded)[2:]) if case.expect.error == "output" else ()
        if windows and prod(windows[0]) == prod(windows[1]):
            return Support.unsupported("F.fold takes windows in one axis: those of 4 x 2 are as many as those of 2 x 4")
        steps = []
        if case.dtype in INTEGERS:
            steps.append(f"a cast to float64, which holds the sums, and back: F.fold has no {case.dtype}")
        if case.rank == 1:
            steps.append("F.fold of one row: it is for two axes")
        if case.rank == 3:
            steps.append("F.fold over two axes, and over the third: it is for two")
        elif not _pads_alike(case):
            steps.append("F.pad by the negative pads after it: F.fold pads both sides of an axis alike")
        return _layout.composition([*steps, _TRANSPOSE] if case.order == "channel_last" else steps)

    def fold_numerics(self, case: FoldCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how overlapping patches are added up."""
        return declared if pass_.gradient else _columns.added(declared, case.unfolded, "torch")

    def fold(self, case: FoldCase, x: Native) -> Native:
        """Call F.fold, where it has the dtype: over two axes at a time."""
        from torch.nn import functional

        if case.order == "channel_last":
            x = x.unflatten(1, (prod(case.kernel), case.channels)).transpose(1, 2).flatten(1, 2)
        columns = x.double() if case.dtype in INTEGERS else x
        if case.rank < 3 and _pads_alike(case):
            return _folded(case, columns, case.output, [low for low, _ in case.padding.pads]).to(x.dtype)
        sizes = [n + low + high for n, (low, high) in zip(case.output, case.padding.pads, strict=True)]
        fold = _folded_twice if case.rank == 3 else _folded
        return functional.pad(fold(case, columns, sizes), _pairs(case, -1)).to(x.dtype)


def _columns_of(case: PatchesCase, x: Native) -> Native:
    """Return what each window sees, (N, C, ∏kernel, *out)."""
    from torch.nn import functional

    if not _pads_alike(case) or not _planar(case):
        x = functional.pad(x, _pairs(case))
    if _planar(case):
        kernel, dilation, stride = _rows(case)
        pads = tuple(low for low, _ in case.padding.pads) if _pads_alike(case) else (0,) * case.rank
        x, pads = (x.unsqueeze(2), (0, *pads)) if case.rank == 1 else (x, pads)
        y = functional.unfold(x, kernel, dilation, pads, stride)
        if case.expect.error is not None:  # an answer that should be none: a reshape would refuse it for torch
            return y
        return y.reshape(y.shape[0], case.channels, prod(case.kernel), *output_shape(case)[2:])
    for axis, (k, s, d) in enumerate(zip(case.kernel, case.stride, case.dilation, strict=True), start=2):
        x = x.unfold(axis, span(k, d), s)[..., ::d]
    rank = case.rank
    return x.permute(0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank)).flatten(2, 1 + rank)


def _folded(case: FoldCase, x: Native, sizes: Sequence[int], pads: Sequence[int] = (0, 0)) -> Native:
    """Call F.fold for one or two axes, (N, C, *sizes)."""
    from torch.nn import functional

    kernel, dilation, stride = _rows(case)
    one = (1,) * (2 - case.rank)
    pads = (0,) * (2 - case.rank) + tuple(pads)[: case.rank]
    y = functional.fold(x.flatten(2), (*one, *sizes), kernel, dilation, pads, stride)
    return y.squeeze(2) if one else y


def _folded_twice(case: FoldCase, x: Native, sizes: Sequence[int]) -> Native:
    """Add the patches of three axes up over the last two axes, then over the first, (N, C, *sizes)."""
    from torch.nn import functional

    (n, *_), c, (depth, *plane) = x.shape, case.channels, sizes
    (k, *kernel), (d, *dilation), (s, *stride) = case.kernel, case.dilation, case.stride
    each = x.reshape(n, c * k, prod(kernel), x.shape[2], prod(x.shape[3:])).transpose(2, 3)  # a sample each
    planes = functional.fold(each.flatten(0, 2), plane, kernel, dilation, 0, stride)
    rows = planes.reshape(n, c, k, x.shape[2], prod(plane)).permute(0, 1, 4, 2, 3)
    folded = functional.fold(rows.flatten(0, 2), (1, depth), (1, k), (1, d), 0, (1, s))
    return folded.reshape(n, c, *plane, depth).movedim(-1, 2)


def _rows(case: Case) -> tuple[tuple[int, ...], ...]:
    """Return kernel, dilation and stride for two axes: one axis is that of a row."""
    one = (1,) * (2 - case.rank)
    return (*one, *case.kernel), (*one, *case.dilation), (*one, *case.stride)


def _planar(case: Case) -> bool:
    """Tell whether F.unfold and F.fold are for such a case."""
    return case.rank < 3 and case.dtype not in INTEGERS


def _why_not(case: Case) -> str:
    return "is for two axes" if case.rank == 3 else f"has no {case.dtype}"


def _pads_alike(case: Case) -> bool:
    return case.padding.symmetric and not case.padding.negative


def _pairs(case: Case, sign: int = 1) -> list[int]:
    """Return the pads as F.pad takes them, from the last axis to the first."""
    return [sign * p for pair in reversed(case.padding.pads) for p in pair]


def _lack(case: Case, image: tuple[int, ...]) -> str:
    """Say where torch refuses an array without elements, or has no call that could refuse."""
    if case.expect.error and not (_planar(case) and _pads_alike(case)):
        return "torch has no call of its own for this that could refuse it"
    if case.expect.error == "rank" and len(image) == case.rank + 1:
        return "torch reads an input with one axis less as one sample without a batch axis"
    return "" if case.expect.error or all(image[1:]) else "torch refuses an image without channels or space"
