"""What every backend of NumPy arrays shares: layouts, memory formats, and bfloat16 that travels as float32."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convsuite.backend import Backend
from convsuite_backends.numpy_im2col.rounding import to_bfloat16

if TYPE_CHECKING:
    from collections.abc import Callable

    from convsuite.case import Array, Case, Operand
    from convsuite.operations.conv import ConvCase
    from convsuite.operations.conv_transpose import ConvTransposeCase
    from convsuite.operations.pool import PoolCase

Values = NDArray[Any]


class NumpyArrays(Backend):
    """A backend whose native arrays are NumPy's, in the case's logical order (channels first by default)."""

    def to_native(self, array: Array, operand: Operand, case: Case) -> Values:
        """Return the operand in the case's layout and the operand's memory format."""
        return remember(from_channels_first(array, operand.role, case.layout), operand.memory_format, case.layout)

    def to_numpy(self, result: Values, role: str, case: Case) -> Values:
        """Return a result in (N, C, *spatial) or weight order."""
        return to_channels_first(result, role, case.layout)

    def dtype_name(self, result: Values, case: Case) -> str:
        """Return the dtype; float32 stands for bfloat16 in a case of that dtype."""
        return "bfloat16" if case.dtype == "bfloat16" and result.dtype == np.float32 else str(result.dtype)

    def workspace_bytes(self, call: Callable[[], Values]) -> int | None:
        """Return what NumPy had allocated at most during a call, less the result, as tracemalloc counts it."""
        tracemalloc.start()
        try:
            result = call()
            held = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        return max(0, held - result.nbytes) if isinstance(result, np.ndarray) else None


def finish(result: Values, role: str, case: Case) -> Values:
    """Return a result (channels first) as native: rounded where the case is of bfloat16, in the case's layout."""
    rounds = case.dtype == "bfloat16" and role != "indices"
    return from_channels_first(to_bfloat16(result) if rounds else result, role, case.layout)


def from_channels_first(array: Values, role: str, layout: str) -> Values:
    """Return a view in a layout: (N, *spatial, C) and (*kernel, C_in / groups, C_out) for channels_last."""
    return np.moveaxis(array, *_moves(role)) if layout == "channels_last" and array.ndim > 2 else array


def to_channels_first(array: Values, role: str, layout: str) -> Values:
    """Undo `from_channels_first`."""
    return np.moveaxis(array, *reversed(_moves(role))) if layout == "channels_last" and array.ndim > 2 else array


def _moves(role: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the channel axes of an array, and where they go in channels_last."""
    if role in ("weight", "depthwise", "pointwise"):
        return (1, 0), (-2, -1)
    return ((0,), (-1,)) if role == "bias" else ((1,), (-1,))


def remember(array: Values, memory_format: str, layout: str) -> Values:
    """Return the same values, laid out in memory as asked; what a `sliced` view skips is filled with 77."""
    if array.ndim < 3:
        return array
    match memory_format:
        case "channels_last" if layout != "channels_last":
            return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
        case "sliced":
            larger = np.full((*(n + 1 for n in array.shape[:-1]), 2 * array.shape[-1] + 1), 77, array.dtype)
            view = larger[(*(slice(1, None) for _ in array.shape[:-1]), slice(1, None, 2))]
            view[...] = array
            return view
        case "transposed":
            return np.ascontiguousarray(array.T).T
        case _:
            return np.ascontiguousarray(array)


def options(case: ConvCase) -> dict[str, Any]:
    """Return the keyword arguments that a case means to the engine."""
    return _shared(case) | {"padding_mode": case.padding.mode}


def transposed_options(case: ConvTransposeCase) -> dict[str, Any]:
    """Return the keyword arguments that a transposed convolution's case means to the engine."""
    return _shared(case) | {"output_padding": case.output_padding}


def sliding_options(case: Case) -> dict[str, Any]:
    """Return the keyword arguments that say how a window slides."""
    return {"stride": case.stride, "dilation": case.dilation, "padding": case.padding.pads}


def pool_options(case: PoolCase) -> dict[str, Any]:
    """Return the keyword arguments that a pool's case means to the engine."""
    return sliding_options(case) | {"kernel": case.kernel, "ceil_mode": case.ceil_mode}


def _shared(case: ConvCase) -> dict[str, Any]:
    return sliding_options(case) | {"groups": case.groups, "flip": case.flip}
