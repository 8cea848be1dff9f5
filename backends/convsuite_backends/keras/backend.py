"""Keras on each framework that it runs on, by its functions and by its layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from convsuite.case import INTEGERS, Support
from convsuite_backends import _layout
from convsuite_backends.jax.avg_pool import AveragePools as JaxAveragePools
from convsuite_backends.jax.conv import Convolutions as JaxConvolutions
from convsuite_backends.jax.conv_transpose import TransposedConvolutions as JaxTransposed
from convsuite_backends.jax.depthwise import DepthwiseConvolutions as JaxDepthwise
from convsuite_backends.keras.adaptive import AdaptivePoolLayers, AdaptivePools
from convsuite_backends.keras.avg_pool import AveragePoolLayers, AveragePools
from convsuite_backends.keras.conv import ConvolutionLayers, Convolutions, dilated, strided
from convsuite_backends.keras.conv_transpose import TransposedConvolutionLayers, TransposedConvolutions
from convsuite_backends.keras.depthwise import DepthwiseConvolutionLayers, DepthwiseConvolutions
from convsuite_backends.keras.learning import Learning
from convsuite_backends.keras.local_conv import LocalConvolutionLayers, LocalConvolutions
from convsuite_backends.keras.lp_pool import PowerPoolLayers, PowerPools
from convsuite_backends.keras.max_pool import MaxPoolLayers, MaxPools
from convsuite_backends.keras.patches import PatchesLayers
from convsuite_backends.tensorflow.avg_pool import AveragePools as TensorFlowAveragePools
from convsuite_backends.tensorflow.conv import Convolutions as TensorFlowConvolutions
from convsuite_backends.tensorflow.conv_transpose import TransposedConvolutions as TensorFlowTransposed
from convsuite_backends.tensorflow.depthwise import DepthwiseConvolutions as TensorFlowDepthwise
from convsuite_backends.torch.adaptive import AdaptivePools as TorchAdaptivePools
from convsuite_backends.torch.avg_pool import AveragePools as TorchAveragePools
from convsuite_backends.torch.conv import Convolutions as TorchConvolutions
from convsuite_backends.torch.conv_transpose import TransposedConvolutions as TorchTransposed
from convsuite_backends.torch.depthwise import DepthwiseConvolutions as TorchDepthwise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convsuite.case import Case, Numerics, Pass
    from convsuite.operations.adaptive_avg_pool import AdaptiveAvgPoolCase
    from convsuite.operations.conv import ConvCase
    from convsuite.operations.learn_kernel import LearnKernelCase
    from convsuite.operations.local_conv import LocalConvCase


class _Ops(
    LocalConvolutions,
    Convolutions,
    DepthwiseConvolutions,
    TransposedConvolutions,
    Learning,
    MaxPools,
    PowerPools,
    AveragePools,
    AdaptivePools,
):
    """Every operation that Keras has, by its functions."""


class _Layers(
    LocalConvolutionLayers,
    PatchesLayers,
    ConvolutionLayers,
    DepthwiseConvolutionLayers,
    TransposedConvolutionLayers,
    Learning,
    MaxPoolLayers,
    PowerPoolLayers,
    AveragePoolLayers,
    AdaptivePoolLayers,
):
    """Every operation that Keras has, by its layers."""


class KerasTensorFlow(_Ops, TensorFlowConvolutions, TensorFlowDepthwise, TensorFlowTransposed, TensorFlowAveragePools):
    """keras.ops.conv on TensorFlow."""

    requires: ClassVar[tuple[str, ...]] = ("keras", *TensorFlowConvolutions.requires)
    environment: ClassVar[Mapping[str, str]] = {"KERAS_BACKEND": "tensorflow", **TensorFlowConvolutions.environment}
    name = "tensorflow"

    def _conv_lack_below(self, case: ConvCase) -> str:
        compiled = case.groups > 1 or (case.rank == 3 and not _layout.channels_last(case))  # Keras calls XLA for these
        if case.dtype == "int8" or (case.dtype == "int32" and (case.rank == 3 or compiled)):
            return f"TensorFlow has no {case.dtype} convolution of this kind"
        if not self._on_gpu and not _layout.channels_last(case) and not compiled and case.dtype not in self._onednn:
            return f"channels first takes oneDNN on the CPU, {self._why_not(case)}"
        if self._refuses_empty(case):
            return "TensorFlow refuses a weight without elements"
        if max(case.dilation) >= 2**31 and case.expect.error is None:
            return "tf.nn.convolution, by which Keras dilates, holds dilations in 32 bits"
        return ""

    def learn_kernel_support(self, case: LearnKernelCase) -> Support:
        """Declare that training convolves channels first by oneDNN alone, where the model is not compiled by XLA."""
        first = not self._on_gpu and case.rank < 3 and not _layout.channels_last(case)
        absent = first and case.dtype not in self._onednn
        lack = f"gradients of channels first take oneDNN on the CPU, {self._why_not(case)}"
        return Support.unsupported(lack) if absent else Support.native()

    def _padding(self, case: ConvCase) -> str | None:
        return self._word(case)

    def _depthwise_lack_below(self, case: Case) -> str:
        if case.dtype in INTEGERS:
            return f"TensorFlow has no depthwise convolution of {case.dtype}"
        return "" if strided(case) and dilated(case) else self._unequal_lack(case)  # of both, Keras makes two steps

    def _product_sums_in_16_bits(self, case: LocalConvCase) -> bool:
        return case.dtype not in self._onednn


class KerasTensorFlowLayer(_Layers, KerasTensorFlow):
    """Keras layers on TensorFlow."""


class KerasJax(_Ops, JaxDepthwise, JaxConvolutions, JaxTransposed, JaxAveragePools):
    """keras.ops.conv on JAX, jitted as Keras's own training loop is."""

    requires: ClassVar[tuple[str, ...]] = ("keras", *JaxConvolutions.requires)
    environment: ClassVar[Mapping[str, str]] = {"KERAS_BACKEND": "jax", **JaxConvolutions.environment}
    name = "jax"


class KerasJaxLayer(_Layers, KerasJax):
    """Keras layers on JAX."""


class KerasTorch(_Ops, TorchDepthwise, TorchConvolutions, TorchTransposed, TorchAveragePools):
    """keras.ops.conv on PyTorch."""

    requires: ClassVar[tuple[str, ...]] = ("keras", *TorchConvolutions.requires)
    environment: ClassVar[Mapping[str, str]] = {"KERAS_BACKEND": "torch"}
    name = "torch"

    def _conv_lack_below(self, case: ConvCase) -> str:
        if case.expect.error is None and not case.out_channels:
            return "torch refuses a weight without output channels"
        return self._depthwise_lack_below(case)

    def _depthwise_lack_below(self, case: Case) -> str:
        where = "on GPUs" if self._on_gpu else "with dilation" if dilated(case) else ""
        return f"torch has no {case.dtype} convolution {where}" if case.dtype in INTEGERS and where else ""

    def _in_channels_last(self, case: Case) -> bool:
        return _layout.channels_last(case)  # Keras turns the axes, and makes no copy

    def _axis_by_axis(self, case: AdaptiveAvgPoolCase, pass_: Pass, declared: Numerics) -> Numerics:
        return TorchAdaptivePools.adaptive_avg_pool_numerics(self, case, pass_, declared)  # type: ignore[arg-type]


class KerasTorchLayer(_Layers, KerasTorch):
    """Keras layers on PyTorch."""
