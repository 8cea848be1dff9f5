"""TensorFlow's patches, tf.image.extract_patches and tf.extract_volume_patches, and a fold by unsorted_segment_sum."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Numerics, Pass, Support
from convsuite_backends import _columns, _layout
from convsuite_backends.tensorflow.arrays import TensorFlowArrays
from convsuite_backends.tensorflow.conv import WORDS, no_window, pad

if TYPE_CHECKING:
    from convsuite.operations.fold import FoldCase
    from convsuite.operations.patches import PatchesCase


class Patches(TensorFlowArrays):
    """patches and fold."""

    def patches_support(self, case: PatchesCase) -> Support:
        """Declare what is called beside, or for want of, the framework's own calls."""
        if case.rank == 3 and max(case.dilation) > 1 and not case.expect.error:
            return Support.unsupported("tf.extract_volume_patches takes no dilation")
        if case.rank == 3 and case.expect.error and (case.expect.error == "dilation" or max(case.dilation) > 1):
            return Support.unsupported("tf.extract_volume_patches takes no dilation, so none to refuse")
        if lack := no_window(case) or self._patches_lack(case):
            return Support.unsupported(lack)
        return _layout.composition(_steps(case))

    def patches_numerics(self, case: PatchesCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how the gradients of overlapping windows are added up."""
        if not pass_.gradient or (
            case.rank == 3 and case.dtype == "float16"
        ):  # by a matrix product that sums in float32
            return declared
        return _columns.added(declared, case, "TensorFlow's segment sum")

    def patches(self, case: PatchesCase, x: Native) -> Native:
        """Call extract_patches, of one row where there is one axis, or extract_volume_patches."""
        import tensorflow as tf

        word = _word(case)
        if word is None:
            x, word = pad(case, x), "VALID"
        if not _layout.channels_last(case):
            x = tf.transpose(x, (0, *range(2, 2 + case.rank), 1))
        kernel, stride, dilation = ([1, *numbers, 1] for numbers in (case.kernel, case.stride, case.dilation))
        match case.rank:
            case 1:  # a row of an image
                kernel, stride, dilation = ([1, *numbers] for numbers in (kernel, stride, dilation))
                y = tf.image.extract_patches(x[:, None], kernel, stride, dilation, word)[:, 0]
            case 2:
                y = tf.image.extract_patches(x, kernel, stride, dilation, word)
            case _:
                y = tf.extract_volume_patches(x, kernel, stride, word)
        if case.order == "channel_first":
            split = tf.reshape(y, (*y.shape[:-1], prod(case.kernel), case.channels))
            y = tf.reshape(tf.transpose(split, (*range(1 + case.rank), 2 + case.rank, 1 + case.rank)), y.shape)
        return y if _layout.channels_last(case) else tf.transpose(y, (0, 1 + case.rank, *range(1, 1 + case.rank)))

    def _patches_lack(self, case: PatchesCase) -> str:
        return ""

    def fold_support(self, case: FoldCase) -> Support:
        """Declare that TensorFlow has no such call."""
        return _columns.fold_support(case, "TensorFlow", "tf.math.unsorted_segment_sum")

    def fold_numerics(self, case: FoldCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how overlapping patches are added up."""
        whose = "tf.math.unsorted_segment_sum"
        return declared if pass_.gradient else _columns.added(declared, case.unfolded, whose)

    def fold(self, case: FoldCase, x: Native) -> Native:
        """Add up by position."""
        import tensorflow as tf

        last = _layout.channels_last(case)
        return _columns.fold(case, x, last, tf.reshape, tf.transpose, tf.math.unsorted_segment_sum)


def _word(case: PatchesCase) -> str | None:
    """Return the padding as TensorFlow's own argument, or None where tf.pad must do it."""
    return next((word for kind, word in WORDS.items() if _layout.same(case.padding.kinds, kind)), None)


def _steps(case: PatchesCase) -> list[str]:
    steps = []
    if case.rank == 1:
        steps.append("tf.image.extract_patches of one row: it is for two axes")
    if _word(case) is None:
        steps.append("tf.pad before it: it takes SAME and VALID only")
    if not _layout.channels_last(case):
        steps.append("transposes around it: it takes channels last only")
    if case.order == "channel_first":
        steps.append("a transpose: TensorFlow's patches have the channel last")
    return steps
