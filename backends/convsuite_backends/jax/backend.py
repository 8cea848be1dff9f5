"""jax.lax under jax.jit, and op by op."""

from __future__ import annotations

from typing import ClassVar

from convsuite.backend import Function
from convsuite.case import Case
from convsuite_backends.jax.adaptive import AdaptivePools
from convsuite_backends.jax.avg_pool import AveragePools
from convsuite_backends.jax.conv import Convolutions
from convsuite_backends.jax.conv_transpose import TransposedConvolutions
from convsuite_backends.jax.depthwise import DepthwiseConvolutions
from convsuite_backends.jax.learning import Learning
from convsuite_backends.jax.local_conv import LocalConvolutions
from convsuite_backends.jax.lp_pool import PowerPools
from convsuite_backends.jax.max_pool import MaxPools
from convsuite_backends.jax.patches import Patches


class Jax(
    DepthwiseConvolutions,
    Convolutions,
    TransposedConvolutions,
    Learning,
    MaxPools,
    PowerPools,
    AveragePools,
    LocalConvolutions,
    Patches,
    AdaptivePools,
):
    """jax.lax under jax.jit, in 64 bits where the case is; NCHW and OIHW unless the case asks for channels last."""


class JaxHighest(Jax):
    """jax.lax under jax.jit on a GPU, with jax_default_matmul_precision="highest": no TF32, which is the default."""

    devices: ClassVar[tuple[str, ...]] = ("cuda",)

    def __init__(self, device: str = "cuda") -> None:
        super().__init__(device)
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")


class JaxEager(Jax):
    """jax.lax called op by op, without jax.jit around it."""

    def compile(self, function: Function, case: Case) -> Function:
        """Return the function as it is; each of its operations is compiled and kept by its shapes all the same."""
        self._count_geometry()
        return function
