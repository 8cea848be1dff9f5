"""Keras's calls, on each of its backends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from convsuite.meaning.dialect import Dialect, Native
from convsuite.meaning.records import Call, asked
from convsuite_backends.meanings.jax import Jax
from convsuite_backends.meanings.tensorflow import TensorFlow
from convsuite_backends.meanings.torch import Torch

if TYPE_CHECKING:
    from numpy.typing import NDArray


CALLS = (
    *asked(
        "conv_same",
        'keras.ops.conv(x, w, strides=stride, padding="same")',
        'keras.layers.Conv2D(3, kernel, strides=stride, padding="same", use_bias=False)',
    ),
    *asked(
        "conv_flip",
        "keras.ops.conv(x, w)",
    ),
    *asked("convolve_integers", 'keras.ops.correlate(x[0, :, 0], w[:, 0, 0], mode="valid")[None, :, None]'),
    *asked(
        "conv_same_dilation",
        'keras.ops.conv(x, w, padding="same", dilation_rate=dilation)',
    ),
    *asked(
        "conv_causal",
        'keras.ops.conv(x, w, strides=stride, padding="causal", dilation_rate=dilation)',
        'keras.layers.Conv1D(3, kernel, stride, padding="causal", dilation_rate=dilation, use_bias=False)',
    ),
    *asked(
        "conv_weight",
        "keras.ops.conv(x, w)",
        "keras.layers.Conv2D(2, 2, use_bias=False)",
        w="",
    ),
    *asked(
        "conv_layout",
        "keras.ops.conv(x, w)",
        x="",
    ),
    *asked(
        "conv_dilation",
        "keras.ops.conv(x, w, strides=stride, dilation_rate=dilation)",
        "keras.layers.Conv2D(4, kernel, strides=stride, dilation_rate=dilation, groups=2, use_bias=False)",
    ),
    *asked(
        "conv_dilation",
        "keras.ops.depthwise_conv(x, w, strides=stride, dilation_rate=dilation)",
        "keras.layers.DepthwiseConv2D(kernel, strides=stride, dilation_rate=dilation, "
        "depth_multiplier=2, use_bias=False)",
        w="HWCM",
    ),
    *asked(
        "conv_groups",
        "keras.layers.Conv2D(12, kernel, groups=groups, use_bias=False)",
    ),
    *asked("conv_groups_gradient", "keras.ops.conv(x, w)"),
    *asked("conv_dilation_gradient", "keras.ops.conv(x, w, strides=stride, dilation_rate=dilation)"),
    *asked(
        "depthwise_weight",
        "keras.ops.depthwise_conv(x, w)",
        "keras.layers.DepthwiseConv2D(kernel, depth_multiplier=multiplier, use_bias=False)",
        w="HWCM",
    ),
    *asked(
        "conv_int8",
        "keras.ops.conv(x, w)",
    ),
    *asked(
        "pad_sides",
        "keras.ops.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))",
    ),
    *asked("pad_count", "keras.layers.ZeroPadding2D(p)", w=""),
    *asked("pad_sides", "keras.layers.ZeroPadding2D(((top, bottom), (left, right)))", w=""),
    *asked(
        "pad_mode",
        'keras.ops.pad(x, ((0, 0), (p, p), (p, p), (0, 0)), mode="reflect")',
        'keras.ops.pad(x, ((0, 0), (p, p), (p, p), (0, 0)), mode="symmetric")',
    ),
    *asked(
        "conv_transpose_same",
        'keras.ops.conv_transpose(x, w, strides=stride, padding="same")',
        'keras.layers.Conv2DTranspose(3, kernel, strides=stride, padding="same", use_bias=False)',
        w="HWOI",
    ),
    *asked(
        "conv_transpose_valid",
        'keras.ops.conv_transpose(x, w, strides=stride, padding="valid")',
        "keras.layers.Conv2DTranspose(3, kernel, strides=stride, use_bias=False)",
        w="HWOI",
    ),
    *asked(
        "conv_transpose_output_padding",
        "keras.layers.Conv2DTranspose(3, kernel, strides=stride, output_padding=more, use_bias=False)",
        'keras.layers.Conv2DTranspose(3, kernel, strides=stride, padding="same", output_padding=more, use_bias=False)',
        w="HWOI",
    ),
    *asked(
        "conv_transpose_groups",
        "keras.layers.Conv2DTranspose(8, kernel, groups=groups, use_bias=False)",
        w="HWOI",
    ),
    *asked(
        "conv_transpose_weight",
        "keras.ops.conv_transpose(x, w, 1)",
        "keras.layers.Conv2DTranspose(2, 2, use_bias=False)",
        w="",
    ),
    *asked(
        "patches_order",
        "keras.ops.image.extract_patches(x, kernel, strides=(stride, stride), dilation_rate=dilation)",
    ),
    *asked("patches_same", 'keras.ops.image.extract_patches(x, kernel, strides=(stride, stride), padding="same")'),
    *asked("pool_stride", "keras.ops.max_pool(x, kernel)", "keras.layers.MaxPooling2D(kernel)"),
    *asked(
        "max_pool_same",
        'keras.ops.max_pool(x, kernel, stride, padding="same")',
        'keras.layers.MaxPooling2D(kernel, stride, padding="same")',
    ),
    *asked(
        "max_pool_same_3d",
        'keras.ops.max_pool(x, kernel, stride, padding="same")',
        'keras.layers.MaxPooling3D(kernel, stride, padding="same")',
    ),
    *asked("max_pool_nan", "keras.layers.MaxPooling2D(kernel)"),
    *asked("max_pool_nan_gradient", "keras.layers.MaxPooling2D(kernel)"),
    *asked("max_pool_tie", "keras.layers.MaxPooling2D(kernel)"),
    *asked(
        "avg_pool_same",
        'keras.ops.average_pool(x, kernel, stride, padding="same")',
        'keras.layers.AveragePooling2D(kernel, stride, padding="same")',
    ),
    *asked("local_conv_weight", "keras.layers.LocallyConnected2D(3, kernel, strides=stride, use_bias=False)", w=""),
    *asked(
        "global_pool",
        "keras.layers.GlobalAveragePooling2D()",
        "keras.layers.GlobalAveragePooling2D(keepdims=True)",
        "keras.layers.AdaptiveAveragePooling2D(1)",
    ),
    *asked("adaptive_avg_pool", "keras.layers.AdaptiveAveragePooling2D(output)"),
    *asked("adaptive_max_pool", "keras.layers.AdaptiveMaxPooling2D(output)"),
)


class _Keras(Dialect):
    """keras.ops, and layers that are given their weights; gradients are those of the framework below."""

    below: ClassVar[type[Dialect]]
    x: ClassVar[str] = "NHWC"
    w: ClassVar[str] = "HWIO"

    def names(self) -> dict[str, Any]:
        """Return Keras."""
        import keras

        return {"keras": keras}

    def tensor(self, array: NDArray[Any]) -> Native:
        """Return an array of the framework below."""
        import keras

        return keras.ops.convert_to_tensor(array)

    def array(self, result: Native) -> NDArray[Any]:
        """Return an array as NumPy."""
        import keras

        return keras.ops.convert_to_numpy(result)  # type: ignore[no-any-return]

    def applied(self, value: Any, arrays: Mapping[str, Native]) -> Native:
        """Build a layer, give it its weight, and call it."""
        import keras

        if not isinstance(value, keras.Layer):
            return value
        value.build(arrays["x"].shape)
        if value.weights:
            value.set_weights([arrays["w"]])
        return value(arrays["x"])

    def gradient(self, function: Callable[[Native], Native], x: Native) -> Native:
        """Return the gradient that the framework below computes."""
        return self.below().gradient(function, x)

    calls: ClassVar[tuple[Call, ...]] = CALLS


class KerasTensorFlow(_Keras):
    """Keras on TensorFlow."""

    requires: ClassVar[tuple[str, ...]] = ("keras", "tensorflow")
    environment: ClassVar[Mapping[str, str]] = {**TensorFlow.environment, "KERAS_BACKEND": "tensorflow"}
    below: ClassVar[type[Dialect]] = TensorFlow


class KerasJax(_Keras):
    """Keras on JAX."""

    requires: ClassVar[tuple[str, ...]] = ("keras", "jax", "jaxlib")
    environment: ClassVar[Mapping[str, str]] = {"KERAS_BACKEND": "jax"}
    below: ClassVar[type[Dialect]] = Jax


class KerasTorch(_Keras):
    """Keras on PyTorch."""

    requires: ClassVar[tuple[str, ...]] = ("keras", "torch")
    environment: ClassVar[Mapping[str, str]] = {"KERAS_BACKEND": "torch"}
    below: ClassVar[type[Dialect]] = Torch
