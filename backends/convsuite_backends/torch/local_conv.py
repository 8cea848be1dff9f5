"""torch's locally connected convolution, of which it has none: patches times weights, position by position."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from convsuite.backend import Native
from convsuite.case import INTEGERS, Case, Numerics, Pass, Support
from convsuite_backends import _columns, _layout
from convsuite_backends.torch.patches import Patches

if TYPE_CHECKING:
    from convsuite.operations.local_conv import LocalConvCase


class LocalConvolutions(Patches):
    """local_conv."""

    def local_conv_support(self, case: LocalConvCase) -> Support:
        """Declare how it is composed."""
        if self._on_gpu and case.dtype in INTEGERS:
            return Support.unsupported(f"torch has no batched product of {case.dtype} on GPUs")
        return _columns.local_support(
            case, self.patches_support(case.patches("channel_first")), "torch", "torch.einsum"
        )

    def local_conv_numerics(self, case: LocalConvCase, pass_: Pass, declared: Numerics) -> Numerics:
        """Declare what is rounded between the calls."""
        if pass_ is Pass.GRAD_WEIGHT and case.dtype in _layout.HALVES and case.patches("channel_first").rows == 1:
            return _layout.narrowed(
                declared, case, 1, f"torch.einsum of one row multiplies, in {case.dtype}, then adds"
            )
        patches = self.patches_numerics(case.patches("channel_first"), pass_, declared)
        return _columns.local_numerics(case, pass_, declared, patches, bias=False)

    def _tensor_cores(self, case: Case, pass_: Pass) -> bool:
        """Tell whether TF32 multiplies: in cuBLAS, which torch.einsum calls, only where it is asked to."""
        import torch

        asked = case.operation != "local_conv" or torch.backends.cuda.matmul.allow_tf32
        return super()._tensor_cores(case, pass_) and asked

    def local_conv(self, case: LocalConvCase, x: Native, weight: Native, bias: Native = None) -> Native:
        """Multiply the patches by the weight with torch.einsum, and add the bias."""
        import torch

        columns = self.patches(case.patches("channel_first"), x)
        rows = weight.reshape(weight.shape[0], columns.shape[1], prod(case.output))
        y = torch.einsum("nrp,orp->nop", columns.flatten(2), rows).unflatten(2, case.output)
        return y if bias is None else y + bias
