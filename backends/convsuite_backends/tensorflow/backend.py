"""Eager tf.nn with oneDNN, and the other execution modes of TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from convsuite.backend import Function
from convsuite.case import Case, Pass
from convsuite_backends.tensorflow.conv import Convolutions, beyond_int32, no_dtype, no_input_channels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convsuite.operations.conv import ConvCase


class TensorFlow(Convolutions):
    """Eager tf.nn with oneDNN; NHWC and HWIO unless the case asks for channels first."""


class TensorFlowNoOnednn(TensorFlow):
    """Eager, without oneDNN: TensorFlow's own Eigen kernels."""

    environment: ClassVar[Mapping[str, str]] = {**TensorFlow.environment, "TF_ENABLE_ONEDNN_OPTS": "0"}
    devices: ClassVar[tuple[str, ...]] = ("cpu",)


class TensorFlowXla(TensorFlow):
    """tf.function(jit_compile=True): the same calls, compiled by XLA."""

    def compile(self, function: Function, case: Case) -> Function:
        """Return the function compiled for one geometry."""
        import tensorflow as tf

        return tf.function(function, jit_compile=True, autograph=False)  # type: ignore[no-any-return]

    def _conv_lack(self, case: ConvCase) -> str:
        return no_dtype(case) or no_input_channels(case) or beyond_int32(case)

    def _conv_gradient_lack(self, case: ConvCase) -> str:
        return ""

    def _gradient_needs_word(self, case: ConvCase) -> bool:
        return False

    def _conv_sums_in_16_bits(self, case: ConvCase, pass_: Pass) -> bool:
        return False
