"""Which path the engine takes for a case, in words: what `convsuite show --engine` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from convsuite.case import Pass
from convsuite_backends.numpy_im2col.arrays import options, transposed_options
from convsuite_backends.numpy_im2col.geometry import Geometry, geometry
from convsuite_backends.numpy_im2col.gradients import INPUT_PATHS, input_path, turned_geometries
from convsuite_backends.numpy_im2col.paths import path_of
from convsuite_backends.numpy_im2col.transposed import adjoint

if TYPE_CHECKING:
    from convsuite.case import Case
    from convsuite.operations.conv import ConvCase
    from convsuite.operations.conv_transpose import ConvTransposeCase

_CONVOLUTIONS = ("conv", "depthwise_conv")
_WINDOWS = ("max_pool", "avg_pool", "lp_pool", "adaptive_max_pool", "adaptive_avg_pool")


def explain(case: Case, pass_: Pass) -> str:
    """Return how a pass is computed, and why so; "" for what has no choice."""
    if case.operation in _CONVOLUTIONS:
        return _of_conv(_geometry_of(cast("ConvCase", case)), pass_)
    if case.operation == "conv_transpose":
        transposed = cast("ConvTransposeCase", case)
        shapes = case.operands[0].shape, case.operands[1].shape
        return _of_conv(adjoint(*shapes, **transposed_options(transposed)), _ADJOINT.get(pass_, pass_))
    if case.operation in _WINDOWS:
        return "axis by axis: the sum of the kernel's sizes in passes, not their product"
    return ""


_ADJOINT = {Pass.FORWARD: Pass.GRAD_INPUT, Pass.GRAD_INPUT: Pass.FORWARD}


def _geometry_of(case: ConvCase) -> Geometry:
    return geometry(case.operands[0].shape, case.operands[1].shape, None, **options(case))


def _of_conv(g: Geometry, pass_: Pass) -> str:
    match pass_:
        case Pass.FORWARD:
            return _forward(g)
        case Pass.GRAD_INPUT:
            return _grad_input(g)
        case Pass.GRAD_WEIGHT:
            return f"im2col: the output's gradient times the columns, transposed ({g.c_out} × positions × {g.terms})"
    return "one sum"


def _forward(g: Geometry) -> str:
    path = path_of(g)
    return f"{path.name}: {path.why} [{path.told(g)}]"


def _grad_input(g: Geometry) -> str:
    path = input_path(g)
    if path is not INPUT_PATHS[0]:
        return f"{path.name}: {path.why}"
    inner = dict.fromkeys(path_of(turned).name for _, turned in turned_geometries(g) if min(turned.kernel) > 0)
    return f"{path.name}: {path.why} [{', '.join(inner)}]"
