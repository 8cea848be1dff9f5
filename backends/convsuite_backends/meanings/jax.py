"""JAX's calls."""

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
        'jax.lax.conv(x, w, (stride, stride), "SAME")',
        'jax.lax.conv_general_dilated(x, w, (stride, stride), "SAME")',
        'jax.lax.conv_general_dilated(x, w, (stride, stride), "SAME_LOWER")',
    ),
    *asked(
        "conv_flip",
        'jax.lax.conv(x, w, (1, 1), "VALID")',
        'jax.scipy.signal.convolve2d(x[0, 0], w[0, 0], mode="valid")[None, None]',
        'jax.scipy.signal.correlate2d(x[0, 0], w[0, 0], mode="valid")[None, None]',
    ),
    *asked(
        "convolve_integers",
        'jnp.convolve(x[0, 0], w[0, 0], mode="valid")[None, None]',
        'jnp.correlate(x[0, 0], w[0, 0], mode="valid")[None, None]',
        'jax.lax.conv(x, w, (1,), "VALID")',
    ),
    *asked(
        "conv_same_dilation",
        'jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", rhs_dilation=(dilation, dilation))',
    ),
    *asked(
        "conv_causal",
        "jax.lax.conv_general_dilated(x, w, (stride,), [((kernel[0] - 1) * dilation, 0)], rhs_dilation=(dilation,))",
    ),
    *asked(
        "conv_weight",
        'jax.lax.conv(x, w, (1, 1), "VALID")',
        w="",
    ),
    *asked(
        "conv_weight",
        'jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))',
        x="NHWC",
        w="",
    ),
    *asked(
        "conv_layout",
        'jax.lax.conv(x, w, (1, 1), "VALID")',
        x="",
    ),
    *asked(
        "conv_dilation",
        'jax.lax.conv_general_dilated(x, w, (stride, stride), "VALID", '
        "rhs_dilation=(dilation, dilation), feature_group_count=2)",
    ),
    *asked(
        "conv_groups",
        'jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", feature_group_count=groups)',
    ),
    *asked("conv_groups_gradient", 'jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", feature_group_count=groups)'),
    *asked(
        "conv_dilation_gradient",
        'jax.lax.conv_general_dilated(x, w, (stride, stride), "VALID", rhs_dilation=(dilation, dilation))',
    ),
    *asked(
        "depthwise_weight",
        'jax.lax.conv_general_dilated(x, w, (1, 1), "VALID", feature_group_count=channels)',
    ),
    *asked(
        "conv_int8",
        'jax.lax.conv(x, w, (1, 1), "VALID")',
        'jax.lax.conv(x, w, (1, 1), "VALID", preferred_element_type=jnp.int32)',
    ),
    *asked(
        "pad_count",
        "jax.lax.conv_general_dilated(x, w, (1, 1), [(p, p), (p, p)])",
    ),
    *asked(
        "pad_sides",
        "jax.lax.conv_general_dilated(x, w, (1, 1), [(top, bottom), (left, right)])",
        "jnp.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))",
    ),
    *asked(
        "pad_mode",
        'jnp.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="reflect")',
        'jnp.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="symmetric")',
        'jnp.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="edge")',
        'jnp.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="wrap")',
    ),
    *asked(
        "conv_transpose_same",
        'jax.lax.conv_transpose(x, w, (stride, stride), "SAME")',
        x="NHWC",
        w="HWIO",
    ),
    *asked(
        "conv_transpose_same",
        'jax.lax.conv_transpose(x, w, (stride, stride), "SAME", transpose_kernel=True)',
        x="NHWC",
        w="HWOI",
    ),
    *asked(
        "conv_transpose_valid",
        'jax.lax.conv_transpose(x, w, (stride, stride), "VALID")',
        x="NHWC",
        w="HWIO",
    ),
    *asked(
        "conv_transpose_valid",
        'jax.lax.conv_transpose(x, w, (stride, stride), "VALID", transpose_kernel=True)',
        x="NHWC",
        w="HWOI",
    ),
    *asked(
        "conv_transpose_padding",
        "jax.lax.conv_transpose(x, w, (stride, stride), [(p, p), (p, p)])",
        x="NHWC",
        w="HWIO",
    ),
    *asked(
        "conv_transpose_padding",
        "jax.lax.conv_transpose("
        "x, w, (stride, stride), [(p, p), (p, p)], transpose_kernel=True, use_consistent_padding=True)",
        x="NHWC",
        w="HWOI",
    ),
    *asked(
        "conv_transpose_weight",
        'jax.lax.conv_transpose(x, w, (1, 1), "VALID")',
        'jax.lax.conv_transpose(x, w, (1, 1), "VALID", transpose_kernel=True)',
        x="NHWC",
        w="",
    ),
    *asked(
        "patches_order",
        'jax.lax.conv_general_dilated_patches(x, kernel, (stride, stride), "VALID", rhs_dilation=(dilation, dilation))',
    ),
    *asked("patches_same", 'jax.lax.conv_general_dilated_patches(x, kernel, (stride, stride), "SAME")'),
    *asked(
        "max_pool_same",
        'jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, *kernel), (1, 1, stride, stride), "SAME")',
    ),
    *asked(
        "max_pool_same_3d",
        'jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, *kernel), (1, 1, stride, stride, stride), "SAME")',
    ),
    *asked(
        "max_pool_nan", 'jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, *kernel), (1, 1, *kernel), "VALID")'
    ),
    *asked(
        "max_pool_nan_gradient",
        'jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, *kernel), (1, 1, *kernel), "VALID")',
    ),
    *asked(
        "max_pool_tie", 'jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, *kernel), (1, 1, *kernel), "VALID")'
    ),
    *asked(
        "avg_pool_same",
        'jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 1, *kernel), (1, 1, stride, stride), "SAME") '
        "/ (kernel[0] * kernel[1])",
    ),
    *asked(
        "local_conv_weight",
        'jax.lax.conv_general_dilated_local(x, w.reshape(3, -1, *windows), (stride, stride), "VALID", kernel)',
        w="",
    ),
)


class Jax(Dialect):
    """jax.lax, jax.numpy and jax.scipy, in JAX's defaults: 32 bits."""

    requires: ClassVar[tuple[str, ...]] = ("jax", "jaxlib")

    def names(self) -> dict[str, Any]:
        """Return jax and its usual short names."""
        import jax
        import jax.scipy.signal

        return {"jax": jax, "jnp": jax.numpy}

    def tensor(self, array: NDArray[Any]) -> Native:
        """Return an array."""
        import jax.numpy as jnp

        return jnp.asarray(array)

    def array(self, result: Native) -> NDArray[Any]:
        """Return an array as NumPy."""
        import numpy as np

        return np.asarray(result)

    def gradient(self, function: Callable[[Native], Native], x: Native) -> Native:
        """Return jax.grad's gradient."""
        import jax

        return jax.grad(lambda x: function(x).sum())(x)

    calls: ClassVar[tuple[Call, ...]] = CALLS
