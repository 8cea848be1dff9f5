"""Patches: the order in which a patch is laid out, SAME, and what stands where patches put back meet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convsuite.meaning.questions.sweeps import halves, strided
from convsuite.meaning.records import Meaning, Probe, Question
from convsuite.meaning.references import answer, case_of, meaning, probe, value
from convsuite.operations import of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def _columns_first(asked: Probe) -> Array | None:
    """Return patches whose channels are in the order channel, column, row."""
    y = value(asked)
    if y is None:
        return None
    n, _, *out = y.shape
    rows, columns = asked.keys["kernel"]
    return y.reshape(n, -1, rows, columns, *out).swapaxes(2, 3).reshape(y.shape)


def _windows(asked: Probe) -> Probe:
    """Let a line name how many windows there are on each axis."""
    case = case_of(asked.operation, **asked.keys)
    return replace(asked, names={**asked.names, "windows": of(case).output_shape(case)[2:]})


_ORDER = Question(
    id="patches_order",
    text="In which order does a patch lie in the result?",
    meanings=(
        meaning("channel, row, column", "all of a channel's values lie together", order="channel_first"),
        meaning("row, column, channel", "all values of a position lie together", order="channel_last"),
        Meaning("channel, column, row", "as the first, columns before rows", _columns_first),
    ),
    sweep=lambda: tuple(
        _windows(
            probe(
                "patches",
                {"stride": stride, "dilation": dilation, "kernel": kernel, "size": (7, 8)},
                input=[7, 8],
                kernel=list(kernel),
                stride=stride,
                dilation=dilation,
                channels=2,
            )
        )
        for stride, dilation in ((1, 1), (2, 1), (1, 2), (2, 2))
        for kernel in ((1, 2), (2, 3))
    ),
)

_SAME = Question(
    id="patches_same",
    text="“SAME” patches: how many zeros, and where does an odd one go?",
    meanings=(
        *(
            meaning(f"{kind}, {words}", text, padding=kind, order=order)
            for order, words in (("channel_first", "channel first"), ("channel_last", "channel last"))
            for kind, text in (
                ("same_upper", "⌈size/stride⌉ windows; an odd zero goes after the data"),
                ("same_lower", "⌈size/stride⌉ windows; an odd zero goes before the data"),
            )
        ),
        Meaning(
            "k//2, channel first",
            "⌊k/2⌋ zeros on each side",
            lambda p: value(p, padding=[[half, half] for half in halves(p)]),
        ),
    ),
    sweep=lambda: tuple(map(_same_windows, strided("patches", channels=2))),
)


def _same_windows(asked: Probe) -> Probe:
    size, kernel, stride = asked.keys["input"], asked.keys["kernel"], asked.keys["stride"]
    symmetric = tuple((n + 2 * (k // 2) - k) // stride + 1 for n, k in zip(size, kernel, strict=True))
    return replace(asked, names={**asked.names, "windows": symmetric})


def _mean(asked: Probe) -> Array | None:
    """Return what is put back, divided by how many patches meet a position."""
    total, met = value(asked), answer(asked, {"x": np.ones_like(asked.arrays["x"])})
    return None if total is None or met is None else total / np.maximum(met, 1)


_FOLD = Question(
    id="fold_overlap",
    text="Patches put back (fold, col2im): what stands where several meet?",
    meanings=(
        meaning("sum", "their sum: fold is the adjoint of taking patches, not its inverse"),
        Meaning("mean", "their mean, which undoes taking patches", _mean),
    ),
    sweep=lambda: tuple(
        probe(
            "fold",
            {"stride": stride, "kernel": kernel, "size": (6, 7)},
            lambda x: x * 12,
            output=[6, 7],
            kernel=list(kernel),
            stride=stride,
            channels=2,
        )
        for stride in (1, 2)
        for kernel in ((2, 2), (2, 3))
    ),
)

QUESTIONS = (_ORDER, _SAME, _FOLD)
