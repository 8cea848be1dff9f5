"""Flax's calls: layers and pools of flax.linen, on JAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from convsuite.meaning.dialect import Native
from convsuite.meaning.records import Call, asked
from convsuite_backends.meanings.jax import Jax

CALLS = (
    *asked(
        "conv_same",
        "flax.linen.Conv(3, kernel, stride, use_bias=False)",
        'flax.linen.Conv(3, kernel, stride, padding="SAME", use_bias=False)',
    ),
    *asked(
        "conv_same_dilation",
        "flax.linen.Conv(3, kernel, kernel_dilation=dilation, use_bias=False)",
    ),
    *asked(
        "conv_causal",
        'flax.linen.Conv(3, kernel, stride, padding="CAUSAL", kernel_dilation=dilation, use_bias=False)',
    ),
    *asked("conv_flip", 'flax.linen.Conv(1, kernel, padding="VALID", use_bias=False)'),
    *asked("conv_weight", 'flax.linen.Conv(2, (2, 2), padding="VALID", use_bias=False)', w=""),
    *asked(
        "conv_dilation",
        'flax.linen.Conv(4, kernel, stride, padding="VALID", kernel_dilation=dilation, '
        "feature_group_count=2, use_bias=False)",
    ),
    *asked("conv_groups", 'flax.linen.Conv(12, kernel, padding="VALID", feature_group_count=groups, use_bias=False)'),
    *asked(
        "depthwise_weight",
        'flax.linen.Conv(channels * multiplier, kernel, padding="VALID", feature_group_count=channels, use_bias=False)',
    ),
    *asked("pad_count", "flax.linen.Conv(1, (1, 1), padding=p, use_bias=False)"),
    *asked(
        "conv_transpose_same",
        "flax.linen.ConvTranspose(3, kernel, (stride, stride), use_bias=False)",
    ),
    *asked(
        "conv_transpose_same",
        "flax.linen.ConvTranspose(3, kernel, (stride, stride), use_bias=False, transpose_kernel=True)",
        w="HWOI",
    ),
    *asked(
        "conv_transpose_valid",
        'flax.linen.ConvTranspose(3, kernel, (stride, stride), padding="VALID", use_bias=False)',
    ),
    *asked(
        "conv_transpose_padding",
        "flax.linen.ConvTranspose(3, kernel, (stride, stride), padding=p, use_bias=False)",
    ),
    *asked(
        "conv_transpose_weight",
        'flax.linen.ConvTranspose(2, (2, 2), padding="VALID", use_bias=False)',
        'flax.linen.ConvTranspose(2, (2, 2), padding="VALID", use_bias=False, transpose_kernel=True)',
        w="",
    ),
    *asked("pool_stride", "flax.linen.max_pool(x, kernel)"),
    *asked("max_pool_same", 'flax.linen.max_pool(x, kernel, (stride, stride), "SAME")'),
    *asked("max_pool_same_3d", 'flax.linen.max_pool(x, kernel, (stride, stride, stride), "SAME")'),
    *asked(
        "avg_pool_same",
        'flax.linen.avg_pool(x, kernel, (stride, stride), "SAME")',
        'flax.linen.avg_pool(x, kernel, (stride, stride), "SAME", count_include_pad=False)',
    ),
    *asked(
        "local_conv_weight",
        'flax.linen.ConvLocal(3, kernel, (stride, stride), padding="VALID", use_bias=False).apply('
        '{"params": {"kernel": w.reshape(3, -1, *windows).transpose(2, 3, 1, 0)}}, x)',
        w="",
    ),
)


class Flax(Jax):
    """flax.linen; the gradients are JAX's."""

    requires: ClassVar[tuple[str, ...]] = ("flax", "jax", "jaxlib")
    x: ClassVar[str] = "NHWC"
    w: ClassVar[str] = "HWIO"
    calls: ClassVar[tuple[Call, ...]] = CALLS

    def names(self) -> dict[str, Any]:
        """Return Flax, with its layers."""
        import flax
        import flax.linen

        return {"flax": flax}

    def applied(self, value: Any, arrays: Mapping[str, Native]) -> Native:
        """Call a layer with the weight as its parameter."""
        import flax

        if not isinstance(value, flax.linen.Module):
            return value
        return value.apply({"params": {"kernel": arrays["w"]}}, arrays["x"])
