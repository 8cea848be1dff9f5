"""JAX's arrays in and out, jit, and vector-Jacobian products."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from convsuite.backend import Function, Gradient, GradientCall, Native
from convsuite.case import Case, Numerics, Operand, Pass
from convsuite.errors import DeviceError
from convsuite_backends import _layout
from convsuite_backends._framework import Framework

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from convsuite.case import Array


class JaxArrays(Framework):
    """What every operation on JAX needs, and Keras on JAX; in 64 bits where the case is."""

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
        """Return the versions of jax and of jaxlib, which holds XLA, and the GPU's name."""
        import jax
        import jaxlib

        found = {"jax": jax.__version__, "jaxlib": jaxlib.__version__}
        return found | {"gpu": self._device.device_kind} if self._on_gpu else found

    def lack(self, case: Case) -> str:
        """Say that strides in memory do not exist."""
        return "JAX arrays have no strides" if case.memory_formats else ""

    def numerics(self, case: Case, pass_: Pass) -> Numerics:
        """Declare TF32, which XLA uses on GPUs unless told not to, beside what the operation declares."""
        import jax

        allowed = jax.config.jax_default_matmul_precision is None
        return replace(super().numerics(case, pass_), tf32=self._tensor_cores(case, pass_) and allowed)

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

    def gradient_of(self, case: Case, pass_: Pass) -> GradientCall:
        """Return the vector-Jacobian product to one operand; under jit XLA drops what of the forward pass it needs not.

        Op by op the forward pass is part of each call.
        """
        import jax

        function, number = partial(getattr(self, case.operation), case), self.role_number(case, pass_)

        def gradient(operands: Sequence[Native], grad_output: Native) -> Native:
            def of_one(operand: Native) -> Native:
                return function(*operands[:number], operand, *operands[number + 1 :])

            return jax.vjp(of_one, operands[number])[1](grad_output)[0]

        compiled = self.compile(gradient, case)
        return lambda operands, grad_output: lambda: compiled(operands, grad_output)

    def _count_geometry(self) -> None:
        import jax

        self._geometries += 1
        if self._geometries % self._CLEAR_EVERY == 0:
            jax.clear_caches()
