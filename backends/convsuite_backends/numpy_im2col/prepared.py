"""A convolution whose weight is made ready once, for many inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convsuite_backends.numpy_im2col import fourier, paths, winograd
from convsuite_backends.numpy_im2col.fast import Algorithm, Weights
from convsuite_backends.numpy_im2col.geometry import (
    Geometry,
    Pads,
    Size,
    geometry,
    key,
    per_axis,
    per_axis_pads,
)
from convsuite_backends.numpy_im2col.outputs import room
from convsuite_backends.numpy_im2col.rounding import accumulator
from convsuite_backends.numpy_im2col.weights import shift_of

Values = NDArray[Any]
Name = Literal["im2col", "winograd", "fft"]
_ALGORITHMS: dict[str, Algorithm | None] = {"im2col": None, "winograd": winograd.ALGORITHM, "fft": fourier.ALGORITHM}


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What `prepare` returns: `y = prepared(x)`, as often as you like, from several threads if you like."""

    weight: Values = field(repr=False)  # as it was given, a copy
    bias: Values | None = field(repr=False)
    options: dict[str, Any]  # of the geometry: stride, dilation, padding, padding_mode, groups, flip
    algorithm: Name
    _taps: Values = field(repr=False)  # in the order in which windows meet them, in the dtype of the sums
    # transformed; for each size of tile that inputs asked for
    _kept: dict[Any, Weights] = field(default_factory=dict, repr=False)

    @np.errstate(all="ignore")
    def __call__(self, x: Values, *, out: Values | None = None) -> Values:
        """Return conv(x, weight, bias, …), (N, C_out, *out) in x's dtype; `out` is written into where it is given.

        Raises what `conv` raises.
        """
        total = accumulator(x, self.weight)
        bias = self.bias
        g = geometry(x.shape, self.weight.shape, None if bias is None else bias.shape, **self.options)
        shift = shift_of(bias, g, total)
        y = room(out, g.out_shape, x.dtype, x)
        fast = _ALGORITHMS[self.algorithm]
        if fast is not None and total.kind == x.dtype.kind == "f":
            how = fast.plan(g, total.itemsize)
            if how is not None and fast.convolve(x, self._ready(fast, how, g, total), shift, g, how, total, y):
                return y
        paths.path_of(g).forward(x, self._taps, shift, g, total, y)
        return y

    def _ready(self, fast: Algorithm, how: Any, g: Geometry, total: np.dtype[Any]) -> Weights:
        """Return the weight transformed for a plan, from the first call of its size on."""
        if how.transform not in self._kept:
            taps = self._taps.reshape(g.groups, g.c_out, g.c_in, *g.kernel)
            self._kept[how.transform] = fast.kept(taps, how, total)
        return self._kept[how.transform]


def prepare(
    weight: Values,
    bias: Values | None = None,
    *,
    stride: Size = 1,
    dilation: Size = 1,
    padding: Pads = 0,
    padding_mode: str = "zeros",
    groups: int = 1,
    flip: bool = False,
    algorithm: Name = "im2col",
) -> Prepared:
    """Return a convolution that keeps its weight as it is multiplied, to be called with one input after another.

    What a call of `conv` does to a weight each time is done once: it is copied, turned round, and brought to the dtype
    of the sums; with "winograd" or "fft" it is transformed, at the first call with inputs of a size, which takes
    1.8 or 4 times the weight's memory for Winograd's filtering, both where inputs call for tiles of both sizes, and for
    FFT a tile's size for each pair of channels and size of tile.

    Parameters
    ----------
    weight, bias, stride, dilation, padding, padding_mode, groups, flip
        as `conv` takes them; the weight and the bias are copied.
    algorithm
        "im2col" is exact on integers; "winograd" and "fft" are those of the backends `numpy_im2col:winograd` and
        `:fft`, with their bounds (docs/judging.md), for floats and where they pay, and im2col for all else.

    Raises
    ------
    ValueError
        an algorithm that is none of these, or arguments that `conv` refuses whatever the input.
    TypeError
        a weight and a bias of two dtypes, or of one that is not for convolutions.

    >>> import numpy as np
    >>> layer = prepare(np.ones((1, 1, 3, 3), np.float32), padding=1)
    >>> float(layer(np.ones((1, 1, 8, 8), np.float32)).max())
    9.0
    """
    if algorithm not in _ALGORITHMS:
        raise ValueError(f"algorithm must be one of {', '.join(_ALGORITHMS)}, not {algorithm!r}")
    total = accumulator(weight, bias)
    options: dict[str, Any] = {
        "stride": key("stride", stride), "dilation": key("dilation", dilation), "padding": key("padding", padding),
        "padding_mode": padding_mode, "groups": key("groups", groups), "flip": flip,
    }  # fmt: skip
    _check(weight.shape, None if bias is None else bias.shape, options)
    held, shift = _copied(weight), None if bias is None else _copied(bias)
    taps = np.flip(held, axis=tuple(range(2, held.ndim))) if flip else held
    return Prepared(held, shift, options, algorithm, np.ascontiguousarray(taps, total))


def _check(weight: tuple[int, ...], bias: tuple[int, ...] | None, options: dict[str, Any]) -> None:
    """Raise ValueError, as `conv` does, where not even an input that is large enough for all suits."""
    rank = max(1, len(weight) - 2)
    dilation, pads = per_axis("dilation", options["dilation"], rank), per_axis_pads(options["padding"], rank)
    axes = zip(weight[2:], dilation, pads, strict=False)
    sizes = (max(d * (k - 1) + 1 - low - high, low + 1, high + 1, 1) for k, d, (low, high) in axes)
    geometry((1, prod(weight[1:2]) * options["groups"], *sizes), weight, bias, **options)


def _copied(array: Values) -> Values:
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return copy
