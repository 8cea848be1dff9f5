"""The engine as a backend of convsuite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import NDArray

from convsuite_backends.numpy_im2col.arrays import NumpyArrays, finish, options, to_channels_first
from convsuite_backends.numpy_im2col.engine import conv, conv_gradients

if TYPE_CHECKING:
    from convsuite.backend import Gradient
    from convsuite.case import Case
    from convsuite.operations.conv import ConvCase

Values = NDArray[Any]
ROLES = ("input", "weight", "bias")


class NumpyIm2col(NumpyArrays):
    """convsuite's own engine: im2col and matrix products, NumPy only."""

    def conv(self, case: ConvCase, x: Values, weight: Values, bias: Values | None = None) -> Values:
        """See `engine.conv`."""
        x, weight = (to_channels_first(a, role, case.layout) for a, role in zip((x, weight), ROLES, strict=False))
        return finish(conv(x, weight, bias, **options(case)), "output", case)

    def backward(self, case: Case) -> Gradient:
        """Return the analytic gradients, see `engine.conv_gradients`."""
        case = cast("ConvCase", case)

        def gradients(operands: Sequence[Values], grad_output: Values) -> list[Values]:
            x, weight = (to_channels_first(a, role, case.layout) for a, role in zip(operands[:2], ROLES, strict=False))
            found = conv_gradients(
                x, weight, to_channels_first(grad_output, "grad_output", case.layout), **options(case)
            )
            return [finish(a, role, case) for a, role, _ in zip(found, ROLES, operands, strict=False)]

        return gradients
