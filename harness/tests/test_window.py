"""The geometry of windows: hand-computed sizes, TensorFlow's SAME, and NumPy's own padding."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from convsuite.case import PADDING_MODES, Padding
from convsuite.errors import CaseError
from convsuite.operations import window

NUMPY_MODES: dict[str, Any] = {
    "zeros": {"mode": "constant", "constant_values": -1},
    "reflect": {"mode": "reflect"},
    "replicate": {"mode": "edge"},
    "circular": {"mode": "wrap"},
}


@pytest.mark.parametrize(("kernel", "dilation", "span"), [(1, 1, 1), (1, 9, 1), (3, 1, 3), (3, 2, 5), (2, 7, 8)])
def test_span(kernel: int, dilation: int, span: int) -> None:
    assert window.span(kernel, dilation) == span


def test_output_size_is_the_number_of_windows_that_fit() -> None:
    for padded, size, stride in product(range(12), range(1, 6), range(1, 5)):
        fit = [start for start in range(0, padded, stride) if start + size <= padded]
        assert window.output_size(padded, size, stride) == len(fit), (padded, size, stride)


@pytest.mark.parametrize(
    ("size", "span", "stride", "pads"),
    [
        (5, 3, 1, (1, 1)),
        (5, 2, 1, (0, 1)),
        (5, 4, 2, (1, 2)),
        (224, 7, 2, (2, 3)),
        (6, 1, 3, (0, 0)),
        (1, 3, 2, (1, 1)),
    ],
)
def test_same_pads_by_hand(size: int, span: int, stride: int, pads: tuple[int, int]) -> None:
    assert window.same_pads(size, span, stride) == pads


def test_same_gives_the_rounded_up_size_with_the_fewest_zeros() -> None:
    for size, span, stride in product(range(1, 12), range(1, 7), range(1, 5)):
        low, high = window.same_pads(size, span, stride)
        windows = -(-size // stride)
        assert 0 <= high - low <= 1
        assert window.output_size(size + low + high, span, stride) == windows
        if low + high:  # one less would not do
            assert window.output_size(size + low + high - 1, span, stride) == windows - 1


@pytest.mark.parametrize(
    ("kind", "pads"),
    [
        ("valid", (0, 0)),
        ("same", (1, 2)),
        ("same_upper", (1, 2)),
        ("same_lower", (2, 1)),
        ("full", (3, 3)),
        ("causal", (3, 0)),
        (2, (2, 2)),
        ([-1, 5], (-1, 5)),
    ],
)
def test_axis_pads_by_hand(kind: Any, pads: tuple[int, int]) -> None:
    """Size 7, span 4, stride 1."""
    assert window.axis_pads(kind, 7, 4, 1) == pads


def test_unknown_padding_is_refused() -> None:
    with pytest.raises(CaseError, match="'sane' is no padding"):
        window.axis_pads("sane", 5, 3, 1)  # type: ignore[arg-type]


def test_per_axis() -> None:
    assert window.per_axis(2, 3, "stride") == (2, 2, 2)
    assert window.per_axis([1, 2], 2, "stride") == (1, 2)
    with pytest.raises(CaseError, match="stride has 2 numbers for 3 spatial axes") as refused:
        window.per_axis([1, 2], 3, "stride")
    assert refused.value.key == ("stride",)


def test_padding_is_resolved_for_each_axis() -> None:
    padding = window.resolve_padding(["same", 2, [0, 1]], "zeros", (5, 5, 5), (2, 3, 3), (1, 1, 1), (1, 1, 1))
    assert padding == Padding(kinds=("same_upper", "explicit", "explicit"), pads=((0, 1), (2, 2), (0, 1)))
    assert not padding.symmetric
    assert not padding.negative


def test_same_counts_the_dilated_kernel() -> None:
    assert window.resolve_padding("same", "zeros", (9,), (3,), (1,), (3,)).pads == ((3, 3),)


def test_padding_of_an_invalid_window_still_resolves() -> None:
    """`window_rules` names the stride: resolving must not fail before it, by dividing by 0."""
    assert window.resolve_padding("same", "zeros", (5,), (0,), (0,), (0,)).pads == ((0, 0),)
    assert window.resolve_padding("same", "zeros", (5, 5, 5), (3,), (1,), (1,)).pads == ((1, 1),)


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_padded_index_is_numpys_padding(mode: str) -> None:
    for size, low, high in product(range(1, 6), range(-2, 7), range(-2, 7)):
        most = {"reflect": size - 1, "circular": size}.get(mode, 7)
        if max(low, high) > most or size + low + high < 0:
            continue
        grown = np.pad(np.arange(size), (max(low, 0), max(high, 0)), **NUMPY_MODES[mode])
        due = grown[max(-low, 0) : len(grown) - max(-high, 0)]
        assert window.padded_index(size, low, high, mode) == due.tolist(), (size, low, high)


def test_unknown_padding_mode() -> None:
    with pytest.raises(ValueError, match="'mirror' is no padding mode"):
        window.padded_index(3, 1, 1, "mirror")


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_most_met_is_the_literal_count(mode: str) -> None:
    for low, kernel, stride, dilation in product((-1, 0, 2, 4), (1, 2, 3), (1, 2, 3), (1, 2)):
        index = window.padded_index(5, low, 1, mode)
        windows = window.output_size(len(index), window.span(kernel, dilation), stride)
        met = [index[w * stride + t * dilation] for w in range(windows) for t in range(kernel)]
        due = max((met.count(p) for p in range(5)), default=0)
        geometry = window.Window(5, (low, 1), mode, kernel, stride, dilation)
        assert geometry.count == windows
        assert window.most_met(geometry) == due
        for dense in (True, False):
            axis = geometry.axis(dense)
            assert [[axis.shown[at] for at in np.arange(len(axis.shown))[tap]] for tap in axis.where] == [
                [index[w * stride + t * dilation] for w in range(windows)] for t in range(kernel)
            ]


def test_most_met_by_hand() -> None:
    """Kernel 3: the middle is met by 3 windows; the edge of a replicate padding of 2 is met 1 + 2 + 3 times."""
    assert window.most_met(window.Window(5, (0, 0), "zeros", 3, 1, 1)) == 3
    assert window.most_met(window.Window(3, (2, 0), "replicate", 3, 1, 1)) == 6
    assert window.most_met(window.Window(1, (2, 0), "zeros", 3, 1, 1)) == 1
    assert window.most_met(window.Window(1, (3, -1), "zeros", 3, 1, 1)) == 0
    assert window.most_met(window.Window(1, (0, 0), "zeros", 3, 1, 1)) == 0


def test_a_dilation_beyond_64_bits_is_counted() -> None:
    geometry = window.Window(5, (2**64, 2**64), "zeros", 3, 1, 2**64)
    assert not geometry.dense
    assert window.most_met(geometry) == 1


@pytest.mark.parametrize("mode", PADDING_MODES)
def test_runs_are_the_positions_that_show_one(mode: str) -> None:
    axis = window.Window(5, (3, 4), mode, 1, 1, 1).axis(dense=True)
    met = [
        (at, to)
        for kept, into in axis.runs
        for at, to in zip(range(kept.start, kept.stop), range(into.start, into.stop), strict=True)
    ]
    assert met == [(at, to) for at, to in enumerate(axis.shown) if to >= 0]
    assert len(axis.runs) == {"zeros": 1, "replicate": 8, "circular": 3, "reflect": 8}[mode]


def test_an_axis_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operand's fill needs the number, and so does the reference of each pass."""
    geometry, made = window.Window(97, (1, 2), "zeros", 5, 1, 1), []
    honest = window.Window.axis
    monkeypatch.setattr(window.Window, "axis", lambda self, dense: made.append(self) or honest(self, dense))
    assert [window.most_met(geometry) for _ in range(3)] == [5, 5, 5]
    assert made == [geometry]


def test_a_long_axis_is_read_tap_by_tap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not pair by pair of window and tap: Python looks at each position once."""
    looked = 0
    honest = window.shown

    def counting(size: int, low: int, mode: str) -> Any:
        index = honest(size, low, mode)

        def look(at: int) -> int:
            nonlocal looked
            looked += 1
            return index(at)

        return look

    monkeypatch.setattr(window, "shown", counting)
    assert window.most_met(window.Window(3001, (0, 0), "zeros", 50, 1, 1)) == 50
    assert looked <= 3001


def rules(sizes: tuple[int, ...] = (5, 5), **changed: Any) -> list[tuple[tuple[str, ...], str]]:
    """The broken rules of a 3 × 3 window over `sizes`, with some keys changed."""
    keys = {"kernel": (3, 3), "stride": (1, 1), "dilation": (1, 1), "pads": ((0, 0), (0, 0)), "mode": "zeros"} | changed
    padding = Padding(kinds=("explicit",) * 2, pads=keys["pads"], mode=keys["mode"])
    broken = window.window_rules(sizes, keys["kernel"], keys["stride"], keys["dilation"], padding)
    return [(error.key, str(error)) for error in broken]


def test_a_sound_window_breaks_no_rule() -> None:
    assert rules() == []
    assert rules(pads=((-1, -1), (0, 0))) == []
    assert rules((0, 3), pads=((2, 1), (0, 0))) == []


@pytest.mark.parametrize(
    ("changed", "key", "numbers"),
    [
        ({"sizes": (5,)}, "rank", "1 spatial axes, the kernel 2"),
        ({"kernel": (3, 0)}, "kernel", "[3, 0]"),
        ({"stride": (0, 1)}, "stride", "[0, 1]"),
        ({"dilation": (1, -1)}, "dilation", "[1, -1]"),
        ({"sizes": (5, 2)}, "kernel", "axis 1: the kernel spans 3, the padded input is 2 (2 + 0 + 0)"),
        ({"pads": ((-2, -1), (0, 0))}, "kernel", "axis 0: the kernel spans 3, the padded input is 2 (5 + -2 + -1)"),
        ({"pads": ((0, 5), (0, 0)), "mode": "reflect"}, "padding", "axis 0: reflect padding of 5"),
        ({"pads": ((0, 0), (6, 0)), "mode": "circular"}, "padding", "axis 1: circular padding of 6"),
        ({"sizes": (0, 5), "pads": ((3, 0), (0, 0)), "mode": "replicate"}, "padding", "axis 0: replicate padding of 3"),
    ],
)
def test_a_broken_rule_names_its_key_and_numbers(changed: dict[str, Any], key: str, numbers: str) -> None:
    ((broken, message),) = rules(**changed)
    assert broken == (key,)
    assert numbers in message


@pytest.mark.parametrize(("mode", "pad"), [("reflect", 4), ("circular", 5), ("replicate", 50), ("zeros", 50)])
def test_the_longest_padding_of_a_mode_is_allowed(mode: str, pad: int) -> None:
    assert rules(pads=((pad, pad), (0, 0)), mode=mode) == []


def test_all_broken_rules_are_named_at_once() -> None:
    assert [key for key, _ in rules(stride=(0, 0), dilation=(0, 1))] == [("stride",), ("dilation",)]
