"""TensorFlow's max pools: tf.nn.max_pool1d, max_pool2d and max_pool3d; tf.nn.pool where windows are dilated."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import INTEGERS, Case, Support
from convsuite_backends import _layout, _pools
from convsuite_backends.tensorflow.arrays import TensorFlowArrays
from convsuite_backends.tensorflow.conv import no_window

if TYPE_CHECKING:
    from convsuite.case import Numerics, Pass
    from convsuite.operations.max_pool import MaxPoolCase
    from convsuite.operations.pool import PoolCase

WORDS = {"valid": "VALID", "same_upper": "SAME"}
PAD = "tf.pad(constant_values=-inf)"


class MaxPools(TensorFlowArrays):
    """max_pool."""

    def max_pool_support(self, case: MaxPoolCase) -> Support:
        """Declare what TensorFlow's kernels lack, what takes tf.pad beside the pool, and that a NaN is ignored."""
        lack = dilated_lack(case) or self._max_pool_lack(case) or _pools.other_nan(case, "TensorFlow", "ignore")
        return Support.unsupported(lack) if lack else _layout.composition(self._max_pool_steps(case))

    def max_pool_gradient_support(self, case: MaxPoolCase) -> Support:
        """Declare where the gradient goes, and that the CPU has it in channels last only."""
        padded = self._pool_padding(case) is None and any(map(any, _pools.grown(case)))
        lack = (
            self._max_pool_gradient_lack(case)
            or _pools.other_tie(case, "TensorFlow", self._max_pool_tie(case))
            or (padded and _pools.pad_chosen(case, PAD))
        )
        return Support.unsupported(lack) if lack else Support.native()

    def max_pool_indices_support(self, case: MaxPoolCase) -> Support:
        """Declare max_pool_with_argmax, whose index counts channels too."""
        word = isinstance(self._pool_padding(case), str)
        if case.rank == 3 or dilated(case) or not word or not _layout.channels_last(case):
            return Support.unsupported("tf.nn.max_pool_with_argmax is for NHWC, VALID and SAME, and no dilation")
        if not (prod(case.input_shape) or case.expect.error):
            return Support.unsupported("tf.nn.max_pool_with_argmax refuses an input without elements")
        if lack := _pools.other_tie(case, "TensorFlow", self._max_pool_tie(case)):
            return Support.unsupported(lack)
        row = ["max_pool_with_argmax of one row: it is for two axes"] if case.rank == 1 else []
        return _layout.composition(
            [*row, "the index of max_pool_with_argmax counts channels too: it is divided by them"]
        )

    def max_pool_numerics(self, case: MaxPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare how 16-bit gradients are added up."""
        return _pools.summed_in_halves(declared, case, pass_, "TensorFlow")

    def max_pool(self, case: MaxPoolCase, x: Native) -> Native:
        """Call max_pool1d, max_pool2d or max_pool3d; other pads are a call of their own."""
        import tensorflow as tf

        order = _layout.axes(case.rank, _layout.channels_last(case))
        padding = self._pool_padding(case)
        if padding is None:
            x, padding = pad(case, x, _pools.lowest(case)), "VALID"
        if dilated(case):
            return tf.nn.pool(x, case.kernel, "MAX", case.stride, padding, order, case.dilation)
        call = (tf.nn.max_pool1d, tf.nn.max_pool2d, tf.nn.max_pool3d)[case.rank - 1]
        return call(x, case.kernel, case.stride, padding, data_format=order)

    def max_pool_indices(self, case: MaxPoolCase, x: Native) -> Native:
        """Return where max_pool_with_argmax found the maxima, in each channel's own plane."""
        import tensorflow as tf

        one = (1,) * (2 - case.rank)
        image, kernel, stride = (x[:, None] if one else x), (*one, *case.kernel), (*one, *case.stride)
        index = tf.nn.max_pool_with_argmax(image, kernel, stride, self._pool_padding(case))[1]
        return (index[:, 0] if one else index) // case.channels

    def _max_pool_tie(self, case: MaxPoolCase) -> str:
        return "all" if case.rank == 3 else "leading_nan"

    def _max_pool_lack(self, case: MaxPoolCase) -> str:
        """Say what the eager kernels have not."""
        if lack := no_3d_dtype(case):
            return lack
        if case.rank == 3 and case.dtype == "float16" and not self._on_gpu:
            return "tf.nn.max_pool3d has no float16 on the CPU"
        if not self._on_gpu and not _layout.channels_last(case) and case.dtype not in self._onednn:
            return f"channels first takes oneDNN on the CPU, {self._why_not(case)}"
        return "" if self._on_gpu or case.dtype in self._onednn else no_window(case)

    def _max_pool_gradient_lack(self, case: MaxPoolCase) -> str:
        eager = not self._on_gpu and not _layout.channels_last(case)
        return "TensorFlow has no gradient of a pool in channels first on the CPU" if eager else ""

    def _takes_pads(self, case: PoolCase) -> bool:
        """Tell whether the call takes explicit pads: in 1-D and 2-D, channels last, each shorter than the window."""
        short = all(max(pair) < k for pair, k in zip(_pools.grown(case), case.kernel, strict=True))
        return case.rank < 3 and not dilated(case) and _layout.channels_last(case) and short

    def _pool_padding(self, case: PoolCase) -> str | list[tuple[int, int]] | None:
        """Return the padding as TensorFlow's own argument, or None where tf.pad must do it."""
        pads = _pools.grown(case)
        if _layout.same(case.padding.kinds, "same_upper") and not dilated(case) and not _pools.hangs_over(case):
            return "SAME"
        if not any(map(any, pads)) and not case.padding.negative:
            return "VALID"
        if case.padding.negative or not self._takes_pads(case):
            return None
        return [(0, 0), *pads, (0, 0)]

    def _max_pool_steps(self, case: MaxPoolCase) -> list[str]:
        """Say what is called beside the pool."""
        steps = [_pools.OVERHANG] if _pools.hangs_over(case) else []
        return steps + ([f"{PAD} before the pool"] if self._pool_padding(case) is None else [])


def no_3d_dtype(case: Case) -> str:
    """Say what dtypes the three-dimensional pool has not."""
    absent = case.rank == 3 and case.dtype in ("float64", *INTEGERS)
    return f"tf.nn.max_pool3d has no {case.dtype}" if absent else ""


def dilated(case: Case) -> bool:
    """Tell whether it takes tf.nn.pool, which alone has dilations."""
    return any(d != 1 for d in case.dilation)


def dilated_lack(case: Case) -> str:
    """Say what tf.nn.pool has not."""
    both = max(case.dilation) > 1 and max(case.stride) > 1
    return "tf.nn.pool refuses a stride together with a dilation" if both else ""


def pad(case: PoolCase, x: Native, value: float) -> Native:
    """Crop where a pad is negative, then pad with a value."""
    import tensorflow as tf

    first = 1 if _layout.channels_last(case) else 2
    x = x[(*(slice(None),) * first, *_layout.kept(case))]
    around = [(0, 0)] * first + _pools.grown(case) + [(0, 0)] * (2 - first)
    return tf.pad(x, around, constant_values=tf.constant(value, x.dtype))
