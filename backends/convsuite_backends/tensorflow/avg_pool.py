"""TensorFlow's average pools: tf.nn.avg_pool1d, avg_pool2d and avg_pool3d; tf.nn.pool where windows are dilated."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import Numerics, Pass, Support
from convsuite_backends import _layout, _pools
from convsuite_backends._averages import other_divisor, over_seen
from convsuite_backends.tensorflow.arrays import TensorFlowArrays
from convsuite_backends.tensorflow.max_pool import dilated_lack, pad

if TYPE_CHECKING:
    from convsuite.operations.avg_pool import AvgPoolCase
    from convsuite.operations.pool import PoolCase


class AveragePools(TensorFlowArrays):
    """avg_pool."""

    def avg_pool_support(self, case: AvgPoolCase) -> Support:
        """Declare what TensorFlow's kernels lack, whose divisor it has, and what takes tf.pad beside the pool."""
        lack = (
            dilated_lack(case)
            or self._average_lack(case)
            or too_large(case)
            or other_divisor(case, "TensorFlow", _word(case) == "SAME")
        )
        if lack:
            return Support.unsupported(lack)
        before = "tf.pad before the pool, which takes SAME and VALID only"
        return Support.composed(before) if _word(case) is None else Support.native()

    def avg_pool_numerics(self, case: AvgPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare where windows and gradients are added up in 16 bits."""
        if case.dtype not in _layout.HALVES or not self._averages_in_16_bits(case, pass_):
            return declared
        return _layout.narrowed(declared, case, None, f"TensorFlow's kernels add up in {case.dtype}")

    def avg_pool(self, case: AvgPoolCase, x: Native) -> Native:
        """Call avg_pool1d, avg_pool2d or avg_pool3d; other pads are a call of their own."""
        word = _word(case)
        return self._averaged(case, x if word else pad(case, x, 0), word or "VALID")

    def _averaged(self, case: PoolCase, x: Native, word: str) -> Native:
        """Return the means of windows."""
        import tensorflow as tf

        order = _layout.axes(case.rank, _layout.channels_last(case))
        if set(case.dilation) != {1}:
            return tf.nn.pool(x, case.kernel, "AVG", case.stride, word, order, case.dilation)
        call = (tf.nn.avg_pool1d, tf.nn.avg_pool2d, tf.nn.avg_pool3d)[case.rank - 1]
        return call(x, case.kernel, case.stride, word, data_format=order)

    def _average_lack(self, case: PoolCase) -> str:
        """Say what the eager kernels have not."""
        if case.rank == 3 and case.dtype in ("float64", "float16"):
            return f"tf.nn.avg_pool3d has no {case.dtype} on the CPU"
        if not self._on_gpu and not _layout.channels_last(case) and not self._by_onednn(case):
            return f"channels first takes oneDNN on the CPU, {self._why_not(case)}"
        return ""

    def _averages_in_16_bits(self, case: PoolCase, pass_: Pass) -> bool:
        return not self._on_gpu and (pass_.gradient or not self._by_onednn(case))

    def _by_onednn(self, case: PoolCase) -> bool:
        """Tell whether TensorFlow gives a pool to oneDNN: never one of float16, whatever the processor has."""
        return case.dtype in self._onednn - {"float16"}


def too_large(case: PoolCase) -> str:
    """Say that too large a window is not refused."""
    refused = case.expect.error == "kernel" and min(case.kernel) > 0
    return "TensorFlow answers with an empty output where no window fits" if refused else ""


@lru_cache(maxsize=8)  # asked at each call
def _word(case: AvgPoolCase) -> str | None:
    """Return the padding as TensorFlow's own argument, or None where tf.pad must do it."""
    if case.expect.error is not None or not (any(map(any, _pools.grown(case))) or case.padding.negative):
        return "VALID"
    same = _layout.same(case.padding.kinds, "same_upper") and max(case.dilation) == 1 and not _pools.hangs_over(case)
    return "SAME" if same and over_seen(case) else None
