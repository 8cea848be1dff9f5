"""The arguments of a convolution, checked: every refusal is here, each with its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import prod
from operator import index
from typing import Any

Size = int | Sequence[int]
Pads = int | Sequence[int | tuple[int, int]]  # for all axes; or per axis, (low, high) or one number for both
MODES = ("zeros", "reflect", "replicate", "circular")


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """A convolution's sizes. Tuples have one entry per spatial axis."""

    batch: int
    groups: int
    c_in: int  # input channels of one group
    c_out: int  # output channels of one group
    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]  # (low, high), negative = cropped
    mode: str
    flip: bool

    @cached_property
    def terms(self) -> int:
        """K: products summed into one output."""
        return self.c_in * prod(self.kernel)

    @cached_property
    def padded(self) -> tuple[int, ...]:
        """Positions on each axis with padding."""
        return tuple(n + low + high for n, (low, high) in zip(self.sizes, self.pads, strict=True))

    @cached_property
    def spans(self) -> tuple[int, ...]:
        """Positions from a window's first to its last on each axis."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))

    @cached_property
    def out(self) -> tuple[int, ...]:
        """Windows on each axis."""
        return tuple((n - span) // s + 1 for n, span, s in zip(self.padded, self.spans, self.stride, strict=True))

    def extents(self, windows: Sequence[int]) -> tuple[int, ...]:
        """Return the positions that so many windows on each axis meet, from the first to the last."""
        return tuple((n - 1) * s + span for n, s, span in zip(windows, self.stride, self.spans, strict=True))

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        """(N, C_out, *out)."""
        return (self.batch, self.groups * self.c_out, *self.out)

    @cached_property
    def pointwise(self) -> bool:
        """True where the columns are the input itself: kernel 1, stride 1 on every axis."""
        return prod(self.kernel) == 1 and prod(self.stride) == 1


def geometry(
    x: tuple[int, ...],
    weight: tuple[int, ...],
    bias: tuple[int, ...] | None,
    *,
    stride: Size,
    dilation: Size,
    padding: Pads,
    padding_mode: str,
    groups: int,
    flip: bool,
) -> Geometry:
    """Return the geometry of operands of these shapes. Raise ValueError, with the numbers, where there is none."""
    keys = key("stride", stride), key("dilation", dilation), key("padding", padding)
    return _geometry(x, weight, bias, *keys, padding_mode, _whole("groups", groups), flip)


def key(name: str, value: Any) -> Any:
    """Return a size or pads as what a cache can find, of integers alone: to a cache 1.0 is 1."""
    return tuple(key(name, each) for each in value) if isinstance(value, list | tuple) else _whole(name, value)


def _whole(name: str, value: Any) -> int:
    """Return a whole number. Raise TypeError, with the argument's name, where it is none."""
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{name} must be of whole numbers, not {value!r}") from None


@lru_cache(256)  # a small problem's geometry takes as long as its convolution
def _geometry(
    x: tuple[int, ...],
    weight: tuple[int, ...],
    bias: tuple[int, ...] | None,
    stride: Size,
    dilation: Size,
    padding: Pads,
    padding_mode: str,
    groups: int,
    flip: bool,
) -> Geometry:
    rank = len(weight) - 2
    if rank < 1 or len(x) != len(weight):
        raise ValueError(
            f"x {x} has {len(x)} axes, weight {weight} has {len(weight)}: they must be (N, C_in, *spatial) and "
            f"(C_out, C_in / groups, *kernel) with the same number of spatial axes, at least 1"
        )
    _check_channels(x[1], weight[0], weight[1], bias, groups)
    found = Geometry(
        batch=x[0],
        groups=groups,
        c_in=weight[1],
        c_out=weight[0] // groups,
        sizes=x[2:],
        kernel=positive("kernel", weight[2:], rank),
        stride=positive("stride", stride, rank),
        dilation=positive("dilation", dilation, rank),
        pads=per_axis_pads(padding, rank),
        mode=padding_mode,
        flip=flip,
    )
    _check_padding(found)
    return near(found)


def near(g: Geometry) -> Geometry:
    """Return the same windows with distances that fit an integer of 64 bits, however large those that were given."""
    return replace(
        g,
        stride=tuple(min(s, max(n, 1)) for s, n in zip(g.stride, g.padded, strict=True)),
        dilation=tuple(1 if k == 1 else d for k, d in zip(g.kernel, g.dilation, strict=True)),
    )


def meeting(start: int, step: int, count: int, size: int) -> tuple[slice, slice]:
    """Return which of `count` positions, one every `step` from `start` on, lie within a size; and where they lie."""
    first = min(count, max(0, -(start // step)))
    last = max(first, min(count, (size - 1 - start) // step + 1))
    return slice(first, last), slice(start + first * step, start + (last - 1) * step + 1 if last > first else 0, step)


def check_groups(groups: int, counts: dict[str, int]) -> None:
    """Raise ValueError where groups is below 1, or does not divide one of the named counts of channels."""
    if index(groups) < 1:
        raise ValueError(f"groups must be at least 1, not {groups}")
    for what, count in counts.items():
        if count % groups:
            raise ValueError(f"{count} {what} channels do not divide into {groups} groups")


def check_bias(bias: tuple[int, ...] | None, c_out: int) -> None:
    """Raise ValueError where there is a bias of another shape than (C_out,)."""
    if bias is not None and bias != (c_out,):
        raise ValueError(f"bias must have shape ({c_out},), one value per output channel, not {bias}")


def _check_channels(c_in: int, c_out: int, claimed: int, bias: tuple[int, ...] | None, groups: int) -> None:
    check_groups(groups, {"input": c_in, "output": c_out})
    if claimed * groups != c_in:
        raise ValueError(
            f"weight takes {claimed} channels in each of {groups} groups, {claimed * groups} in all; x has {c_in}"
        )
    check_bias(bias, c_out)


def _check_padding(g: Geometry) -> None:
    if g.mode not in MODES:
        raise ValueError(f"padding_mode {g.mode!r} is none of {', '.join(MODES)}")
    axes = zip(g.sizes, g.spans, g.pads, g.padded, strict=True)
    for axis, (n, span, (low, high), padded) in enumerate(axes):
        if padded < span:
            raise ValueError(
                f"axis {axis}: the kernel spans {span}, the padded input is {padded} ({n} + {low} + {high})"
            )
        longest = {"zeros": None, "reflect": max(n - 1, 0), "circular": n, "replicate": None if n else 0}[g.mode]
        if longest is not None and max(low, high) > longest:
            raise ValueError(f"axis {axis}: {g.mode} padding of {max(low, high)} needs more than {n} positions")


def per_axis(name: str, value: Size, rank: int) -> tuple[int, ...]:
    """Return one number per axis."""
    several = isinstance(value, Sequence) and not isinstance(value, str)
    values = tuple(_whole(name, each) for each in value) if several else (_whole(name, value),) * rank  # type: ignore[union-attr]
    if len(values) != rank:
        raise ValueError(f"{name} has {len(values)} numbers for {rank} spatial axes")
    return values


def positive(name: str, value: Size, rank: int) -> tuple[int, ...]:
    """Return one number per axis, each at least 1."""
    values = per_axis(name, value, rank)
    if min(values) < 1:
        raise ValueError(f"{name} must be at least 1 on every axis, not {list(values)}")
    return values


def per_axis_pads(padding: Pads, rank: int) -> tuple[tuple[int, int], ...]:
    """Return (low, high) per axis."""
    axes = tuple(padding) if isinstance(padding, Sequence) else (padding,) * rank
    if len(axes) != rank:
        raise ValueError(f"padding has {len(axes)} entries for {rank} spatial axes")
    pairs = [
        key("padding", axis) if isinstance(axis, list | tuple) else (_whole("padding", axis),) * 2 for axis in axes
    ]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"padding must be (low, high) on each axis, not {padding}")
    return tuple((low, high) for low, high in pairs)
