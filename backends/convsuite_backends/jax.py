"""JAX: jax.lax.conv_general_dilated, as its users call it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, cast

from convsuite.backend import Function, Gradient, Native
from convsuite.case import INTEGERS, Case, Numerics, Operand, Pass, Support
from convsuite.errors import DeviceError
from convsuite_backends import _layout
from convsuite_backends._framework import Framework

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from convsuite.case import Array
    from convsuite.operations.conv import ConvCase

WORDS = {"valid": "VALID", "same_upper": "SAME", "same_lower": "SAME_LOWER"}
MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class Jax(Framework):
    """jax.lax under jax.jit, in 64 bits where the case is; NCHW and OIHW unless the case asks for channels last."""

    requires: ClassVar[tuple[str, ...]] = ("jax", "jaxlib")
    environment: ClassVar[Mapping[str, str]] = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    _CLEAR_EVERY = 128  # compiled geometries kept, so that memory does not grow with the number of cases

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        import jax

        jax.config.update("jax_enable_x64", True)
        try:
            found = jax.devices(device.partition(":")[0])
        except RuntimeError as error:
            raise DeviceError(f"jax {jax.__version__} finds no {device} device: {error}") from error
        self._device = found[self._device_number(len(found))]
        self._geometries = 0

    def versions(self) -> Mapping[str, str]:
        """Return the versions of jax and of jaxlib, which holds XLA."""
        import jax
        import jaxlib

        return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}

    def support(self, case: Case) -> Support:
        """Declare what takes other calls beside the convolution; strides in memory do not exist."""
        if case.memory_formats:
            return Support.unsupported("JAX arrays have no strides")
        if self._on_gpu and case.dtype in INTEGERS:
            return Support.unsupported("XLA has no integer convolution on GPUs")
        if lack := _nothing_to_refuse(case):
            return Support.unsupported(lack)
        return _layout.composition(_steps(cast("ConvCase", case)))

    def numerics(self, case: Case, pass_: Pass) -> Numerics:
        """Declare TF32, which XLA uses on GPUs unless told not to, and what is rounded between composed calls."""
        import jax

        tf32 = self._on_gpu and case.dtype == "float32" and jax.config.jax_default_matmul_precision is None
        numerics = replace(super().numerics(case, pass_), tf32=tf32)
        if pass_ is Pass.GRAD_BIAS and case.dtype in _layout.HALVES:
            return _layout.narrowed(
                numerics, case, None, f"XLA rounds each addition of the bias gradient to {case.dtype}"
            )
        return _layout.composed_numerics(numerics, cast("ConvCase", case), pass_)

    def to_native(self, array: Array, operand: Operand, case: Case) -> Native:
        """Return an array in the case's layout."""
        last = case.layout == "channels_last"
        return self._tensor(_layout.to_channels_last(array, operand.role) if last else array, case)

    def to_numpy(self, result: Native, role: str, case: Case) -> NDArray[np.generic]:
        """Return the result; bfloat16 as float32, which holds all its values."""
        array = self._array(result)
        return _layout.to_channels_first(array, role) if case.layout == "channels_last" else array

    def _tensor(self, array: Array, case: Case) -> Native:
        import jax

        return jax.device_put(array.astype(jax.numpy.dtype(case.dtype)), self._device)

    def _array(self, result: Native) -> NDArray[np.generic]:
        import numpy as np

        return np.asarray(result.astype("float32") if result.dtype == "bfloat16" else result)

    def synchronize(self, result: Native) -> None:
        """Wait for the computation that JAX has only dispatched."""
        import jax

        jax.block_until_ready(result)

    def compile(self, function: Function, case: Case) -> Function:
        """Return the jitted function."""
        import jax

        self._count_geometry()
        return jax.jit(function)  # type: ignore[no-any-return]

    def gradient(self, function: Function, case: Case) -> Gradient:
        """Return the vector-Jacobian product of jax.vjp."""
        import jax

        def gradients(operands: Sequence[Native], grad_output: Native) -> Sequence[Native]:
            return jax.vjp(function, *operands)[1](grad_output)  # type: ignore[no-any-return]

        return gradients

    def conv(self, case: ConvCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Call conv_general_dilated; a padding mode, a flip and a bias are calls of their own."""
        import jax
        from jax import numpy as jnp

        last = case.layout == "channels_last"
        if case.flip:
            weight = jnp.flip(weight, range(case.rank) if last else range(2, 2 + case.rank))
        padding = _padding(case)
        if padding is None:
            x, padding = _pad(case, x), "VALID"
        y = jax.lax.conv_general_dilated(
            x,
            weight,
            window_strides=case.stride,
            padding=padding,
            rhs_dilation=case.dilation,
            dimension_numbers=_dimension_numbers(case.rank, last),
            feature_group_count=case.groups,
        )
        return y if bias is None else y + (bias if last else bias.reshape(-1, *(1,) * case.rank))

    def _count_geometry(self) -> None:
        import jax

        self._geometries += 1
        if self._geometries % self._CLEAR_EVERY == 0:
            jax.clear_caches()


class JaxEager(Jax):
    """jax.lax called op by op, without jax.jit around it."""

    def compile(self, function: Function, case: Case) -> Function:
        """Return the function as it is; each of its operations is compiled and kept by its shapes all the same."""
        self._count_geometry()
        return function


def _dimension_numbers(rank: int, last: bool) -> tuple[str, str, str]:
    spatial = _layout.SPATIAL[3 - rank :]
    return (
        (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C") if last else (f"NC{spatial}", f"OI{spatial}", f"NC{spatial}")
    )


def _padding(case: ConvCase) -> str | tuple[tuple[int, int], ...] | None:
    """Return the padding as JAX's own argument, a word or (low, high) pairs, or None where jnp.pad must do it."""
    padding = case.padding
    for kind, word in WORDS.items():
        if _layout.same(padding.kinds, kind) and (kind == "valid" or padding.mode == "zeros"):
            return word
    return padding.pads if padding.mode == "zeros" else None


def _nothing_to_refuse(case: Case) -> str:
    """Say what is invalid elsewhere and has a meaning in JAX."""
    if case.expect.error == "padding" and case.padding.mode in ("reflect", "circular"):
        return "jnp.pad goes round again where pads are longer than the input, as NumPy's does"
    if case.expect.error == "kernel" and min(case.kernel) > 0:
        return "JAX answers with an empty array where no window fits"
    return ""


def _pad(case: ConvCase, x: Native) -> Native:
    from jax import numpy as jnp

    last = case.layout == "channels_last"
    around = [(0, 0), *_layout.grown(case), (0, 0)] if last else [(0, 0), (0, 0), *_layout.grown(case)]
    x = jnp.pad(x, around, mode=MODES[case.padding.mode])
    return x[(slice(None), *_layout.kept(case))] if last else x[(..., *_layout.kept(case))]


def _steps(case: ConvCase) -> list[str]:
    """Say what is called beside the convolution."""
    steps = []
    if _padding(case) is None:
        steps.append(f"jnp.pad(mode={MODES[case.padding.mode]!r}) before the convolution, which pads with zeros only")
    if case.flip:
        steps.append("jnp.flip of the weight")
    if case.bias:
        steps.append("the bias is added: the convolution takes none")
    return steps
