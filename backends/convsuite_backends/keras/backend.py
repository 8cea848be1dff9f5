"""Keras on each framework that it runs on, by its functions and by its layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from convsuite.case import INTEGERS
from convsuite_backends import _layout
from convsuite_backends.jax.conv import Convolutions as JaxConvolutions
from convsuite_backends.keras.conv import ConvolutionLayers, Convolutions, dilated
from convsuite_backends.tensorflow.conv import Convolutions as TensorFlowConvolutions
from convsuite_backends.torch.conv import Convolutions as TorchConvolutions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convsuite.operations.conv import ConvCase


class _Ops(Convolutions):
    """Every operation that Keras has, by its functions."""


class _Layers(ConvolutionLayers):
    """Every operation that Keras has, by its layers."""


class KerasTensorFlow(_Ops, TensorFlowConvolutions):
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
        return ""

    def _padding(self, case: ConvCase) -> str | None:
        return self._word(case)


class KerasTensorFlowLayer(_Layers, KerasTensorFlow):
    """Keras layers on TensorFlow."""


class KerasJax(_Ops, JaxConvolutions):
    """keras.ops.conv on JAX, jitted as Keras's own training loop is."""

    requires: ClassVar[tuple[str, ...]] = ("keras", *JaxConvolutions.requires)
    environment: ClassVar[Mapping[str, str]] = {"KERAS_BACKEND": "jax", **JaxConvolutions.environment}
    name = "jax"


class KerasJaxLayer(_Layers, KerasJax):
    """Keras layers on JAX."""


class KerasTorch(_Ops, TorchConvolutions):
    """keras.ops.conv on PyTorch."""

    requires: ClassVar[tuple[str, ...]] = ("keras", *TorchConvolutions.requires)
    environment: ClassVar[Mapping[str, str]] = {"KERAS_BACKEND": "torch"}
    name = "torch"

    def _conv_lack_below(self, case: ConvCase) -> str:
        if case.expect.error is None and not case.out_channels:
            return "torch refuses a weight without output channels"
        absent = case.dtype in INTEGERS and dilated(case)
        return f"torch has no {case.dtype} convolution with dilation" if absent else ""


class KerasTorchLayer(_Layers, KerasTorch):
    """Keras layers on PyTorch."""
