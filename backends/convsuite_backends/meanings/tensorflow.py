"""TensorFlow's calls."""

from __future__ import annotations

from collections.abc import Callable
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
        'tf.nn.conv2d(x, w, stride, "VALID")',
    ),
    *asked(
        "conv_flip",
        'tf.nn.conv2d(x, w, 1, "VALID")',
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
)


class TensorFlow(Dialect):
    """tf.nn and tf.image, eager."""

    requires: ClassVar[tuple[str, ...]] = ("tensorflow",)
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
