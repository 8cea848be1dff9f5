"""Depthwise convolution: every channel is convolved by itself, with `multiplier` kernels of its own.

    y[n, c·m + j, p] = b[c·m + j] + Σ_t x̂[n, c, p·stride + t·dilation] · w[c·m + j, 0, t]

with x̂ the input padded with zeros, m the multiplier, j below m, t over the kernel's taps. It is the convolution of as
many groups as channels, and judged as such: all that is true of `conv` is true here. What is its own is the frameworks'
dedicated calls, which have this order of outputs in common and keep the weight as (*kernel, C, m).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from convsuite.case import FLOATS, Operand
from convsuite.entry import BiasEntry, KernelEntry, Size, WindowEntry, says
from convsuite.errors import CaseError
from convsuite.operations import arrays as operand
from convsuite.operations import axes, conv, window
from convsuite.operations.common import Common, literal, rank_of

if TYPE_CHECKING:
    from typing import Any

NAME = "depthwise_conv"
PASSES = conv.PASSES
COMPARES = False

output_shape, terms, work, picture, reference = (
    conv.output_shape,
    conv.terms,
    conv.work,
    conv.picture,
    conv.reference,
)


class MultipliedEntry(WindowEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a depthwise weight adds; a kernel's `channels` are those that it is for."""

    kernel: Annotated[
        KernelEntry | Size | None,
        says("a size, or values (channels · multiplier, 1, kernel…), of the depthwise step (required)"),
    ] = None
    stride: Annotated[Size, says("the step of the window")] = 1
    multiplier: Annotated[int, Meta(ge=1), says("outputs of the depthwise step for each channel")] = 1
    bias: Annotated[bool | BiasEntry, says("`true` to fill one, or its values")] = False


class DepthwiseEntry(MultipliedEntry, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A depthwise convolution as a case file writes it."""

    channels: Annotated[int | None, says("channels of the input; unless given, 1 or as the values say")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthwiseCase(conv.ConvCase):
    """A depthwise convolution, resolved: `groups` is the number of channels."""

    multiplier: int = 1

    @property
    def claimed_channels(self) -> int:
        """The channels that the weight is for: the input's, unless the case is to be refused."""
        return self.out_channels // self.multiplier


ENTRY = DepthwiseEntry
CASE = DepthwiseCase
MULTIPLIER = axes.Axis("multiplier", ("1", "over 1"), lambda c: ("1" if c.multiplier == 1 else "over 1",))
RANK = axes.ranks(("1", "2"))
FILL = axes.fills(("integers", "normal"))
CHANNELS = axes.Axis("channels", ("1", "several"), lambda c: ("1" if c.input_shape[1] == 1 else "several",))
# three axes, memory formats, integers, other fills: what has them computes groups of a convolution, which `conv` pairs
AXES = (
    RANK,
    axes.dtypes(FLOATS),
    axes.BATCH,
    axes.KERNEL,
    axes.STRIDE,
    axes.DILATION,
    axes.PADDING,
    axes.LAYOUT,
    FILL,
    CHANNELS,
    MULTIPLIER,
    axes.BIAS,
    axes.passes(PASSES),
)
EXCLUSIONS = (axes.ONE_AXIS, axes.NO_GRAD_BIAS)


def resolve(entry: DepthwiseEntry, common: Common) -> DepthwiseCase:
    """Resolve what was written to a case. Raise CaseError where it cannot even be said what is meant."""
    k = operand.kernel(entry.kernel)
    rank = rank_of(entry.rank, k.size, k.values, "kernel")
    x, weight = arrays(entry, k, rank, entry.channels, "weight")
    case = DepthwiseCase(
        **common.shared(entry, rank),
        **sliding(entry, x, weight, rank),
        id=common.id,
        operation=NAME,
        operands=(x, weight, *operand.bias(entry.bias, weight.shape[0])),
        out_channels=weight.shape[0],
        groups=x.shape[1],
        multiplier=entry.multiplier,
        bias=entry.bias is not False,
    )
    return operand.with_gradient(case, entry, violations, output_shape)


def sliding(entry: MultipliedEntry, x: Operand, weight: Operand, rank: int) -> dict[str, Any]:
    """Return the keyword arguments that say how a case's window slides."""
    sizes, kernel = x.shape[2:], weight.shape[2:]
    stride = window.per_axis(entry.stride, rank, "stride")
    dilation = window.per_axis(entry.dilation, rank, "dilation")
    padding = window.resolve_padding(entry.padding, "zeros", sizes, kernel, stride, dilation)
    return {"input_shape": x.shape, "kernel": kernel, "stride": stride, "dilation": dilation, "padding": padding}


def arrays(
    entry: MultipliedEntry, k: KernelEntry, rank: int, channels: int | None, role: str
) -> tuple[Operand, Operand]:
    """Return the input, of the channels that are said or written out, and the weight, (C·m, 1, *kernel)."""
    m, w = entry.multiplier, literal(k.values, rank, ("kernel", "values")) if k.values is not None else None
    if w is not None and (w.shape[1] != 1 or w.shape[0] % m):
        rule = f"a depthwise weight is (channels·{m}, 1, *kernel), the values written out are {list(w.shape)}"
        raise CaseError(("kernel", "values"), rule)
    if channels is None:
        written = operand.input_literal(entry, rank)
        channels = written.shape[1] if written else w.shape[0] // m if w else 1
    claimed = channels if k.channels is None else k.channels
    shape = w.shape if w else (claimed * m, 1, *operand.extent(k.size, rank))
    weight = Operand(role=role, shape=shape, literal=w, memory_format=operand.formats(entry).weight)
    return operand.input_operand(entry, rank, channels), weight


def violations(case: DepthwiseCase) -> list[CaseError]:
    """Return every rule that the case breaks; a backend must refuse a case that breaks one."""
    return geometry_rules(case) + conv.pass_rules(case)


def geometry_rules(case: DepthwiseCase) -> list[CaseError]:
    """Return every rule of the window and of the channels that the case breaks."""
    _, channels, *sizes = case.input_shape
    broken = window.window_rules(tuple(sizes), case.kernel, case.stride, case.dilation, case.padding)
    if case.claimed_channels != channels:
        said = f"the weight is for {case.claimed_channels} channels, the input has {channels}"
        broken.append(CaseError(("channels",), said))
    elif channels < 1:
        broken.append(CaseError(("channels",), "a depthwise convolution needs a channel"))
    return broken
