"""Eager tf.nn with oneDNN, and the other execution modes of TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from convsuite.backend import Function
from convsuite.case import Case, Pass, Support
from convsuite_backends.tensorflow.adaptive import AdaptivePools
from convsuite_backends.tensorflow.avg_pool import AveragePools
from convsuite_backends.tensorflow.conv import Convolutions, beyond_int32, no_dtype, no_input_channels
from convsuite_backends.tensorflow.conv_transpose import TransposedConvolutions
from convsuite_backends.tensorflow.depthwise import DepthwiseConvolutions
from convsuite_backends.tensorflow.learning import COMPOSED, Learning
from convsuite_backends.tensorflow.local_conv import LocalConvolutions
from convsuite_backends.tensorflow.lp_pool import PowerPools
from convsuite_backends.tensorflow.max_pool import MaxPools, no_3d_dtype

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convsuite.operations.conv import ConvCase
    from convsuite.operations.conv_transpose import ConvTransposeCase
    from convsuite.operations.depthwise_conv import DepthwiseCase
    from convsuite.operations.learn_kernel import LearnKernelCase
    from convsuite.operations.local_conv import LocalConvCase
    from convsuite.operations.max_pool import MaxPoolCase
    from convsuite.operations.patches import PatchesCase
    from convsuite.operations.pool import PoolCase


class TensorFlow(
    Convolutions,
    DepthwiseConvolutions,
    TransposedConvolutions,
    Learning,
    MaxPools,
    PowerPools,
    AveragePools,
    LocalConvolutions,
    AdaptivePools,
):
    """Eager tf.nn with oneDNN; NHWC and HWIO unless the case asks for channels first."""


class TensorFlowNoOnednn(TensorFlow):
    """Eager, without oneDNN: TensorFlow's own Eigen kernels."""

    environment: ClassVar[Mapping[str, str]] = {**TensorFlow.environment, "TF_ENABLE_ONEDNN_OPTS": "0"}
    devices: ClassVar[tuple[str, ...]] = ("cpu",)


class TensorFlowXla(TensorFlow):
    """tf.function(jit_compile=True): the same calls, compiled by XLA."""

    _eigen = False

    def compile(self, function: Function, case: Case) -> Function:
        """Return the function compiled for one geometry."""
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)  # type: ignore[no-any-return]

    def learn_kernel_support(self, case: LearnKernelCase) -> Support:
        """Declare the same of every layout, which XLA has."""
        return COMPOSED

    def _conv_lack(self, case: ConvCase) -> str:
        return no_dtype(case) or no_input_channels(case) or beyond_int32(case)

    def _conv_gradient_lack(self, case: ConvCase) -> str:
        return ""

    def _gradient_needs_word(self, case: ConvCase) -> bool:
        return False

    def _depthwise_kernel_lack(self, case: Case) -> str:
        return ""

    def _depthwise_sums_in_16_bits(self, case: DepthwiseCase, pass_: Pass) -> bool:
        return False

    def _depthwise_gradient_needs_word(self, case: Case) -> bool:
        return False

    def _conv_transpose_lack(self, case: ConvTransposeCase) -> str:
        return ""

    def _word_needed(self, case: ConvTransposeCase) -> bool:
        return False

    def _transposed_sums_in_16_bits(self, case: ConvTransposeCase, pass_: Pass) -> bool:
        return False

    def _conv_sums_in_16_bits(self, case: ConvCase, pass_: Pass) -> bool:
        return False

    def _patches_lack(self, case: PatchesCase) -> str:
        if case.rank == 3:
            return "XLA has no tf.extract_volume_patches"
        return "XLA has no tf.image.extract_patches of int8" if case.dtype == "int8" else ""

    def _product_sums_in_16_bits(self, case: LocalConvCase) -> bool:
        return False

    def max_pool_indices_support(self, case: MaxPoolCase) -> Support:
        """Declare that there are none."""
        return Support.unsupported("XLA has no MaxPoolWithArgmax")

    def _max_pool_lack(self, case: MaxPoolCase) -> str:
        return no_3d_dtype(case)

    def _max_pool_gradient_lack(self, case: MaxPoolCase) -> str:
        return ""

    def _max_pool_tie(self, case: MaxPoolCase) -> str:
        return "behind_nan"

    def _takes_pads(self, case: PoolCase) -> bool:
        return False

    def _average_lack(self, case: PoolCase) -> str:
        return ""

    def _averages_in_16_bits(self, case: PoolCase, pass_: Pass) -> bool:
        return pass_.gradient
