"""Locally connected convolution: whether there is a call, and the order in which it flattens a kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from convsuite.meaning.records import Meaning, Probe, Question
from convsuite.meaning.references import answer, case_of, meaning, probe
from convsuite.operations import of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


def _channel_last(asked: Probe) -> Array | None:
    """Return the answer of a call that reads the flattened axes (C, *kernel) of w as (*kernel, C)."""
    w = asked.arrays["w"]
    out, channels, rows, columns, *windows = w.shape
    read = w.reshape(out, rows, columns, channels, *windows).transpose(0, 3, 1, 2, 4, 5)
    return answer(asked, {**asked.arrays, "w": read})


def _sweep() -> tuple[Probe, ...]:
    probes = []
    for stride, kernel in ((1, (1, 2)), (1, (2, 3)), (2, (3, 2))):
        keys: dict[str, Any] = {
            "input": [5, 6],
            "kernel": list(kernel),
            "stride": stride,
            "channels": {"in": 2, "out": 3},
        }
        case = case_of("local_conv", **keys)
        made = probe("local_conv", {"stride": stride, "kernel": kernel, "size": (5, 6)}, **keys)
        probes.append(replace(made, names={**made.names, "windows": of(case).output_shape(case)[2:]}))
    return tuple(probes)


_ORDER = Question(
    id="local_conv_weight",
    text="Locally connected (a kernel for each position): is there a call, and in which order is a kernel flattened?",
    meanings=(
        meaning("channel, row, column", "all weights of a channel lie together"),
        Meaning("row, column, channel", "all weights of a position lie together", _channel_last),
    ),
    sweep=_sweep,
)

QUESTIONS = (_ORDER,)
