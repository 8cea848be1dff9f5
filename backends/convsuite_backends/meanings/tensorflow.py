"""TensorFlow's calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from convsuite.meaning.dialect import Dialect, Native
from convsuite.meaning.records import Call, asked

if TYPE_CHECKING:
    from numpy.typing import NDArray


CALLS = (
    *asked(
        "conv_same",
        'tf.nn.conv2d(x, w, stride, "SAME")',
        'tf.nn.convolution(x, w, strides=[stride, stride], padding="SAME")',
    ),
    *asked(
        "conv_flip",
        'tf.nn.conv2d(x, w, 1, "VALID")',
    ),
    *asked("convolve_integers", 'tf.nn.conv1d(x, w, 1, "VALID")'),
    *asked(
        "conv_same_dilation",
        'tf.nn.conv2d(x, w, 1, "SAME", dilations=dilation)',
    ),
    *asked(
        "conv_causal",
        'tf.nn.conv1d(x, w, stride, "CAUSAL", dilations=dilation)',
        'tf.nn.conv1d(tf.pad(x, [[0, 0], [(kernel[0] - 1) * dilation, 0], [0, 0]]), w, stride, "VALID", '
        "dilations=dilation)",
    ),
    *asked(
        "conv_weight",
        'tf.nn.conv2d(x, w, 1, "VALID")',
        w="",
    ),
    *asked(
        "conv_layout",
        'tf.nn.conv2d(x, w, 1, "VALID")',
        x="",
    ),
    *asked(
        "conv_dilation",
        'tf.nn.conv2d(x, w, stride, "VALID", dilations=dilation)',
    ),
    *asked(
        "conv_dilation",
        'tf.nn.depthwise_conv2d(x, w, [1, stride, stride, 1], "VALID", dilations=[dilation, dilation])',
        w="HWCM",
    ),
    *asked(
        "conv_groups",
        'tf.nn.conv2d(x, w, 1, "VALID")',
    ),
    *asked(
        "conv_groups",
        'tf.nn.conv2d(x, w, 1, "VALID", data_format="NCHW")',
        x="NCHW",
    ),
    *asked(
        "conv_groups_gradient",
        'tf.nn.conv2d(x, w, 1, "VALID")',
    ),
    *asked(
        "conv_dilation_gradient",
        'tf.nn.conv2d(x, w, stride, "VALID", dilations=dilation)',
        'tf.nn.convolution(x, w, padding="VALID", strides=[stride, stride], dilations=[dilation, dilation])',
    ),
    *asked(
        "depthwise_weight",
        'tf.nn.depthwise_conv2d(x, w, [1, 1, 1, 1], "VALID")',
        w="HWCM",
    ),
    *asked(
        "conv_int8",
        'tf.nn.conv2d(x, w, 1, "VALID")',
    ),
    *asked(
        "pad_count",
        "tf.pad(x, [[0, 0], [p, p], [p, p], [0, 0]])",
        "tf.nn.conv2d(x, w, 1, [[0, 0], [p, p], [p, p], [0, 0]])",
    ),
    *asked(
        "pad_sides",
        "tf.pad(x, [[0, 0], [top, bottom], [left, right], [0, 0]])",
        "tf.nn.conv2d(x, w, 1, [[0, 0], [top, bottom], [left, right], [0, 0]])",
    ),
    *asked(
        "pad_mode",
        'tf.pad(x, [[0, 0], [p, p], [p, p], [0, 0]], "REFLECT")',
        'tf.pad(x, [[0, 0], [p, p], [p, p], [0, 0]], "SYMMETRIC")',
    ),
    *asked(
        "conv_transpose_same",
        'tf.nn.conv2d_transpose(x, w, (1, size[0] * stride, size[1] * stride, 3), stride, "SAME")',
        w="HWOI",
    ),
    *asked(
        "conv_transpose_valid",
        "tf.nn.conv2d_transpose(x, w, "
        '(1, (size[0] - 1) * stride + kernel[0], (size[1] - 1) * stride + kernel[1], 3), stride, "VALID")',
        w="HWOI",
    ),
    *asked(
        "conv_transpose_groups",
        'tf.nn.conv2d_transpose(x, w, (1, size[0] + 1, size[1] + 2, 8), 1, "VALID")',
        w="HWOI",
    ),
    *asked("conv_transpose_weight", 'tf.nn.conv2d_transpose(x, w, (1, size[0] + 1, size[1] + 1, 2), 1, "VALID")', w=""),
    *asked(
        "patches_order",
        'tf.image.extract_patches(x, [1, *kernel, 1], [1, stride, stride, 1], [1, dilation, dilation, 1], "VALID")',
    ),
    *asked(
        "patches_same", 'tf.image.extract_patches(x, [1, *kernel, 1], [1, stride, stride, 1], [1, 1, 1, 1], "SAME")'
    ),
    *asked("pool_stride", 'tf.nn.max_pool2d(x, kernel, padding="VALID")', 'tf.nn.pool(x, kernel, "MAX")'),
    *asked("max_pool_same", 'tf.nn.max_pool2d(x, kernel, stride, "SAME")'),
    *asked("max_pool_same_3d", 'tf.nn.max_pool3d(x, kernel, stride, "SAME")'),
    *asked("max_pool_nan", 'tf.nn.max_pool2d(x, kernel, kernel, "VALID")'),
    *asked("max_pool_nan_gradient", 'tf.nn.max_pool2d(x, kernel, kernel, "VALID")'),
    *asked("max_pool_tie", 'tf.nn.max_pool2d(x, kernel, kernel, "VALID")'),
    *asked(
        "max_pool_index",
        'tf.nn.max_pool_with_argmax(x, kernel, stride, "VALID")[1]',
        'tf.nn.max_pool_with_argmax(x, kernel, stride, "VALID", include_batch_in_index=True)[1]',
    ),
    *asked("avg_pool_same", 'tf.nn.avg_pool2d(x, kernel, stride, "SAME")'),
    *asked("global_pool", "tf.reduce_mean(x, [1, 2])"),
)

_LACKING = (
    "conv_groups", "conv_groups_gradient", "conv_dilation_gradient", "conv_transpose_groups", "max_pool_nan",
    "max_pool_nan_gradient",
)  # fmt: skip


class TensorFlow(Dialect):
    """tf.nn and tf.image, eager."""

    requires: ClassVar[tuple[str, ...]] = ("tensorflow",)
    environment: ClassVar[Mapping[str, str]] = {"TF_ENABLE_ONEDNN_OPTS": "1"}  # the default differs from CPU to CPU
    x: ClassVar[str] = "NHWC"
    w: ClassVar[str] = "HWIO"

    def names(self) -> dict[str, Any]:
        """Return TensorFlow by its usual name."""
        import tensorflow as tf

        return {"tf": tf}

    def tensor(self, array: NDArray[Any]) -> Native:
        """Return a tensor."""
        import tensorflow as tf

        return tf.constant(array)

    def array(self, result: Native) -> NDArray[Any]:
        """Return a tensor as NumPy."""
        return result.numpy()  # type: ignore[no-any-return]

    def gradient(self, function: Callable[[Native], Native], x: Native) -> Native:
        """Return tf.GradientTape's gradient."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x)

    calls: ClassVar[tuple[Call, ...]] = CALLS


class TensorFlowNoOnednn(TensorFlow):
    """The same without oneDNN, where TensorFlow's own kernels lack layouts, groups and gradients."""

    environment: ClassVar[Mapping[str, str]] = {"TF_ENABLE_ONEDNN_OPTS": "0"}
    calls: ClassVar[tuple[Call, ...]] = tuple(call for call in CALLS if call.question in _LACKING)
