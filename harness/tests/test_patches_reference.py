"""The references of patches, fold and local_conv against literal loops, and against each other as adjoints."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import msgspec
import numpy as np
import pytest

from convsuite.case import Numerics, Origin, Pass
from convsuite.dtypes import round_to
from convsuite.errors import CaseError
from convsuite.judge import judge
from convsuite.operands import fill
from convsuite.operations import OPERATIONS, of
from convsuite.operations.common import Common

WINDOWS = [
    {"kernel": [3]},
    {"kernel": [2], "stride": 3, "padding": [[2, 0]]},
    {"kernel": [2, 3], "padding": "same_lower"},
    {"kernel": [3, 2], "stride": [2, 1], "dilation": [1, 2], "padding": [[1, 2], [-1, 1]]},
    {"kernel": [2, 1, 2], "stride": [1, 2, 1], "padding": "full"},
]
SIZES = [6, 5, 3]
FLOAT32 = Numerics(accumulator="float32")


def case(operation: str, **keys: Any) -> Any:
    """Resolve a case from case-file keys."""
    module = OPERATIONS[operation]
    entry = msgspec.convert({"name": "case", "dtype": "float64", **keys}, module.ENTRY)
    return module.resolve(entry, Common(id="case", origin=Origin(file="test.yaml", line=1)))


def met(c: Any, sizes: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """Every (tap, window, position) of the definition whose position is in the input."""
    out = [
        len(range(0, n + low + high - (k - 1) * d, s))
        for n, (low, high), k, d, s in zip(sizes, c.padding.pads, c.kernel, c.dilation, c.stride, strict=True)
    ]
    found = []
    for tap, at in product(product(*map(range, c.kernel)), product(*map(range, out))):
        steps = zip(tap, at, c.dilation, c.stride, c.padding.pads, strict=True)
        place = tuple(t * d + p * s - low for t, p, d, s, (low, _) in steps)
        if all(0 <= i < n for i, n in zip(place, sizes, strict=True)):
            found.append((tap, at, place))
    return found


def value(c: Any, pass_: Pass, arrays: Any = None) -> Any:
    """The reference's answer."""
    return of(c).reference(c, fill(c) if arrays is None else arrays, pass_).value


@pytest.mark.parametrize("order", ["channel_first", "channel_last"])
@pytest.mark.parametrize("window", WINDOWS)
def test_patches_and_fold_are_what_the_loops_say(window, order):
    sizes = SIZES[: len(window["kernel"])]
    keys = {"batch": 2, "channels": 2, "order": order, "passes": ["forward", "grad_input"], **window}
    c, f = case("patches", input=sizes, **keys), case("fold", output=sizes, **keys)
    x, columns = fill(c)[0], fill(f)[0]
    due, total = np.zeros(of(c).output_shape(c)), np.zeros_like(x)
    for (tap, at, place), n, channel in product(met(c, tuple(sizes)), range(2), range(2)):
        number = int(np.ravel_multi_index(tap, c.kernel))
        row = channel * prod(c.kernel) + number if order == "channel_first" else number * 2 + channel
        due[(n, row, *at)] = x[(n, channel, *place)]
        total[(n, channel, *place)] += columns[(n, row, *at)]
    assert np.array_equal(value(c, Pass.FORWARD), due)
    assert np.array_equal(value(f, Pass.FORWARD), total)


@pytest.mark.parametrize("window", WINDOWS)
def test_each_is_the_others_gradient(window):
    sizes = SIZES[: len(window["kernel"])]
    keys = {"passes": ["forward", "grad_input"], "fill": "normal", "channels": 2, **window}
    c, f = case("patches", input=sizes, **keys), case("fold", output=sizes, **keys)
    x, columns = fill(c)[0], fill(f)[0]
    assert np.allclose(value(c, Pass.GRAD_INPUT, (x, columns)), value(f, Pass.FORWARD, (columns, x)))
    assert np.array_equal(value(f, Pass.GRAD_INPUT, (columns, x)), value(c, Pass.FORWARD, (x, columns)))
    assert np.vdot(value(c, Pass.FORWARD), columns) == pytest.approx(np.vdot(x, value(f, Pass.FORWARD)))


@pytest.mark.parametrize("window", WINDOWS)
def test_local_conv_is_what_the_loops_say(window):
    sizes = SIZES[: len(window["kernel"])]
    passes = ["forward", "grad_input", "grad_weight", "grad_bias"]
    c = case("local_conv", input=sizes, channels={"in": 2, "out": 3}, batch=2, bias=True, passes=passes, **window)
    x, w, b, grad = fill(c)
    due = {p: np.zeros(value(c, p).shape) for p in c.passes}
    due[Pass.FORWARD] += b
    due[Pass.GRAD_BIAS] += grad.sum(axis=0)
    for (tap, at, place), n, i, o in product(met(c, tuple(sizes)), range(2), range(2), range(3)):
        seen, weight, out = (n, i, *place), (o, i, *tap, *at), (n, o, *at)
        due[Pass.FORWARD][out] += x[seen] * w[weight]
        due[Pass.GRAD_INPUT][seen] += grad[out] * w[weight]
        due[Pass.GRAD_WEIGHT][weight] += grad[out] * x[seen]
    for pass_ in c.passes:
        assert np.array_equal(value(c, pass_), due[pass_]), pass_


def test_one_kernel_for_all_positions_is_a_convolution():
    keys = {"input": SIZES[:2], "kernel": [2, 3], "stride": [2, 1], "padding": 1, "channels": {"in": 2, "out": 3}}
    local, shared = case("local_conv", **keys), case("conv", **keys)
    x, w = fill(shared)
    spread = np.broadcast_to(w[..., None, None], local.weight_shape)
    assert np.array_equal(value(local, Pass.FORWARD, (x, spread)), value(shared, Pass.FORWARD, (x, w)))


def test_float64_is_finer_than_float64():
    c = case("local_conv", input=[40], kernel=[30], fill="cancelling", channels=3)
    expected = of(c).reference(c, fill(c), Pass.FORWARD)
    assert expected.low is not None
    assert np.any(expected.low != 0)


@pytest.mark.parametrize(
    "keys",
    [{"input": [5, 4], "fill": "normal"}, {"input": [5, 4], "fill": "special"}, {"input": {"values": [[2.0**126, 1]]}}],
)
def test_patches_must_be_the_very_values(keys):
    c = case("patches", kernel=[1, 2], dtype="float32", **keys)
    expected = of(c).reference(c, fill(c), Pass.FORWARD)
    right = round_to(expected.value, "float32")
    assert judge(right, "float32", expected, "float32", FLOAT32).right
    finite = np.argwhere(np.isfinite(right) & (right != 0))[0]
    wrong = right.copy()
    wrong[tuple(finite)] = np.nextafter(wrong[tuple(finite)], np.float32(np.inf))  # by one unit in the last place
    assert judge(wrong, "float32", expected, "float32", FLOAT32).wrong == 1


def test_keras_2_weights_are_taken_as_they_are():
    flat = np.arange(4 * 8 * 3).reshape(4, 8, 3)  # (2·2 positions, 2·2 taps of 2 channels, 3 filters)
    keys = {"rank": 2, "input": 3, "channels": {"in": 2, "out": 3}}
    c = case("local_conv", kernel={"size": 2, "flat": flat.tolist()}, **keys)
    weight = fill(c)[1]
    for o, i, a, b, row, column in np.ndindex(weight.shape):
        assert weight[o, i, a, b, row, column] == flat[row * 2 + column, (a * 2 + b) * 2 + i, o]


@pytest.mark.parametrize(
    ("operation", "keys", "key"),
    [
        ("patches", {"input": [4], "kernel": [5]}, "kernel"),
        ("patches", {"input": [4], "kernel": [2], "dilation": 0}, "dilation"),
        ("fold", {"output": [4], "kernel": [2], "input": 4}, "output"),
        ("fold", {"output": [2], "kernel": [2], "input": {"values": [[1], [2], [3]]}}, "channels"),
        ("fold", {"output": [2, 2], "kernel": [2, 2], "input": [3], "expect": {"error": "rank"}}, "rank"),
        ("local_conv", {"input": [4], "kernel": {"size": [2], "output": 2}}, "kernel"),
        ("local_conv", {"input": [4], "kernel": {"size": [2], "channels": 2}}, "channels"),
        ("local_conv", {"input": [4], "kernel": [2], "passes": ["grad_bias"]}, "passes"),
    ],
)
def test_what_breaks_a_rule_is_told(operation, keys, key):
    c = case(operation, **keys)
    assert [error.key[0] for error in of(c).violations(c)] == [key]


@pytest.mark.parametrize(
    ("operation", "keys", "words"),
    [
        ("fold", {"kernel": [2]}, "output is missing"),
        ("local_conv", {"input": [4], "kernel": {}}, "needs a `size`"),
        ("local_conv", {"input": [4], "kernel": {"values": [[1]], "flat": [[[1]]]}}, "both"),
        ("local_conv", {"input": [4], "rank": 1, "kernel": {"size": 2, "flat": [[[1], [2]]]}}, "flat is"),
        ("local_conv", {"input": {"values": [1, 2]}, "rank": 1, "channels": 2, "kernel": 1}, "channels are 2"),
    ],
)
def test_what_means_nothing_is_refused(operation, keys, words):
    with pytest.raises(CaseError, match=words):
        case(operation, **keys)


@pytest.mark.parametrize(("operation", "size"), [("patches", "input"), ("fold", "output"), ("local_conv", "input")])
def test_what_they_say_of_themselves(operation, size):
    c = case(operation, **{size: [4, 3], "kernel": [2, 2], "channels": 2})
    work = of(c).work(c)
    shapes = [*(o.shape for o in c.operands), of(c).output_shape(c)]
    assert work.bytes == 8 * sum(map(prod, shapes))
    assert of(c).picture(c).input_shape[2:] == (4, 3)
    assert (work.flops == 0) == (operation == "patches")
