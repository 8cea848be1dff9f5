"""Transposed convolution: what is cropped, whether the kernel is flipped, the order of the weight's axes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import TYPE_CHECKING, Any

from convsuite.meaning.orders import from_order
from convsuite.meaning.questions.sweeps import interleaved
from convsuite.meaning.records import Meaning, Probe, Question
from convsuite.meaning.references import answer, meaning, probe, value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

CANONICAL = "IOHW"
_ADJOINT = "the adjoint of the convolution with this kernel"
_FLIPPED = "zeros put between the inputs, then a convolution that does not flip this kernel: the adjoint's is flipped"


def _scattered() -> tuple[Probe, ...]:
    """Strides 1 to 3, kernels of 1 to 5: smaller than the stride, equal and larger, odd and even."""
    return tuple(
        probe(
            "conv_transpose",
            {"stride": stride, "kernel": kernel, "size": (2, 3)},
            input=[2, 3],
            kernel=list(kernel),
            stride=stride,
            channels={"in": 2, "out": 3},
        )
        for stride in (1, 2, 3)
        for kernel in ((1, 2), (4, 3), (2, 5))
    )


def _both_ways(name: str, text: str, answer_of: Callable[[Probe, bool], Array | None]) -> tuple[Meaning, Meaning]:
    """Return a meaning, and the same with the kernel the other way round."""
    return (
        Meaning(name, f"{text}; {_ADJOINT}", lambda p: answer_of(p, False)),
        Meaning(f"{name}, flipped", f"{text}; {_FLIPPED}", lambda p: answer_of(p, True)),
    )


def _cropped(asked: Probe, flip: bool, crop: Callable[[int, int], tuple[int, int]]) -> Array | None:
    """Return what is left of the full output where (low, high) of a kernel and a stride are cut off."""
    stride = asked.keys["stride"]
    crops = [crop(k, stride) for k in asked.keys["kernel"]]
    more = [max(0, -high) for _, high in crops]  # a crop below 0 is output padding
    pads = [[low, max(high, 0)] for low, high in crops]
    return value(asked, padding=pads, output_padding=more, flip=flip)


_SAME = Question(
    id="conv_transpose_same",
    text="“SAME” of a transposed convolution: how large is the output, where is it cropped, is the kernel flipped?",
    meanings=(
        *_both_ways(
            "same_upper",
            "n·stride outputs; an odd one is cropped at the end",
            lambda p, f: value(p, padding="same_upper", flip=f),
        ),
        *_both_ways(
            "same_lower",
            "n·stride outputs; an odd one is cropped at the start",
            lambda p, f: value(p, padding="same_lower", flip=f),
        ),
        *_both_ways("k//2", "⌊k/2⌋ cropped on each side", lambda p, f: _cropped(p, f, lambda k, s: (k // 2, k // 2))),
    ),
    sweep=_scattered,
)

_VALID = Question(
    id="conv_transpose_valid",
    text="No padding, or “VALID”, of a transposed convolution: how large is the output, is the kernel flipped?",
    meanings=(
        *_both_ways("full", "(n − 1)·stride + k outputs", lambda p, f: value(p, flip=f)),
        *_both_ways(
            "at least n·stride",
            "(n − 1)·stride + max(k, stride) outputs, those that no tap reaches at the end",
            lambda p, f: _cropped(p, f, lambda k, s: (0, min(0, k - s))),
        ),
    ),
    sweep=_scattered,
)


def _padded() -> tuple[Probe, ...]:
    return tuple(
        probe(
            "conv_transpose",
            {"p": p, "stride": stride, "kernel": kernel, "size": (5, 6)},
            input=[5, 6],
            kernel=list(kernel),
            stride=stride,
            channels={"in": 2, "out": 3},
        )
        for p in (0, 1, 2)
        for stride in (1, 2)
        for kernel in ((3, 4), (5, 4))
    )


_PADDING = Question(
    id="conv_transpose_padding",
    text="padding = p of a transposed convolution: is it cropped, or added?",
    meanings=(
        *_both_ways(
            "cropped",
            "p outputs are cut off on each side, as its convolution would have padded",
            lambda a, f: value(a, padding=a.names["p"], flip=f),
        ),
        *_both_ways(
            "added",
            "p zeros stand around the input between whose elements zeros were put: k − 1 − p outputs are cut off",
            lambda a, f: value(a, padding=[[k - 1 - int(a.names["p"])] * 2 for k in a.keys["kernel"]], flip=f),  # type: ignore[arg-type]
        ),
    ),
    sweep=_padded,
)


def _more() -> tuple[Probe, ...]:
    """Kernels both of whose sizes are odd, or even, so that a rule of refusals may speak of either alone."""
    return tuple(
        probe(
            "conv_transpose",
            {"more": more, "stride": stride, "kernel": kernel, "size": (3, 4)},
            input=[3, 4],
            kernel=list(kernel),
            stride=stride,
            channels={"in": 2, "out": 3},
        )
        for stride in (2, 3)
        for more in range(stride)
        for kernel in ((1, 3), (3, 5), (2, 4), (2, 3))
    )


_OUTPUT_PADDING = Question(
    id="conv_transpose_output_padding",
    text="output_padding: where do the additional outputs lie, and what is cropped beside?",
    meanings=(
        Meaning(
            "crops nothing, more at the end",
            "(n − 1)·stride + k + output_padding outputs",
            lambda a: value(a, output_padding=a.names["more"]),
        ),
        Meaning(
            "crops k//2, more at the end",
            "⌊k/2⌋ cropped on each side, then output_padding added at the end",
            lambda a: value(a, padding=[[k // 2] * 2 for k in a.keys["kernel"]], output_padding=a.names["more"]),
        ),
        Meaning(
            "crops 2⌊k/2⌋ − more",
            "(n − 1)·stride + k − 2⌊k/2⌋ + output_padding outputs; of 2⌊k/2⌋ − output_padding that are cut off half, "
            "rounded down, come off the start",
            lambda a: _cropped_less(a),
        ),
        Meaning(
            "same_upper, more at the end",
            "the output of SAME, then output_padding added at the end",
            lambda a: _cropped_same(a),
        ),
    ),
    sweep=_more,
)


def _cropped_less(asked: Probe) -> Array | None:
    """Return what Keras's `same` gives: output_padding is taken off what is cropped, on both sides by turns."""
    more = int(asked.names["more"])  # type: ignore[arg-type]

    def crop(kernel: int, stride: int) -> tuple[int, int]:
        low = max(0, 2 * (kernel // 2) - more) // 2
        return low, 2 * (kernel // 2) - more - low

    return _cropped(asked, False, crop)


def _cropped_same(asked: Probe) -> Array | None:
    more = int(asked.names["more"])  # type: ignore[arg-type]
    return _cropped(asked, False, lambda k, s: (max(k - s, 0) // 2, k - s - max(k - s, 0) // 2 - more))


def _ordered(order: str, flip: bool) -> Meaning:
    """Return the meaning that w, all of whose axes are of one length, has this order."""
    return Meaning(
        order + (", flipped" if flip else ""),
        f"w is {order}; {_FLIPPED if flip else _ADJOINT}",
        lambda p: answer(p, {**p.arrays, "w": from_order(p.arrays["w"], CANONICAL, order)}, flip=flip),
    )


_WEIGHT = Question(
    id="conv_transpose_weight",
    text="In which order are the axes of a transposed convolution's weight (I channels of x, O of the output)?",
    meanings=tuple(_ordered("".join(order), flip) for order in permutations(CANONICAL) for flip in (False, True)),
    sweep=lambda: tuple(
        probe("conv_transpose", {"size": n}, input=list(n), kernel=[2, 2], channels={"in": 2, "out": 2})
        for n in ((3, 4), (5, 4))
    ),
)


_GROUPS = Question(
    id="conv_transpose_groups",
    text="Groups of a transposed convolution: is there a call, and which channels belong together?",
    meanings=(
        meaning("blocks", "channels that lie side by side, in the input and in the output"),
        Meaning("interleaved", "every groups-th output channel", interleaved),
    ),
    sweep=lambda: tuple(
        probe(
            "conv_transpose",
            {"groups": g, "kernel": (2, 3), "size": (3, 4)},
            input=[3, 4],
            kernel=[2, 3],
            channels={"in": 4, "out": 8},
            groups=g,
        )
        for g in (1, 2, 4)
    ),
)

QUESTIONS = (_SAME, _VALID, _PADDING, _OUTPUT_PADDING, _GROUPS, _WEIGHT)
