"""jax.lax under jax.jit, and op by op."""

from __future__ import annotations

from convsuite.backend import Function
from convsuite.case import Case
from convsuite_backends.jax.conv import Convolutions


class Jax(Convolutions):
    """jax.lax under jax.jit, in 64 bits where the case is; NCHW and OIHW unless the case asks for channels last."""


class JaxEager(Jax):
    """jax.lax called op by op, without jax.jit around it."""

    def compile(self, function: Function, case: Case) -> Function:
        """Return the function as it is; each of its operations is compiled and kept by its shapes all the same."""
        self._count_geometry()
        return function
