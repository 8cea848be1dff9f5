"""PyTorch's calls."""

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
        'torch.nn.functional.conv2d(x, w, stride=stride, padding="same")',
        'torch.nn.Conv2d(2, 3, kernel, stride, padding="same", bias=False)',
        "torch.nn.functional.conv2d(x, w, stride=stride, padding=(kernel[0] // 2, kernel[1] // 2))",
    ),
    *asked(
        "conv_flip",
        "torch.nn.functional.conv2d(x, w)",
    ),
    *asked("convolve_integers", "torch.nn.functional.conv1d(x, w)"),
    *asked("conv_same_dilation", 'torch.nn.functional.conv2d(x, w, padding="same", dilation=dilation)'),
    *asked(
        "conv_causal",
        "torch.nn.functional.conv1d(torch.nn.functional.pad(x, ((kernel[0] - 1) * dilation, 0)), w, "
        "stride=stride, dilation=dilation)",
    ),
    *asked(
        "conv_weight",
        "torch.nn.functional.conv2d(x, w)",
        w="",
    ),
    *asked(
        "conv_layout",
        "torch.nn.functional.conv2d(x, w)",
        x="",
    ),
    *asked(
        "conv_dilation",
        "torch.nn.functional.conv2d(x, w, stride=stride, dilation=dilation, groups=2)",
    ),
    *asked(
        "conv_groups",
        "torch.nn.functional.conv2d(x, w, groups=groups)",
    ),
    *asked("conv_groups_gradient", "torch.nn.functional.conv2d(x, w, groups=groups)"),
    *asked("conv_dilation_gradient", "torch.nn.functional.conv2d(x, w, stride=stride, dilation=dilation)"),
    *asked(
        "depthwise_weight",
        "torch.nn.functional.conv2d(x, w, groups=channels)",
    ),
    *asked(
        "conv_int8",
        "torch.nn.functional.conv2d(x, w)",
    ),
    *asked(
        "pad_count",
        "torch.nn.functional.pad(x, (p, p, p, p))",
        "torch.nn.functional.conv2d(x, w, padding=p)",
    ),
    *asked(
        "pad_sides",
        "torch.nn.functional.pad(x, (left, right, top, bottom))",
    ),
    *asked("pad_count", "torch.nn.ZeroPad2d(p)", w=""),
    *asked("pad_sides", "torch.nn.ZeroPad2d((left, right, top, bottom))", w=""),
    *asked(
        "pad_mode",
        'torch.nn.functional.pad(x, (p, p, p, p), mode="reflect")',
        'torch.nn.functional.pad(x, (p, p, p, p), mode="replicate")',
        'torch.nn.functional.pad(x, (p, p, p, p), mode="circular")',
        'torch.nn.Conv2d(1, 1, 1, padding=p, padding_mode="reflect", bias=False)',
        'torch.nn.Conv2d(1, 1, 1, padding=p, padding_mode="replicate", bias=False)',
        'torch.nn.Conv2d(1, 1, 1, padding=p, padding_mode="circular", bias=False)',
    ),
    *asked(
        "conv_transpose_same",
        'torch.nn.functional.conv_transpose2d(x, w, stride=stride, padding="same")',
        "torch.nn.functional.conv_transpose2d(x, w, stride=stride, padding=(kernel[0] // 2, kernel[1] // 2))",
        w="IOHW",
    ),
    *asked(
        "conv_transpose_valid",
        "torch.nn.functional.conv_transpose2d(x, w, stride=stride)",
        "torch.nn.ConvTranspose2d(2, 3, kernel, stride, bias=False)",
        w="IOHW",
    ),
    *asked(
        "conv_transpose_padding",
        "torch.nn.functional.conv_transpose2d(x, w, stride=stride, padding=p)",
        w="IOHW",
    ),
    *asked(
        "conv_transpose_output_padding",
        "torch.nn.functional.conv_transpose2d(x, w, stride=stride, output_padding=more)",
        "torch.nn.functional.conv_transpose2d(x, w, None, stride, (kernel[0] // 2, kernel[1] // 2), more)",
        w="IOHW",
    ),
    *asked(
        "conv_transpose_groups",
        "torch.nn.functional.conv_transpose2d(x, w, groups=groups)",
        "torch.nn.ConvTranspose2d(4, 8, kernel, groups=groups, bias=False)",
        w="IOHW",
    ),
    *asked("conv_transpose_weight", "torch.nn.functional.conv_transpose2d(x, w)", w=""),
    *asked(
        "patches_order",
        "torch.nn.functional.unfold(x, kernel, dilation=dilation, stride=stride).unflatten(2, windows)",
    ),
    *asked(
        "patches_same",
        "torch.nn.functional.unfold(x, kernel, stride=stride, padding=(kernel[0] // 2, kernel[1] // 2))"
        ".unflatten(2, windows)",
    ),
    *asked("fold_overlap", "torch.nn.functional.fold(x.flatten(2), size, kernel, stride=stride)"),
    *asked("pool_stride", "torch.nn.functional.max_pool2d(x, kernel)", "torch.nn.MaxPool2d(kernel)"),
    *asked(
        "max_pool_same",
        'torch.nn.functional.max_pool2d(x, kernel, stride, padding="same")',
        "torch.nn.functional.max_pool2d(x, kernel, stride, (kernel[0] // 2, kernel[1] // 2))",
    ),
    *asked(
        "max_pool_same_3d",
        "torch.nn.functional.max_pool3d(x, kernel, stride, (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2))",
    ),
    *asked("max_pool_ceil", "torch.nn.MaxPool2d(kernel, stride, p, ceil_mode=True)"),
    *asked("max_pool_nan", "torch.nn.functional.max_pool2d(x, kernel)"),
    *asked("max_pool_nan_gradient", "torch.nn.functional.max_pool2d(x, kernel)"),
    *asked("max_pool_tie", "torch.nn.functional.max_pool2d(x, kernel)"),
    *asked("max_pool_index", "torch.nn.functional.max_pool2d(x, kernel, stride, return_indices=True)[1]"),
    *asked(
        "avg_pool_same",
        "torch.nn.functional.avg_pool2d(x, kernel, stride, (kernel[0] // 2, kernel[1] // 2))",
        "torch.nn.functional.avg_pool2d(x, kernel, stride, (kernel[0] // 2, kernel[1] // 2), count_include_pad=False)",
    ),
    *asked(
        "avg_pool_ceil",
        "torch.nn.AvgPool2d(kernel, stride, p, ceil_mode=True)",
        "torch.nn.AvgPool2d(kernel, stride, p, ceil_mode=True, count_include_pad=False)",
    ),
    *asked("global_pool", "torch.nn.AdaptiveAvgPool2d(1)", "x.mean((2, 3))"),
    *asked("lp_pool_sign", "torch.nn.functional.lp_pool2d(x, float(power), kernel)"),
    *asked("adaptive_avg_pool", "torch.nn.AdaptiveAvgPool2d(output)"),
    *asked("adaptive_max_pool", "torch.nn.AdaptiveMaxPool2d(output)"),
)


class Torch(Dialect):
    """torch.nn.functional, and layers of torch.nn that are given their weight."""

    requires: ClassVar[tuple[str, ...]] = ("torch",)

    def tensor(self, array: NDArray[Any]) -> Native:
        """Return a tensor."""
        import torch

        return torch.from_numpy(array.copy())

    def array(self, result: Native) -> NDArray[Any]:
        """Return a tensor as NumPy."""
        return result.detach().numpy()  # type: ignore[no-any-return]

    def applied(self, value: Any, arrays: Mapping[str, Native]) -> Native:
        """Give a layer its weight, and call it."""
        import torch

        if not isinstance(value, torch.nn.Module):
            return value
        if "weight" in dict(value.named_parameters()):
            value.weight.data = arrays["w"]
        return value(arrays["x"])

    def gradient(self, function: Callable[[Native], Native], x: Native) -> Native:
        """Return torch.autograd's gradient."""
        import torch

        x = x.clone().requires_grad_()
        return torch.autograd.grad(function(x).sum(), x)[0]

    calls: ClassVar[tuple[Call, ...]] = CALLS
