"""Keras's patches and folds: keras.ops.unfold and fold on one axis and two, extract_patches, and segment_sum.

keras.ops.unfold has the channel first and windows in one axis; extract_patches the channel last, and axes of their own.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import INTEGERS, Case, Numerics, Operand, Pass, Support
from convsuite.operations.conv import ConvCase
from convsuite.operations.patches import output_shape
from convsuite_backends import _columns, _layout
from convsuite_backends.jax.conv import nothing_to_refuse
from convsuite_backends.keras.arguments import data_format, word
from convsuite_backends.keras.conv import Convolutions, pad
from convsuite_backends.tensorflow.conv import no_window

if TYPE_CHECKING:
    from convsuite.operations.fold import FoldCase
    from convsuite.operations.patches import PatchesCase


class Patches(Convolutions):
    """patches and fold."""

    def patches_support(self, case: PatchesCase) -> Support:
        """Declare what a call lacks, and what is called beside it."""
        if len(case.input_shape) == case.rank + 1:
            return Support.unsupported("Keras reads an input with one axis less as one sample without a batch axis")
        if lack := self._unfold_lack(case) if self._unfolds(case) else self._extract_lack(case):
            return Support.unsupported(lack)
        return _layout.composition(_unfold_steps(case) if self._unfolds(case) else _extract_steps(case))

    def patches_numerics(self, case: PatchesCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how the gradients of overlapping windows are added up, by a convolution where it is one."""
        if not pass_.gradient:
            return declared
        if not self._unfolds(case) or self.name == "jax":
            return self.conv_numerics(_convolution(case), pass_, declared)
        return _columns.added(declared, case, f"Keras on {self.name}")

    def patches(self, case: PatchesCase, x: Native) -> Native:
        """Call keras.ops.unfold where it is for such a case, else extract_patches."""
        return self._unfolded(case, x) if self._unfolds(case) else _extracted(case, x)

    def _unfolds(self, case: PatchesCase) -> bool:
        """Tell whether it takes keras.ops.unfold: of images, and rows, the channel first."""
        return case.order == "channel_first" and self._planar(case)

    def _planar(self, case: Case) -> bool:
        """Tell whether keras.ops.unfold and fold are for such a case; on torch they are for no integers."""
        return case.rank < 3 and not (self.name == "torch" and case.dtype in INTEGERS)

    def _unfold_lack(self, case: PatchesCase) -> str:
        """Say what keras.ops.unfold lacks on the framework below."""
        if self.name == "torch":
            empty = not case.expect.error and not all(case.input_shape[1:])
            return "torch refuses an image without channels or space" if empty else ""
        if self.name == "jax":
            empty = not case.expect.error and not case.channels
            return "JAX refuses patches of no channels" if empty else nothing_to_refuse(case)
        return no_window(case)

    def _extract_lack(self, case: PatchesCase) -> str:
        """Say what the convolution lacks that extract_patches is."""
        convolution = _convolution(case)
        return self._conv_lack(convolution) or self._conv_lack_below(convolution)

    def _unfolded(self, case: PatchesCase, x: Native) -> Native:
        """Call keras.ops.unfold, of one row where there is one axis."""
        from keras import ops

        last, alike = _layout.channels_last(case), _pads_alike(case)
        x = x if alike else pad(case, x)
        x = ops.moveaxis(x, -1, 1) if last else x
        x = ops.expand_dims(x, 2) if case.rank == 1 else x
        y = ops.unfold(x, *_window(case), _low(case, alike), _row(case, case.stride))
        if case.expect.error is not None:  # an answer that should be none: a reshape would refuse it for Keras
            return y
        y = ops.reshape(y, output_shape(case))
        return ops.moveaxis(y, 1, -1) if last else y

    def fold_support(self, case: FoldCase) -> Support:
        """Declare what is called beside keras.ops.fold, or for want of it."""
        if not self._planar(case):
            lack = "is for two axes" if case.rank == 3 else f"has no {case.dtype} on torch"
            if case.expect.error:
                return Support.unsupported(f"keras.ops.fold {lack}, and nothing else could refuse")
            return Support.composed(
                f"keras.ops.segment_sum over the positions that windows read: keras.ops.fold {lack}"
            )
        windows = (case.input_shape[2:], output_shape(case.unfolded)[2:]) if case.expect.error == "output" else ()
        if windows and prod(windows[0]) == prod(windows[1]):
            return Support.unsupported("keras.ops.fold takes windows in one axis: 4 x 2 are as many as 2 x 4")
        if self.name == "torch" and not case.expect.error and not all(case.unfolded.input_shape[1:]):
            return Support.unsupported("torch refuses an image without channels or space")
        return _layout.composition(_fold_steps(case))

    def fold_numerics(self, case: FoldCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how overlapping patches are added up: segment_sum on torch adds in float32, JAX's fold convolves."""
        if pass_.gradient or self.name == ("jax" if self._planar(case) else "torch"):
            return declared
        call = "fold" if self._planar(case) else "segment_sum"
        return _columns.added(declared, case.unfolded, f"keras.ops.{call} on {self.name}")

    def fold(self, case: FoldCase, x: Native) -> Native:
        """Call keras.ops.fold, of one row where there is one axis; of three, add up by position."""
        from keras import ops

        last = _layout.channels_last(case)
        if not self._planar(case):
            return _columns.fold(case, x, last, ops.reshape, ops.transpose, ops.segment_sum)
        x = ops.moveaxis(x, -1, 1) if last else x
        x = ops.reshape(x, (*x.shape[:2], prod(x.shape[2:])))
        if case.order == "channel_last":
            n, rows, windows = x.shape
            x = ops.reshape(x, (n, prod(case.kernel), case.channels, windows))
            x = ops.reshape(ops.swapaxes(x, 1, 2), (n, rows, windows))
        alike = _pads_alike(case)
        pads = zip(case.output, case.padding.pads, strict=True)
        sizes = case.output if alike else tuple(size + low + high for size, (low, high) in pads)
        y = ops.fold(x, _row(case, sizes), *_window(case), _low(case, alike), _row(case, case.stride))
        y = ops.squeeze(y, 2) if case.rank == 1 else y
        y = ops.moveaxis(y, 1, -1) if last else y
        return y if alike else pad(_cut(case), y)


class PatchesLayers(Patches):
    """Neither is there as a layer."""

    def patches_support(self, case: PatchesCase) -> Support:
        """Declare that there is no layer."""
        return Support.unsupported("Keras has no layer that gives patches")

    def fold_support(self, case: FoldCase) -> Support:
        """Declare that there is no layer."""
        return Support.unsupported("Keras has no layer that folds")


def _convolution(case: PatchesCase) -> ConvCase:
    """Return the convolution by which Keras takes patches."""
    weight = Operand(role="weight", shape=(case.rows, case.channels, *case.kernel))
    return ConvCase(
        id=case.id,
        operation="conv",
        input_shape=case.input_shape,
        kernel=case.kernel,
        stride=case.stride,
        dilation=case.dilation,
        padding=case.padding,
        dtype=case.dtype,
        layout=case.layout,
        passes=case.passes,
        operands=(*case.operands[:1], weight),
        expect=case.expect,
        out_channels=case.rows,
    )


def _extracted(case: PatchesCase, x: Native) -> Native:
    """Call extract_patches, of one row where there is one axis: a convolution with one weight of 1 for each tap."""
    from keras import ops

    last, said = _layout.channels_last(case), word(case)
    x = x if said else pad(case, x)
    row = 1 if last else 2
    x = ops.expand_dims(x, row) if case.rank == 1 else x
    kernel, stride, dilation = (_row(case, numbers) for numbers in (case.kernel, case.stride, case.dilation))
    y = ops.image.extract_patches(x, kernel, stride, dilation, said or "valid", data_format=data_format(case))
    y = ops.squeeze(y, row) if case.rank == 1 else y
    if case.order == "channel_last":
        return y
    at = 1 + case.rank if last else 1
    split = ops.reshape(y, (*y.shape[:at], y.shape[at] // case.channels, case.channels, *y.shape[at + 1 :]))
    return ops.reshape(ops.swapaxes(split, at, at + 1), y.shape)


def _row(case: Case, numbers: tuple[int, ...], one: int = 1) -> tuple[int, ...]:
    """Return numbers of two axes, those of a row for one."""
    return (one, *numbers) if case.rank == 1 else numbers


def _window(case: Case) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return kernel and dilation as unfold and fold take them."""
    return _row(case, case.kernel), _row(case, case.dilation)


def _low(case: Case, alike: bool) -> tuple[int, ...]:
    """Return the pads of both sides as unfold and fold take them."""
    return _row(case, tuple(low for low, _ in case.padding.pads), 0) if alike else (0, 0)


def _pads_alike(case: Case) -> bool:
    return case.padding.symmetric and not case.padding.negative


def _cut(case: FoldCase) -> FoldCase:
    """Return a case whose pads undo the case's own."""
    pads = tuple((-low, -high) for low, high in case.padding.pads)
    return replace(case, padding=replace(case.padding, pads=pads))


def _unfold_steps(case: PatchesCase) -> list[str]:
    steps = []
    if not _pads_alike(case):
        steps.append("keras.ops.pad before it: keras.ops.unfold pads both sides of an axis alike")
    return [*steps, *_around(case, "keras.ops.unfold")]


def _fold_steps(case: FoldCase) -> list[str]:
    steps = _around(case, "keras.ops.fold")
    if case.order == "channel_last":
        steps.append("a transpose: the rows of keras.ops.fold have the channel first")
    if not _pads_alike(case):
        steps.append("a slice after it, and keras.ops.pad: it pads both sides of an axis alike")
    return steps


def _around(case: Case, call: str) -> list[str]:
    steps = [f"{call} of one row: it is for two axes"] if case.rank == 1 else []
    return [*steps, "transposes around it: it is for channels first"] if _layout.channels_last(case) else steps


def _extract_steps(case: PatchesCase) -> list[str]:
    steps = []
    if case.rank == 1:
        steps.append("keras.ops.image.extract_patches of one row: it is for two axes and three")
    if word(case) is None:
        steps.append("keras.ops.pad before it: it takes valid and same only")
    if case.order == "channel_first":
        steps.append("a transpose: its patches have the channel last")
    return steps
