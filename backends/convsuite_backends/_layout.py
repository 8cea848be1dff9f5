"""What the framework backends share: the order of axes, and the pads that a framework has no word for."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from convsuite.case import Case, Numerics, Pass, Support

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from convsuite.operations.conv import ConvCase
    from convsuite.operations.conv_transpose import ConvTransposeCase
    from convsuite.operations.depthwise_conv import DepthwiseCase
    from convsuite.operations.separable_conv import SeparableCase

    MultipliedCase = DepthwiseCase | SeparableCase

HALVES = ("float16", "bfloat16")
SPATIAL = "DHW"  # the field's letters; rank 1 uses the last, rank 2 the last two


def axes(rank: int, channels_last: bool) -> str:
    """Return the order of an input's axes in the field's letters, e.g. NCHW."""
    spatial = SPATIAL[3 - rank :]
    return f"N{spatial}C" if channels_last else f"NC{spatial}"


def to_channels_last(array: NDArray[Any], role: str) -> NDArray[Any]:
    """Reorder (N, C, *spatial) to (N, *spatial, C), and a weight (O, I, *kernel) to (*kernel, I, O)."""
    return np.ascontiguousarray(np.moveaxis(array, *_moves(role)))


def to_channels_first(array: NDArray[Any], role: str) -> NDArray[Any]:
    """Undo `to_channels_last`."""
    return np.moveaxis(array, *reversed(_moves(role)))


def is_weight(role: str) -> bool:
    """Tell whether an operand is a weight: frameworks with channels last have them in one order in every layout."""
    return role in ("weight", "depthwise", "pointwise")


def is_depthwise(role: str, case: Case) -> bool:
    """Tell whether an operand is a depthwise weight, which frameworks with channels last keep as (*kernel, C, m)."""
    return role == "depthwise" or (role == "weight" and case.operation == "depthwise_conv")


def to_multiplied(array: NDArray[Any], case: MultipliedCase) -> NDArray[Any]:
    """Reshape a depthwise weight (*kernel, 1, C·m) to (*kernel, C, m)."""
    return array.reshape(*array.shape[:-2], array.shape[-1] // case.multiplier, case.multiplier)


def from_multiplied(array: NDArray[Any]) -> NDArray[Any]:
    """Undo `to_multiplied`."""
    return array.reshape(*array.shape[:-2], 1, array.shape[-2] * array.shape[-1])


def _moves(role: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the channel axes of an array, and where they go in channels_last."""
    if is_weight(role):
        return (0, 1), (-1, -2)
    return ((0,), (-1,)) if role == "bias" else ((1,), (-1,))


def grown(case: Case) -> list[tuple[int, int]]:
    """Return what is to be added on each spatial axis, (low, high); what is to be cropped counts as 0."""
    return [(max(low, 0), max(high, 0)) for low, high in case.padding.pads]


def kept(case: Case) -> list[slice]:
    """Return the part of each spatial axis that is left after cropping by the negative pads."""
    return [slice(max(-low, 0), min(high, 0) or None) for low, high in case.padding.pads]


def cut(case: ConvTransposeCase) -> ConvTransposeCase:
    """Return a case whose pads make its output of a full scatter: what a transposed convolution crops is negative."""
    pads = tuple((-low, -high) for low, high in case.cropped)
    return replace(case, padding=replace(case.padding, pads=pads))


def full_sizes(case: ConvTransposeCase) -> tuple[int, ...]:
    """Return the spatial sizes of a transposed convolution's full scatter, nothing cropped."""
    return tuple(n + low + high for n, (low, high) in zip(case.output_sizes, case.cropped, strict=True))


def cuts(case: ConvTransposeCase) -> str:
    """Say what that takes beside the transposed convolution: padding, cropping or both."""
    pads = cut(case).padding
    grows, crops = (any(sign * p > 0 for pair in pads.pads for p in pair) for sign in (1, -1))
    return " and ".join(word for word, done in (("padded with zeros", grows), ("cropped", crops)) if done)


def same(kinds: Sequence[str], kind: str) -> bool:
    """Tell whether every axis asks for this kind of padding."""
    return all(k == kind for k in kinds)


def composition(steps: Sequence[str]) -> Support:
    """Declare native support where there are no steps beside the framework's own call, else composed, naming them."""
    return Support.composed("; ".join(steps)) if steps else Support.native()


def shown_before_and_after(size: int, low: int, high: int, mode: str) -> tuple[list[int], list[int]]:
    """Return the positions that a padding mode shows before an axis and after it, for frameworks without the mode."""
    match mode:
        case "circular":
            return list(range(size - low, size)), list(range(high))
        case "replicate":
            return [0] * low, [size - 1] * high
    return list(range(low, 0, -1)), list(range(size - 2, size - 2 - high, -1))


def concatenated_pad(case: Case, x: Any, first: int, concat: Callable[[list[Any], int], Any]) -> Any:
    """Pad by the case's mode with slices of one position, put around the input axis by axis from `first` on."""
    for axis, (low, high) in enumerate(grown(case), start=first):
        whole = (slice(None),) * axis
        before, after = shown_before_and_after(x.shape[axis], low, high, case.padding.mode)
        parts = [[x[(*whole, slice(p, p + 1))] for p in positions] for positions in (before, after)]
        x = concat([*parts[0], x, *parts[1]], axis)
    return x


def groups_unsaid(case: ConvCase, framework: str) -> str:
    """Say why a framework that reads the groups from the shapes cannot be told the case's, or nothing where it can."""
    channels, claimed = case.input_shape[1], case.weight_shape[1]
    read = channels // claimed if claimed and channels % claimed == 0 else case.groups
    return "" if read == case.groups >= 1 else f"{framework} takes no groups: from the shapes it would read {read}"


def multiplier_unsaid(case: DepthwiseCase, framework: str) -> str:
    """Say why a framework that reads the multiplier from the shapes cannot be told the case's, or nothing."""
    channels, outputs = case.input_shape[1], case.out_channels
    read = outputs // channels if channels and outputs % channels == 0 else case.multiplier
    return "" if read == case.multiplier else f"{framework} takes no multiplier: from the shapes it would read {read}"


def pad_roundings(case: Case, pass_: Pass) -> int:
    """Return how often grad_input is rounded to a 16-bit dtype as gradients of copies are added up; 0 if never.

    A padding mode other than zeros shows a position several times. Each showing's gradient is rounded as it leaves
    the convolution, and again with each addition.
    """
    if pass_ is not Pass.GRAD_INPUT or case.dtype not in HALVES or case.padding.mode == "zeros":
        return 0
    copies = [
        1 + (low + high if case.padding.mode == "replicate" else (low > 0) + (high > 0)) for low, high in grown(case)
    ]
    return prod(copies) if prod(copies) > 1 else 0


def narrowed(numerics: Numerics, case: Case, roundings: int | None, note: str) -> Numerics:
    """Declare that partial sums are rounded to the case's own dtype on the way: so often, or None for unknown."""
    if roundings == 0:
        return numerics
    return replace(numerics, intermediate=case.dtype, intermediate_roundings=roundings, note=note)


def composed_numerics(numerics: Numerics, case: ConvCase, pass_: Pass) -> Numerics:
    """Declare what it costs 16-bit sums that a bias, or the gradients of a padding's copies, are added afterwards."""
    if pass_ is Pass.FORWARD and case.bias and case.dtype in HALVES:
        return narrowed(numerics, case, 1, f"the convolution is rounded to {case.dtype} before the bias is added")
    return narrowed(numerics, case, pad_roundings(case, pass_), f"gradients of padded copies are added in {case.dtype}")


def no_mode(case: Case, framework: str, modes: Sequence[str]) -> str:
    """Say that a framework without a padding mode cannot refuse pads that are too long for it."""
    mode = case.padding.mode
    if case.expect.error != "padding" or mode == "zeros" or mode in modes:
        return ""
    return f"{framework} has no {mode} padding, so none to refuse"


def channels_last(case: Case) -> bool:
    """True where a framework whose usual order has the channels last is called in it."""
    return case.layout != "channels_first"
