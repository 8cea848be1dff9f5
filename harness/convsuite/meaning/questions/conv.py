"""Convolution: SAME, dilation with a stride, groups, depthwise weights, the order of axes, integers, padding."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import numpy as np

from convsuite.meaning.orders import from_order
from convsuite.meaning.questions.sweeps import halves, interleaved, strided
from convsuite.meaning.records import Meaning, Probe, Question
from convsuite.meaning.references import answer, gradient, meaning, probe, value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_CHANNELS = {"in": 2, "out": 3}  # unequal: an order of the weight's axes that is not the call's cannot fit


def _even(asked: Probe, high: bool) -> Array | None:
    """Return what k − 1 zeros in all give, whatever the stride; an odd one high or low."""
    kernels = asked.keys["kernel"]
    pads = [[(k - 1) // 2, k // 2] if high else [k // 2, (k - 1) // 2] for k in kernels]
    return value(asked, padding=pads)


_SAME = Question(
    id="conv_same",
    text="“SAME” padding of a convolution: how many zeros, and where does an odd one go?",
    meanings=(
        meaning("same_upper", "⌈size/stride⌉ windows; an odd zero goes after the data", padding="same_upper"),
        meaning("same_lower", "⌈size/stride⌉ windows; an odd zero goes before the data", padding="same_lower"),
        Meaning(
            "k−1 upper", "k − 1 zeros whatever the stride; an odd one goes after the data", lambda p: _even(p, True)
        ),
        Meaning(
            "k−1 lower", "k − 1 zeros whatever the stride; an odd one goes before the data", lambda p: _even(p, False)
        ),
        Meaning("k//2", "⌊k/2⌋ zeros on each side", lambda p: value(p, padding=[[half, half] for half in halves(p)])),
    ),
    sweep=lambda: strided("conv", channels=_CHANNELS),
)

_SAME_DILATED = Question(
    id="conv_same_dilation",
    text="“SAME” of a dilated convolution: how many zeros?",
    meanings=(
        meaning("span", "dilation·(k − 1) zeros in all; an odd one goes after the data", padding="same_upper"),
        meaning("span, lower", "dilation·(k − 1) zeros in all; an odd one goes before the data", padding="same_lower"),
        Meaning("k − 1", "k − 1 zeros in all, as without dilation", lambda p: _even(p, True)),
        Meaning("k//2", "⌊k/2⌋ zeros on each side", lambda p: value(p, padding=[[half, half] for half in halves(p)])),
    ),
    sweep=lambda: tuple(
        probe(
            "conv",
            {"dilation": dilation, "kernel": kernel, "size": (8, 9)},
            input=[8, 9],
            kernel=list(kernel),
            dilation=dilation,
            channels=_CHANNELS,
        )
        for dilation in (1, 2, 3)
        for kernel in ((2, 3), (4, 2))
    ),
)

_CAUSAL = Question(
    id="conv_causal",
    text="Causal convolution over time: is there a call, and how many zeros come before the data?",
    meanings=(
        meaning("causal", "dilation·(k − 1) zeros before the data, none after", padding="causal"),
        Meaning("k − 1", "k − 1 zeros before the data, as without dilation", lambda p: _before(p)),
        meaning("same_upper", "as SAME", padding="same_upper"),
        meaning("valid", "the word is not read: no zeros at all"),
    ),
    sweep=lambda: tuple(
        probe(
            "conv",
            {"stride": stride, "dilation": dilation, "kernel": (kernel,), "size": (9,)},
            input=[9],
            kernel=[kernel],
            stride=stride,
            dilation=dilation,
            channels=_CHANNELS,
        )
        for stride, dilation in ((1, 1), (1, 2), (1, 3), (2, 1), (3, 1))
        for kernel in (2, 3)
    ),
)


def _before(asked: Probe) -> Array | None:
    return value(asked, padding=[[k - 1, 0] for k in asked.keys["kernel"]])


def _in(dtype: str, flip: bool) -> Meaning:
    """Return the meaning that small integers are convolved, or correlated, to a dtype."""

    def given(asked: Probe) -> Array | None:
        exact = value(asked, flip=flip)
        return None if exact is None else exact.astype(dtype)

    name = "convolution" if flip else "cross-correlation"
    how = "is flipped first" if flip else "is laid on the input as it is"
    return Meaning(f"{name}, {dtype}", f"the kernel {how}; int32 gives {dtype}", given)


_CONVOLVE = Question(
    id="convolve_integers",
    text="One axis, in int32: is the kernel flipped, and of which dtype is the result?",
    meanings=tuple(_in(dtype, flip) for flip in (False, True) for dtype in ("int32", "int64", "float32", "float64")),
    sweep=lambda: tuple(
        probe("conv", {"kernel": (k,), "size": (n,)}, input=[n], kernel=[k], dtype="int32")
        for n, k in ((4, 2), (6, 3), (7, 4))
    ),
    dtype=True,
)

_FLIP = Question(
    id="conv_flip",
    text="Is the kernel flipped?",
    meanings=(
        meaning("cross-correlation", "the kernel is laid on the input as it is"),
        meaning("convolution", "the kernel is flipped on every axis first", flip=True),
    ),
    sweep=lambda: tuple(
        probe("conv", {"size": n, "kernel": k}, input=list(n), kernel=list(k))
        for n, k in (((3, 4), (1, 2)), ((4, 5), (2, 2)), ((5, 4), (3, 2)))
    ),
)


def _ordered(order: str) -> Meaning:
    """Return the meaning that w, all of whose axes are of one length, has this order."""
    return Meaning(
        order, f"w is {order}", lambda p: answer(p, {**p.arrays, "w": from_order(p.arrays["w"], "OIHW", order)})
    )


_WEIGHT = Question(
    id="conv_weight",
    text="In which order are the axes of a convolution's weight (O output and I input channels)?",
    meanings=tuple(_ordered("".join(order)) for order in permutations("OIHW")),
    sweep=lambda: tuple(
        probe("conv", {"size": n}, input=list(n), kernel=[2, 2], channels={"in": 2, "out": 2}) for n in ((3, 4), (5, 4))
    ),
)


def _last(asked: Probe) -> Array | None:
    """Return what a convolution gives that reads x as NHWC, in that order, too."""
    x = from_order(asked.arrays["x"], "NCHW", "NHWC")
    given = answer(asked, {**asked.arrays, "x": x})
    return None if given is None else given.transpose(0, 2, 3, 1)


_LAYOUT = Question(
    id="conv_layout",
    text="Which axis of x holds the channels, if the call does not say?",
    meanings=(
        meaning("channels first", "x and the result are NCHW"),
        Meaning("channels last", "x and the result are NHWC", _last),
    ),
    sweep=lambda: tuple(
        probe("conv", {"size": (n, n)}, batch=n, input=[n, n], kernel=[2, 2], channels={"in": n, "out": n})
        for n in (3, 4)
    ),
)


def _dilated() -> tuple[Probe, ...]:
    return tuple(
        probe(
            "conv",
            {"stride": stride, "dilation": dilation, "kernel": kernel, "size": size},
            input=list(size),
            kernel=list(kernel),
            stride=stride,
            dilation=dilation,
            **_DEPTHWISE,
        )
        for stride in (1, 2)
        for dilation in (1, 2, 3)
        for kernel, size in (((1, 3), (9, 8)), ((3, 2), (10, 11)))
    )


_DEPTHWISE: dict[str, Any] = {"channels": {"in": 2, "out": 4}, "groups": 2}

_DILATION = Question(
    id="conv_dilation",
    text="Stride together with dilation: do both hold?",
    meanings=(
        meaning("both", "windows start every `stride` positions, and their taps are `dilation` apart"),
        meaning("stride alone", "the dilation is dropped", dilation=1),
        meaning("dilation alone", "the stride is dropped", stride=1),
    ),
    sweep=_dilated,
)


def _multiplier_first(asked: Probe) -> Array | None:
    """Return what the reference gives, its output channel c·M + m moved to m·C + c."""
    y = value(asked)
    if y is None:
        return None
    channels = asked.keys["groups"]
    return y.reshape(y.shape[0], channels, -1, *y.shape[2:]).swapaxes(1, 2).reshape(y.shape)


_DEPTH = Question(
    id="depthwise_weight",
    text="Depthwise convolution with M filters a channel: which output channel does filter m of channel c make?",
    meanings=(
        meaning("c·M + m", "the outputs of one channel lie together"),
        Meaning("m·C + c", "the outputs of one multiple lie together", _multiplier_first),
    ),
    sweep=lambda: tuple(
        probe(
            "conv",
            {"channels": c, "multiplier": m, "kernel": (2, 3), "size": (4, 5)},
            input=[4, 5],
            kernel=[2, 3],
            channels={"in": c, "out": c * m},
            groups=c,
        )
        for c, m in ((1, 2), (3, 1), (3, 2), (2, 3))
    ),
)


def _grouped() -> tuple[Probe, ...]:
    return tuple(
        probe(
            "conv",
            {"groups": g, "kernel": (2, 3), "size": (4, 5)},
            input=[4, 5],
            kernel=[2, 3],
            channels={"in": 6, "out": 12},
            groups=g,
        )
        for g in (1, 2, 3, 6)
    )


_GROUPS = Question(
    id="conv_groups",
    text="Groups: which channels belong together?",
    meanings=(
        meaning("blocks", "channels that lie side by side, in the input and in the output"),
        Meaning("interleaved", "every groups-th output channel", interleaved),
    ),
    sweep=_grouped,
)


_GROUPS_GRADIENT = Question(
    id="conv_groups_gradient",
    text="Groups: is there a gradient?",
    meanings=(Meaning("the gradient", "that of the sum of the output to x", gradient),),
    sweep=_grouped,
    gradient=True,
)

_DILATION_GRADIENT = Question(
    id="conv_dilation_gradient",
    text="Dilation: is there a gradient?",
    meanings=(Meaning("the gradient", "that of the sum of the output to x", gradient),),
    sweep=lambda: tuple(
        probe(
            "conv",
            {"stride": stride, "dilation": dilation, "kernel": (3, 2), "size": (9, 8)},
            input=[9, 8],
            kernel=[3, 2],
            stride=stride,
            dilation=dilation,
            channels=_CHANNELS,
        )
        for stride in (1, 2)
        for dilation in (1, 2)
    ),
    gradient=True,
)


def _integers(asked: Probe, dtype: str, wrap: bool) -> Array | None:
    exact = answer(asked, asked.arrays, dtype="int32")
    if exact is None:
        return None
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return exact.astype(np.int64).astype(dtype) if wrap else np.clip(exact, low, high).astype(dtype)


_INT8 = Question(
    id="conv_int8",
    text="int8 in: what becomes of sums beyond 127?",
    meanings=(
        Meaning("wraps in int8", "the result is int8, its sums taken modulo 256", lambda p: _integers(p, "int8", True)),
        Meaning(
            "saturates in int8",
            "the result is int8, its sums held at −128 and 127",
            lambda p: _integers(p, "int8", False),
        ),
        Meaning("int32", "the result is int32", lambda p: _integers(p, "int32", True)),
    ),
    sweep=lambda: tuple(
        probe(
            "conv",
            {"size": (2, n)},
            input={"values": [[100, -100, 90, 80][:n], [70, 60, -50, 40][:n]]},
            kernel={"values": [[3, 2]]},
            dtype="int8",
        )
        for n in (2, 4)
    ),
    dtype=True,
)

_FOUR = ("top", "bottom", "left", "right")
_PADS = ((1, 1, 1, 1), (2, 2, 1, 1), (1, 2, 0, 3), (0, 1, 2, 0))


def _padded() -> tuple[Probe, ...]:
    """Pads by a kernel of one tap, which shows the padded input as it is."""
    return tuple(
        probe(
            "conv",
            {"size": (4, 5), **dict(zip(_FOUR, pads, strict=True))},
            input=[4, 5],
            kernel={"values": [[1]]},
        )
        for pads in _PADS
    )


def _pads(name: str, text: str, order: tuple[str, ...]) -> Meaning:
    """Return the meaning that four numbers, given as top, bottom, left, right, stand for these sides."""

    def given(asked: Probe) -> Array | None:
        sides = dict(zip(order, (asked.names[side] for side in _FOUR), strict=True))
        return value(asked, padding=[[sides["top"], sides["bottom"]], [sides["left"], sides["right"]]])

    return Meaning(name, text, given)


_SIDES = Question(
    id="pad_sides",
    text="Four pads, written in the order that the call documents: do they go to top, bottom, left, right?",
    meanings=(
        _pads("top, bottom, left, right", "the numbers go where the line says", _FOUR),
        _pads("left, right, top, bottom", "axes exchanged", ("left", "right", "top", "bottom")),
    ),
    sweep=_padded,
)


def _one_pad() -> tuple[Probe, ...]:
    return tuple(probe("conv", {"size": (4, 5), "p": p}, input=[4, 5], kernel={"values": [[1]]}) for p in (1, 2, 3))


_COUNT = Question(
    id="pad_count",
    text="One number for the padding: zeros on each side, or in all?",
    meanings=(
        Meaning("each side", "p zeros before and p after", lambda a: value(a, padding=a.names["p"])),
        Meaning("in all", "⌊p/2⌋ before, the rest after", lambda a: value(a, padding=[_halves(a.names["p"])] * 2)),
    ),
    sweep=_one_pad,
)


def _halves(p: Any) -> list[int]:
    return [p // 2, p - p // 2]


def _repeated_edge(asked: Probe) -> Array:
    """Return NumPy's own `symmetric`, which no case file can ask for."""
    x, p = asked.arrays["x"], int(asked.names["p"])  # type: ignore[arg-type]
    return np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)], mode="symmetric").astype(np.float64)


def _mode(name: str, text: str) -> Meaning:
    return Meaning(name, text, lambda a: value(a, padding=a.names["p"], padding_mode=name))


_MODES = Question(
    id="pad_mode",
    text="What do modes of padding show beyond the edge of a b c d?",
    meanings=(
        _mode("zeros", "0 0 | a b c d | 0 0"),
        _mode("reflect", "c b | a b c d | c b: the edge is not repeated"),
        Meaning("symmetric", "b a | a b c d | d c: the edge is repeated", _repeated_edge),
        _mode("replicate", "a a | a b c d | d d"),
        _mode("circular", "c d | a b c d | a b"),
    ),
    sweep=_one_pad,
)

QUESTIONS = (
    _SAME,
    _SAME_DILATED,
    _CAUSAL,
    _FLIP,
    _CONVOLVE,
    _WEIGHT,
    _LAYOUT,
    _DILATION,
    _GROUPS,
    _GROUPS_GRADIENT,
    _DILATION_GRADIENT,
    _DEPTH,
    _INT8,
    _COUNT,
    _SIDES,
    _MODES,
)
